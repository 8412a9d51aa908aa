"""The scenes of the demo. Each tells what happens, lets the real commands do it, and checks the result from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from console.demo.eye import BLOCK, Eye

REGION: Final = "eu-west-1"
INSTALL: Final = "local"
#: Blocks that are changed between the backups.
_CHANGED: Final = 3


class DemoFailed(Exception):
    """Something that the demo promises did not hold."""


class Play:
    """One run of the demo in a throw-away state directory."""

    def __init__(self, directory: Path, out: Console) -> None:
        """Take where state goes and where to tell the story."""
        self._directory = directory
        self._out = out
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DAYWORK_"))},
            "DAYWORK_STATE_DIR": str(directory),
        }
        self._scene = 0
        self._eye: Eye | None = None
        self._kept: set[str] = set()
        self.accounts: dict[str, str] = {}

    @property
    def eye(self) -> Eye:
        """The auditor."""
        if self._eye is None:
            record = json.loads((self._directory / "stack.json").read_text())
            self._eye = Eye(record["addresses"]["cloud"], self._directory / "cloud", region=REGION)
        return self._eye

    # --- telling --------------------------------------------------------------------------------------------------

    def scene(self, title: str, why: str) -> None:
        """Begin a scene."""
        self._scene += 1
        self._out.print(f"\n[bold]{self._scene}. {title}[/bold]\n   [dim]{why}[/dim]", highlight=False)

    def holds(self, what: str) -> None:
        """Say that something was checked."""
        self._out.print(f"   [green]✓[/green] {what}", highlight=False)

    def require(self, condition: object, what: str) -> None:
        """Check something that the demo promises. Raises `DemoFailed`."""
        if not condition:
            raise DemoFailed(f"this does not hold: {what}")
        self.holds(what)

    # --- doing ----------------------------------------------------------------------------------------------------

    def daywork(self, *arguments: str, expect: int = 0) -> str:
        """Run a command; its progress goes to the terminal, its data is returned. Raises `DemoFailed`."""
        self._out.print(f"   [cyan]$ daywork {' '.join(arguments)}[/cyan]", highlight=False, soft_wrap=True)
        done = subprocess.run(
            [sys.executable, "-m", "console", *arguments],
            env=self._environment,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode != expect:
            raise DemoFailed(
                f"daywork {arguments[0]} ended with {done.returncode}, not {expect}\n{done.stdout[-2000:]}"
            )
        return done.stdout

    def session(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Run a session to its end, live, and return its record."""
        with tempfile.NamedTemporaryFile("w", suffix=".json", dir=self._directory) as file:
            json.dump({"schemaVersion": 1, "source": "demo", **request}, file)
            file.flush()
            answer = self.daywork("session", "start", "-f", file.name, "--wait", "--output", "json")
        session = json.loads(answer)["id"]
        record: dict[str, Any] = json.loads(self.daywork("session", "show", session, "--output", "json"))
        self.require(record["status"] == "success", f"session {session} ended: success")
        self._receipt(record)
        return record

    def _receipt(self, record: Mapping[str, Any]) -> None:
        receipt = record["receipt"]
        made = ", ".join(f"{count} {kind}" for kind, count in sorted(_kinds(receipt["created"]).items()))
        self._kept |= {one["id"] for one in receipt["kept"]}
        self._out.print(f"   receipt: made {made}; removed {len(receipt['removed'])}, kept {len(receipt['kept'])}")
        self.require(not receipt["remaining"], "its receipt names nothing that remains")

    # --- the scenes -----------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Play all scenes. Raises `DemoFailed`."""
        try:
            self._open()
            instances = self._instances()
            workers = {account: self.eye.profile_of(account, "DayworkWorker") for account in instances}
            self._backup("backup", instances)
            changed = self._work(instances)
            second = self._backup("production", instances)
            self._compare(second, changed)
            self._restore(second, changed)
            self._look_around(workers)
        finally:
            self._close()

    def _open(self) -> None:
        self.scene("A cloud and a control plane on this machine", "Broker, ledger, Celery workers, Flower, and an AWS.")
        self._out.print(self.daywork("up", "--detach").rstrip(), style="dim", highlight=False)
        self.scene("Accounts with something to lose", "One backup account, two production accounts, real file systems.")
        self.daywork("cloud", "seed", "--accounts", "2", "--instances", "2")
        listed = json.loads(self.daywork("account", "list", "--output", "json"))
        self.accounts = {one["id"]: one["name"] for one in listed["accounts"]}
        self.require(len(self.accounts) >= 3, f"{len(self.accounts)} accounts are registered")  # noqa: PLR2004 - as seeded

    def _instances(self) -> dict[str, list[str]]:
        """Return the instances to protect, by account."""
        found: dict[str, list[str]] = {}
        for account in self.accounts:
            reservations = self.eye.client(account, "ec2").describe_instances(
                Filters=[{"Name": "tag:backup", "Values": ["daily"]}]
            )["Reservations"]
            ids = sorted(one["InstanceId"] for reservation in reservations for one in reservation["Instances"])
            if ids:
                found[account] = ids
        self.require(found, f"{sum(map(len, found.values()))} instances carry the tag backup=daily")
        return found

    def _backup(self, mode: str, instances: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        words = {
            "backup": "Workers run in the backup account with a temporary role that lives as long as the session.",
            "production": "Workers run in each instance's own account with a role that was there before and stays.",
        }
        self.scene(f"Image-level backup, {mode}-account mode", words[mode])
        record = self.session(
            {
                "id": f"{mode}-{time.time_ns()}",
                "operation": "ec2-backup",
                "mode": mode,
                "select": [
                    {"account": account, "region": REGION, "tags": {"backup": "daily"}} for account in instances
                ],
            }
        )
        self.require(record["counts"]["success"] == sum(map(len, instances.values())), "every instance was backed up")
        return record

    def _work(self, instances: Mapping[str, Sequence[str]]) -> str:
        """Change some blocks of one instance; return its id."""
        self.scene("Somebody works on", f"{_CHANGED} blocks of 512 KiB are written on one instance's volume.")
        account = min(instances)
        ec2, instance = self.eye.client(account, "ec2"), instances[account][0]
        described = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
        volume = described["BlockDeviceMappings"][-1]["Ebs"]["VolumeId"]
        written = {index: os.urandom(BLOCK) for index in range(1000, 1000 + _CHANGED)}
        self.eye.overwrite(account, volume, written, self._directory)
        self.holds(f"{volume} of {instance} has changed")
        return instance

    def _compare(self, backup: Mapping[str, Any], changed: str) -> None:
        """Check that the second backup has read what has changed, and nothing else."""
        for resource in backup["resources"]:
            result, wanted = resource["result"], _CHANGED if resource["id"] == changed else 0
            kind, read, stored = (result[name] for name in ("kind", "blocksRead", "bytesStored"))
            self.require(
                (kind, read) == ("incremental", wanted),
                f"{resource['id']}: {kind}, {read} blocks read, {stored} bytes stored",
            )

    def _restore(self, backup: Mapping[str, Any], changed: str) -> None:
        self.scene(
            "Restore of an incremental, compared byte for byte",
            "New volumes from a restore point, read back through EBS itself.",
        )
        resource = next(one for one in backup["resources"] if one["id"] == changed)
        account, point = resource["account"], resource["result"]["restorePoint"]
        record = self.session(
            {
                "id": f"restore-{time.time_ns()}",
                "operation": "ec2-restore-volume",
                "resources": [{"account": account, "region": REGION, "id": point}],
            }
        )
        for volume in record["resources"][0]["result"]["volumes"]:
            source, restored = volume["volumeId"], volume["newVolumeId"]
            before, after = self.eye.blocks(account, source), self.eye.blocks(account, restored)
            self.require(
                before and before == after, f"{restored} equals {source}: {len(after)} blocks of 512 KiB with content"
            )

    def _look_around(self, workers: Mapping[str, tuple[str, ...]]) -> None:
        self.scene("What is left", "Every account is listed with an administrator's keys: the product is not asked.")
        left = self.eye.left(
            list(self.accounts),
            install=INSTALL,
            control_bucket=f"daywork-control-{INSTALL}",
            control_account="111111111111",
        )
        left = [one for one in left if one.name not in self._kept]
        for one in left:
            self._out.print(f"   [red]left: {one}[/red]", highlight=False)
        self.require(
            not left,
            "no worker, temporary role, instance profile or order in any account, and no snapshot but those that the "
            "next incremental compares with: the receipts name them",
        )
        now = {account: self.eye.profile_of(account, "DayworkWorker") for account in workers}
        self.require(now == workers, "the production accounts' worker roles and profiles are as before")

    def _close(self) -> None:
        self.scene("Everything ends", "The state directory goes with it.")
        self.daywork("down")


def _kinds(entries: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in entries:
        found[one["kind"]] = found.get(one["kind"], 0) + 1
    return found


def main() -> int:
    """Run the demo; 0 only if all of it holds."""
    out = Console()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="daywork-demo-") as directory:
        try:
            Play(Path(directory), out).run()
        except DemoFailed as error:
            out.print(f"\n[bold red]The demo failed:[/bold red] {error}", highlight=False)
            return 1
        except KeyboardInterrupt:
            return 130
    out.print(f"\n[bold green]All of it holds[/bold green] ({time.monotonic() - began:.0f} s).", highlight=False)
    return 0
