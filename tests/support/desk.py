"""A desk to try the commands at: a migrated ledger on SQLite, a registry, sessions in any state, a command line."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ulid import ULID

from console.cli.entry import run
from orchestrator.bootstrap import SystemClock
from orchestrator.ledger import points, registry, sessions, things, work, workers
from orchestrator.ledger.store import Ledger, make_engine
from orchestrator.model.account import Registry
from orchestrator.model.request import SessionRequest
from orchestrator.model.status import DeploymentMode, ResourceStatus, SessionStatus, Step
from orchestrator.model.work import WorkKey

HOME, A, B = "111111111111", "222222222222", "333333333333"
REGION = "eu-west-1"

REGISTRY: dict[str, Any] = {
    "accounts": [
        {
            "id": HOME,
            "name": "backup",
            "backupAccount": True,
            "regions": [REGION],
            "roles": {"workerDeployment": f"arn:aws:iam::{HOME}:role/Deployment"},
            "workerConfigurations": [{"region": REGION, "subnets": ["subnet-0a"], "securityGroups": ["sg-0a"]}],
        },
        {
            "id": A,
            "name": "production-a",
            "regions": [REGION],
            "externalId": {"env": "DAYWORK_EXTERNAL_ID_A"},
            "roles": {name: f"arn:aws:iam::{A}:role/{name}" for name in ("backup", "restore", "worker", "data")},
        },
    ],
    "repositories": [
        {
            "name": "main",
            "url": "s3://daywork-repository/main",
            "region": REGION,
            "account": HOME,
            "key": {"kms": f"arn:aws:kms:{REGION}:{HOME}:key/1"},
        }
    ],
}

_numbers = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a command line did: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    def document(self) -> dict[str, Any]:
        """Return stdout, which is one JSON document."""
        found: dict[str, Any] = json.loads(self.out)
        return found

    def lines(self) -> list[dict[str, Any]]:
        """Return stdout, which is one JSON document a line."""
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass(kw_only=True)
class Desk:
    """A ledger and a command line on it. `driven` is what would have been published."""

    url: str
    capsys: Any = None
    driven: list[WorkKey] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Open the ledger."""
        self.ledger = Ledger(make_engine(self.url), SystemClock())

    def say(self, *arguments: str | Path) -> Said:
        """Run a command line in this process."""
        self.capsys.readouterr()
        code = run([str(one) for one in arguments])
        captured = self.capsys.readouterr()
        return Said(code=code, out=captured.out, err=captured.err)

    def register(self, document: dict[str, Any] | None = None) -> None:
        """Put accounts and repositories into the registry."""
        with self.ledger.write() as tx:
            registry.apply(tx, Registry.model_validate(document or REGISTRY))

    def session(self, *resources: str, mode: DeploymentMode = DeploymentMode.BACKUP, **request: Any) -> str:
        """Put a session into the ledger; resources are ids in account A, or `account/id`."""
        named = [one.rpartition("/") for one in resources]
        selectors = [{"account": account or A, "region": REGION, "id": name} for account, _, name in named]
        document = {
            "source": "desk",
            "id": str(next(_numbers)),
            "operation": "ec2-backup",
            "resources": selectors,
            **({} if selectors else {"select": [{"account": A, "region": REGION, "tags": {"backup": "daily"}}]}),
            **request,
        }
        accepted = SessionRequest.model_validate(document)
        wanted = [
            sessions.Wanted(account=one.account, region=one.region, resource_id=one.id) for one in accepted.resources
        ]
        with self.ledger.write() as tx:
            found, _ = sessions.submit(tx, accepted, mode=mode, resources=wanted)
        return found

    def begin(self, session: str) -> None:
        """Let a session run, its resources at their first step."""
        with self.ledger.write() as tx:
            sessions.move(tx, session, SessionStatus.RUNNING, started_at=tx.now)
            work.enrol(tx, session, [one.ordinal for one in sessions.resources(tx, session)], Step.ASSUME_ROLE)

    def move(self, session: str, status: str, *ordinals: int, **values: Any) -> None:
        """Give resources a status, and other values."""
        with self.ledger.write() as tx:
            for ordinal in ordinals:
                key = WorkKey(session, ordinal)
                if values:
                    sessions.remember(tx, key, **values)
                sessions.move_resource(tx, key, ResourceStatus(status))

    def end(self, session: str, status: str, *, reason: str | None = None) -> None:
        """Give a session its final status."""
        with self.ledger.write() as tx:
            sessions.move(tx, session, SessionStatus(status), reason=reason)

    def worker(self, session: str, ordinal: int, instance: str) -> None:
        """Give a resource a worker."""
        with self.ledger.write() as tx:
            sessions.remember(tx, WorkKey(session, ordinal), instance_id=instance)
            workers.enter(
                tx,
                instance_id=instance,
                account=HOME,
                region=REGION,
                session=session,
                ordinal=ordinal,
                attempt=1,
                role=None,
                state="running",
                instance_type="c5.large",
                availability_zone=f"{REGION}a",
            )

    def made(self, session: str, kind: str, name: str, *, removed: bool = False, keep: bool = False) -> None:
        """Write something in the cloud down."""
        with self.ledger.write() as tx:
            things.intend(tx, things.Thing(session=session, kind=kind, name=name, account=HOME, region=REGION))
            things.created(tx, session, kind, name, cloud_id=f"{kind}-{name}")
            if removed:
                things.removed(tx, session, kind, name)
            if keep:
                things.keep(tx, session, kind, name)

    def point(self, resource: str = "i-0a1b2c3d4e5f60718", *, made: datetime | None = None, **values: Any) -> str:
        """Put a restore point into the ledger."""
        found = f"rp-{ULID()}"
        volume = {"volumeId": "vol-0123456789abcdef0", "device": "/dev/xvda", "sizeGib": 8, "type": "gp3"}
        with self.ledger.write() as tx:
            points.add(
                tx,
                points.RestorePoint(
                    **{
                        "id": found,
                        "account": A,
                        "region": REGION,
                        "resource_id": resource,
                        "repository": "main",
                        "session": "s-none",
                        "kind": "full",
                        "status": "complete",
                        "parent": None,
                        "record": {"volumes": [volume], "consistency": "crash"},
                        "created_at": made or tx.now,
                        **values,
                    }
                ),
            )
        return found


def instances(count: int) -> Iterable[str]:
    """Return instance ids."""
    return [f"i-{number:017x}" for number in range(count)]
