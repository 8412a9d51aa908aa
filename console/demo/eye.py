"""An auditor's look at the embedded cloud: what is alive in every account, and whether two volumes hold the same bytes.

It uses administrators' keys that only the embedded cloud hands out, and nothing of the product: what it finds does not
depend on what the product believes.
"""

from __future__ import annotations

import hashlib
import json
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.config import Config

BLOCK: Final = 512 * 1024
_ZERO: Final = hashlib.sha256(bytes(BLOCK)).digest()
_ALIVE: Final = ("pending", "running", "stopping", "stopped", "shutting-down")
_CONFIG: Final = Config(retries={"mode": "standard", "total_max_attempts": 3}, connect_timeout=5, read_timeout=60)


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """Something of an install that is in the cloud."""

    kind: str
    account: str
    name: str

    def __str__(self) -> str:
        """One line for a person."""
        return f"{self.kind} {self.name} in account {self.account}"


class Eye:
    """Looks at one embedded cloud. `directory` is the cloud's own; it holds the administrator's token."""

    def __init__(self, endpoint: str, directory: Path, *, region: str = "eu-west-1") -> None:
        self.endpoint = endpoint
        self.region = region
        self._token = (directory / "admin-token").read_text()
        self._sessions: dict[str, Any] = {}
        self._clients: dict[tuple[str, str], Any] = {}

    def client(self, account: str, service: str) -> Any:
        """Return a boto3 client with an administrator's key of an account; making one costs more than using it."""
        if (account, service) not in self._clients:
            session = self._session(account)
            self._clients[account, service] = session.client(service, endpoint_url=self.endpoint, config=_CONFIG)
        return self._clients[account, service]

    def _session(self, account: str) -> Any:
        if account not in self._sessions:
            key = self._post("/_sim/accounts", {"account": account})
            self._sessions[account] = boto3.Session(
                aws_access_key_id=key["accessKeyId"],
                aws_secret_access_key=key["secretAccessKey"],
                region_name=self.region,
            )
        return self._sessions[account]

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(  # noqa: S310 - the cloud's own loopback address
            self.endpoint + path,
            data=json.dumps(body).encode(),
            headers={"X-Sim-Token": self._token, "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - as above
            return json.load(answer)

    # --- what is there --------------------------------------------------------------------------------------------

    def left(
        self, accounts: Sequence[str], *, install: str, control_bucket: str, control_account: str
    ) -> list[Leftover]:
        """List what an install has left: workers alive, instances half restored, images, roles, snapshots, orders."""
        found: list[Leftover] = []
        for account in accounts:
            found += self._compute_left(account, install)
            found += self._roles_left(account, install)
        s3 = self.client(control_account, "s3")
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=control_bucket, Prefix="orders/")
        found += [
            Leftover(kind="order", account=control_account, name=one["Key"])
            for page in pages
            for one in page.get("Contents", [])
        ]
        return found

    def _compute_left(self, account: str, install: str) -> Iterator[Leftover]:
        ec2 = self.client(account, "ec2")
        ours = [{"Name": "tag:daywork:install", "Values": [install]}]
        half_made = [{"Name": "tag:daywork:restoring", "Values": [install]}]
        for kind, filters in (("worker", ours), ("instance under restore", half_made)):
            for page in ec2.get_paginator("describe_instances").paginate(Filters=filters):
                for one in [one for reservation in page["Reservations"] for one in reservation["Instances"]]:
                    if one["State"]["Name"] in _ALIVE:
                        yield Leftover(kind=kind, account=account, name=one["InstanceId"])
        for one in ec2.describe_images(Owners=["self"], Filters=ours)["Images"]:
            yield Leftover(kind="image", account=account, name=one["ImageId"])
        for page in ec2.get_paginator("describe_snapshots").paginate(OwnerIds=["self"], Filters=ours):
            for one in page["Snapshots"]:
                yield Leftover(kind="snapshot", account=account, name=one["SnapshotId"])

    def _roles_left(self, account: str, install: str) -> Iterator[Leftover]:
        iam, path = self.client(account, "iam"), f"/daywork/{install}/"
        for one in iam.list_roles(PathPrefix=path)["Roles"]:
            yield Leftover(kind="temporary role", account=account, name=one["RoleName"])
        for one in iam.list_instance_profiles(PathPrefix=path)["InstanceProfiles"]:
            yield Leftover(kind="instance profile", account=account, name=one["InstanceProfileName"])

    def profile_of(self, account: str, role: str) -> tuple[str, ...]:
        """Return a role's unique id and the profiles it stands in: equal before and after means untouched."""
        iam = self.client(account, "iam")
        profiles = iam.list_instance_profiles_for_role(RoleName=role)["InstanceProfiles"]
        return (
            iam.get_role(RoleName=role)["Role"]["RoleId"],
            *sorted(one["InstanceProfileId"] for one in profiles),
        )

    def waiting_reports(self, account: str, queue_url: str) -> int:
        """Count the messages in the report queue."""
        answer = self.client(account, "sqs").get_queue_attributes(
            QueueUrl=queue_url, AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        )["Attributes"]
        return sum(int(value) for value in answer.values())

    # --- bytes ----------------------------------------------------------------------------------------------------

    def blocks(self, account: str, volume: str) -> dict[int, bytes]:
        """Return the SHA-256 of every block of a volume that is not zero, read through the EBS direct API."""
        ec2, ebs = self.client(account, "ec2"), self.client(account, "ebs")
        snapshot = ec2.create_snapshot(VolumeId=volume, Description="an auditor's look")["SnapshotId"]
        try:
            _until(lambda: ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]["State"] == "completed")
            return dict(self._digests(ebs, snapshot))
        finally:
            ec2.delete_snapshot(SnapshotId=snapshot)

    def overwrite(self, account: str, volume: str, blocks: Mapping[int, bytes], directory: Path) -> None:
        """Write blocks to a volume, as its instance would; an image of it has to find room in `directory`."""
        page, image = f"/_sim/volumes/{account}/{self.region}/{volume}", directory.resolve() / f"{volume}.img"
        self._post(f"{page}/export", {"path": str(image)})
        try:
            with image.open("r+b") as file:
                for index, data in blocks.items():
                    file.seek(index * BLOCK)
                    file.write(data)
            self._post(f"{page}/import", {"path": str(image)})
        finally:
            image.unlink()

    def _digests(self, ebs: Any, snapshot: str) -> Iterator[tuple[int, bytes]]:
        token: dict[str, str] = {}
        while True:
            page = ebs.list_snapshot_blocks(SnapshotId=snapshot, MaxResults=1000, **token)
            for one in page.get("Blocks", []):
                answer = ebs.get_snapshot_block(
                    SnapshotId=snapshot, BlockIndex=one["BlockIndex"], BlockToken=one["BlockToken"]
                )
                digest = hashlib.sha256(answer["BlockData"].read()).digest()
                if digest != _ZERO:
                    yield one["BlockIndex"], digest
            if not page.get("NextToken"):
                return
            token = {"NextToken": page["NextToken"]}


def _until(condition: Callable[[], bool], *, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the cloud did not get there in time")
        time.sleep(0.1)
