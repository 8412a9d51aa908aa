"""Two laboratories for one exam: the fake cloud, and the real adapters on the embedded cloud. Same words for both."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Protocol

from agent.protocol import Report
from orchestrator import tags
from orchestrator.aws.cloud import AwsCloud
from orchestrator.errors import (
    AccessDenied,
    Ambiguous,
    CloudError,
    NoCapacity,
    QuotaExceeded,
    Throttled,
    WrongRequest,
)
from orchestrator.model.plan import Access, TemporaryRole
from orchestrator.policies import BACKUP_PREFIX
from orchestrator.ports import BackupStore, Cloud, KeyView, LaunchCall, Reports
from orchestrator.services import Install
from support import install as values
from support.clock import FakeClock
from support.fakes.archives import FakePack
from support.fakes.backups import FakeBackups
from support.fakes.cloud import FakeCloud
from support.fakes.world import World
from support.seeded import World as Seeded, seeded_world
from support.servers import wait_for

HOME, FIRST = values.HOME, values.A

#: What AWS says, and the class that it has to arrive as.
CODES: dict[str, type[CloudError]] = {
    "RequestLimitExceeded": Throttled,
    "InsufficientInstanceCapacity": NoCapacity,
    "VcpuLimitExceeded": QuotaExceeded,
    "UnauthorizedOperation": AccessDenied,
    "InternalError": Ambiguous,
    "InvalidAMIID.Malformed": WrongRequest,
}

_numbers = itertools.count(1)


class Lab(Protocol):
    """What a test of a port may ask for beside the port itself."""

    install: Install
    cloud: Cloud

    def access(self, account: str, purpose: str) -> Access:
        """Return the access of a registered role."""

    def wrong_cloud(self) -> Cloud:
        """Return a cloud that knows a wrong external id for every account."""

    def source(self, account: str, **marks: str) -> str:
        """Add a running instance with a root volume and a data volume; return its id."""

    def call(self, account: str, *, count: int = 1, **changes: Any) -> LaunchCall:
        """Return a launch call that this account can carry out, with a token of its own."""

    def refuse(self, operation: str, code: str) -> None:
        """Have the next call of an operation refused with AWS's code."""

    def lose_answer(self, operation: str) -> None:
        """Have the next call of an operation take effect and its answer lost."""

    def until(self, condition: Callable[[], bool]) -> None:
        """Let time pass until a condition holds."""

    def reports(self) -> Reports:
        """Return the report queue."""

    def backups(self) -> BackupStore:
        """Return where copies of the ledger are kept."""

    def spoil_backup(self, name: str) -> None:
        """Put other bytes in place of a copy's own, and leave what was said of it."""

    def send(self, report: Report) -> str:
        """Send a report as a worker does; return the sender that the queue attaches."""

    def trash(self) -> None:
        """Send something that is no report."""

    def key(self, account: str) -> str:
        """Make a KMS key whose policy lets its account decide; return its ARN."""

    def forbid(self, account: str, purpose: str, action: str, resource: str) -> None:
        """Take a right away from a registered role."""

    def vault(self) -> tuple[Access, str]:
        """Return who may list archived packs and ask for them, and the archive's url."""

    def pack(self, owner: str) -> str:
        """Put a pack of this owner into folder `packs/ab` of the archive, asleep; return its key."""


def temporary_role(path: str = "/daywork/test/") -> TemporaryRole:
    """Return a temporary role with a name of its own."""
    return TemporaryRole(name=f"dw-contract-{next(_numbers)}", path=path, account=HOME, region=values.REGION)


class FakeLab:
    """The fake."""

    def __init__(self) -> None:
        """Furnish a world."""
        self.clock = FakeClock()
        self.world = World(self.clock)
        values.furnish(self.world)
        self.install = values.install()
        self.cloud: Cloud = FakeCloud(self.world, self.install, values.EXTERNAL_IDS.get)
        self.copies = FakeBackups()

    def access(self, account: str, purpose: str) -> Access:
        """See `Lab`."""
        role = values.arn(account, f"Daywork{purpose[0].upper()}{purpose[1:]}")
        return Access(account=account, region=values.REGION, role=role)

    def backups(self) -> FakeBackups:
        """See `Lab`."""
        return self.copies

    def spoil_backup(self, name: str) -> None:
        """See `Lab`."""
        self.copies.bodies[name] += b"more"

    def wrong_cloud(self) -> Cloud:
        """See `Lab`."""
        return FakeCloud(self.world, self.install, lambda _: "wrong")

    def source(self, account: str, **marks: str) -> str:
        """See `Lab`."""
        return self.world.add_instance(account, values.REGION, 1, 1, tags=marks).id

    def call(self, account: str, *, count: int = 1, **changes: Any) -> LaunchCall:
        """See `Lab`."""
        del account
        changes.setdefault("profile", "DayworkWorker")
        return _call(self.install, "subnet-production-a-1", "sg-production-a", count=count, **changes)

    def refuse(self, operation: str, code: str) -> None:
        """See `Lab`."""
        self.world.script.fail(operation, CODES[code](f"{code}: refused", code=code))

    def lose_answer(self, operation: str) -> None:
        """See `Lab`."""
        self.world.script.fail(operation, Ambiguous("no answer"), after=True)

    def until(self, condition: Callable[[], bool]) -> None:
        """See `Lab`."""
        for _ in range(100):
            if condition():
                return
            self.clock.pass_by(timedelta(seconds=5))
        raise TimeoutError("the condition did not come true")

    def reports(self) -> Reports:
        """See `Lab`."""
        return FakeCloud(self.world, self.install, values.EXTERNAL_IDS.get).reports()

    def send(self, report: Report) -> str:
        """See `Lab`."""
        from support.fakes.agent import Agents

        Agents(self.world).post(report, report.user_id)
        return report.user_id

    def trash(self) -> None:
        """See `Lab`. The fake queue holds reports only, so there is nothing to do."""

    def key(self, account: str) -> str:
        """See `Lab`."""
        arn = f"arn:aws:kms:{values.REGION}:{account}:key/{next(_numbers):08d}-0000-0000-0000-000000000000"
        policy = _key_policy(account)
        self.world.keys[arn] = KeyView(arn=arn, is_enabled=True, is_managed_by_aws=False, policy=policy)
        return arn

    def forbid(self, account: str, purpose: str, action: str, resource: str) -> None:
        """See `Lab`."""
        self.world.forbidden.add((str(self.access(account, purpose).role), action, resource))

    def vault(self) -> tuple[Access, str]:
        """See `Lab`."""
        if (HOME, "DayworkRepositoryReader") not in self.world.roles:
            self.world.add_role(HOME, "DayworkRepositoryReader")
        self.world.timing.retrieval = timedelta(minutes=4)
        return self.access(HOME, "repositoryReader"), "s3://vault/main"

    def pack(self, owner: str) -> str:
        """See `Lab`."""
        key = f"packs/ab/{'0' * 8}{owner}{next(_numbers):016x}"
        made = FakePack(folder="packs/ab", owner=owner, key=key)
        self.world.archives.setdefault("s3://vault/main", []).append(made)
        return key


class EmbeddedLab:
    """The real adapters on the embedded cloud, with the rights that the role documents give."""

    _OPERATIONS: ClassVar = {
        "launch": "ec2:RunInstances",
        "make_snapshots": "ec2:CreateSnapshots",
        "make_volume": "ec2:CreateVolume",
        "terminate": "ec2:TerminateInstances",
    }

    def __init__(self, seeded: Seeded) -> None:
        """Take the seeded cloud."""
        self.seeded = seeded
        self.install = seeded.install
        self.cloud: Cloud = seeded.product

    def access(self, account: str, purpose: str) -> Access:
        """See `Lab`."""
        return self.seeded.access(account, purpose)

    def wrong_cloud(self) -> Cloud:
        """See `Lab`."""
        return AwsCloud(install=self.install, external_id=lambda _: "wrong-external-id")

    def source(self, account: str, **marks: str) -> str:
        """See `Lab`."""
        return self.seeded.source(account, **marks)

    def call(self, account: str, *, count: int = 1, **changes: Any) -> LaunchCall:
        """See `Lab`."""
        subnet, group = self.seeded.network(account)
        if "profile" not in changes:
            access = self.access(account, "backup")
            changes["profile"] = self.cloud.roles(access).worker_profile(self.seeded.role(account, "worker"))[0]
        return _call(self.install, subnet, group, count=count, **changes)

    def refuse(self, operation: str, code: str) -> None:
        """See `Lab`."""
        self.seeded.cloud.fault(self._OPERATIONS[operation], "error", code=code, times=1)

    def lose_answer(self, operation: str) -> None:
        """See `Lab`."""
        self.seeded.cloud.fault(self._OPERATIONS[operation], "reset-after", times=1)

    def until(self, condition: Callable[[], bool]) -> None:
        """See `Lab`."""
        wait_for(condition, seconds=20, every=0.02)

    def reports(self) -> Reports:
        """See `Lab`."""
        return self.seeded.product.reports()

    def backups(self) -> BackupStore:
        """See `Lab`."""
        return self.seeded.product.backups()

    def spoil_backup(self, name: str) -> None:
        """See `Lab`."""
        s3, place = self.seeded.cloud.admin("s3", HOME), {"Bucket": self.install.control_bucket}
        place["Key"] = BACKUP_PREFIX + name
        found = s3.get_object(**place)
        s3.put_object(**place, Body=found["Body"].read() + b"more", Metadata=found["Metadata"])

    def _sqs(self) -> Any:
        return self.seeded.cloud.admin("sqs", HOME)

    def send(self, report: Report) -> str:
        """See `Lab`. It is sent by an administrator here: who sent it is the queue's word, not the report's."""
        self._sqs().send_message(QueueUrl=self.install.report_queue, MessageBody=report.to_json())
        sts = self.seeded.cloud.admin("sts", HOME)
        return str(sts.get_caller_identity()["UserId"])

    def trash(self) -> None:
        """See `Lab`."""
        for body in ("not json", '{"kind":"ready"}', "[]"):
            self._sqs().send_message(QueueUrl=self.install.report_queue, MessageBody=body)

    def key(self, account: str) -> str:
        """See `Lab`."""
        made = self.seeded.cloud.admin("kms", account).create_key(Policy=_key_policy(account))
        return str(made["KeyMetadata"]["Arn"])

    def forbid(self, account: str, purpose: str, action: str, resource: str) -> None:
        """See `Lab`."""
        role = self.seeded.role(account, purpose).rsplit("/", 1)[-1]
        denial = {"Effect": "Deny", "Action": action, "Resource": resource}
        self.seeded.cloud.admin("iam", account).put_role_policy(
            RoleName=role,
            PolicyName="forbidden",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": denial}),
        )

    def vault(self) -> tuple[Access, str]:
        """See `Lab`."""
        repository = self.seeded.repository
        access = Access(account=HOME, region=values.REGION, role=repository["reader"])
        return access, str(repository["archive"]["url"])

    def pack(self, owner: str) -> str:
        """See `Lab`."""
        key = f"packs/ab/{'0' * 8}{owner}{next(_numbers):016x}"
        bucket = self.vault()[1].removeprefix("s3://")
        self.seeded.cloud.admin("s3", HOME).put_object(Bucket=bucket, Key=key, Body=bytes(1000), StorageClass="GLACIER")
        return key


def _key_policy(account: str) -> str:
    root = {"AWS": f"arn:aws:iam::{account}:root"}
    statement = {"Effect": "Allow", "Principal": root, "Action": "kms:*", "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _call(install: Install, subnet: str, group: str, *, count: int, **changes: Any) -> LaunchCall:
    number = next(_numbers)
    base: dict[str, Any] = {
        "token": f"contract-{number}",
        "count": count,
        "instance_type": "c5.large",
        "image": install.worker_image,
        "subnet": subnet,
        "security_groups": (group,),
        "user_data": "#!/bin/sh\n",
        "tags": tags.session_tags(install.id, f"s-contract-{number}"),
    }
    return LaunchCall(**{**base, **changes})


@contextmanager
def embedded_lab(directory: Path) -> Iterator[EmbeddedLab]:
    """Run an embedded cloud and return the laboratory on it."""
    with seeded_world(directory, accounts=2, instances=0) as seeded:
        yield EmbeddedLab(seeded)
