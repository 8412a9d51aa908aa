"""Workers on an embedded cloud: a control bucket, a report queue, a worker role, and instances with a boot document."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from agent.protocol import Boot, Order, Report, order_key, result_key, stop_key, user_data
from localcloud.server import CloudServer
from localcloud.settings import Settings
from orchestrator import policies
from support.agents import SESSION
from support.cloud import CONTROL_ACCOUNT, FAST, REGION, LocalCloud
from support.servers import wait_for

BUCKET = "daywork-control-test"
QUEUE = "daywork-reports"
TINY = "support.tiny_agent:main"


@dataclass
class Heard:
    """A report and the sender that SQS attached."""

    report: Report
    sender: str


@dataclass
class Workers:
    """What the control plane would do by hand: launch, order, stop, listen."""

    cloud: LocalCloud
    boot: Boot
    image: str
    heard: list[Heard] = field(default_factory=list)

    def launch(self, count: int = 1, **boot: Any) -> list[str]:
        """Launch workers; `boot` replaces fields of the boot document. Returns their instance ids."""
        document = replace(self.boot, **boot)
        made = self.cloud.admin("ec2", CONTROL_ACCOUNT).run_instances(
            ImageId=self.image,
            MinCount=count,
            MaxCount=count,
            InstanceType="c5.large",
            UserData=user_data(document),
            IamInstanceProfile={"Name": "worker"},
            InstanceInitiatedShutdownBehavior="terminate",
        )
        return [one["InstanceId"] for one in made["Instances"]]

    def user_id(self, instance: str) -> str:
        """Return a worker's `aws:userid`."""
        role = self.cloud.admin("iam", CONTROL_ACCOUNT).get_role(RoleName="worker")["Role"]["RoleId"]
        return f"{role}:{instance}"

    def give(self, instance: str, given: Order) -> None:
        """Write an order."""
        self._s3.put_object(Bucket=BUCKET, Key=order_key(SESSION, self.user_id(instance)), Body=given.to_json())

    def stop(self, instance: str) -> None:
        """Ask a worker to stop."""
        self._s3.put_object(Bucket=BUCKET, Key=stop_key(SESSION, self.user_id(instance)), Body=b"stop")

    def result(self, instance: str) -> Report | None:
        """Return a worker's result object, or None."""
        key = result_key(SESSION, self.user_id(instance))
        if key not in [one["Key"] for one in self._s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]:
            return None
        return Report.from_json(self._s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())

    def listen(self) -> list[Heard]:
        """Take what is in the report queue; returns everything heard so far."""
        sqs = self.cloud.admin("sqs", CONTROL_ACCOUNT)
        while True:
            found = sqs.receive_message(
                QueueUrl=self.boot.report_queue, MaxNumberOfMessages=10, MessageSystemAttributeNames=["SenderId"]
            ).get("Messages", [])
            if not found:
                return self.heard
            for one in found:
                self.heard.append(Heard(Report.from_json(one["Body"]), one["Attributes"]["SenderId"]))
                sqs.delete_message(QueueUrl=self.boot.report_queue, ReceiptHandle=one["ReceiptHandle"])

    def of(self, instance: str, kind: str) -> list[Report]:
        """Return the reports of one kind that a worker has sent so far."""
        return [one.report for one in self.listen() if (one.report.instance_id, one.report.kind) == (instance, kind)]

    def wait_for(self, instance: str, kind: str, *, seconds: float = 20) -> Report:
        """Wait for a report of a kind."""
        wait_for(lambda: self.of(instance, kind), seconds=seconds)
        return self.of(instance, kind)[0]

    def wait_for_end(self, instance: str) -> None:
        """Wait until an instance is terminated."""
        self.cloud.wait_for_state(CONTROL_ACCOUNT, instance, "terminated")

    def console(self, instance: str) -> str:
        """Return a worker's console output."""
        return (self.cloud.server.cloud.directory / "console" / f"{instance}.log").read_text()

    @property
    def _s3(self) -> Any:
        return self.cloud.admin("s3", CONTROL_ACCOUNT)


def prepare(cloud: LocalCloud) -> Workers:
    """Make bucket, queue and worker role in the control account."""
    account = cloud.account(CONTROL_ACCOUNT)
    cloud.admin("s3", account).create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    queue = cloud.admin("sqs", account).create_queue(QueueName=QUEUE)["QueueUrl"]
    policy = policies.worker_role(
        install="test",
        control_bucket=BUCKET,
        report_queue_arn=f"arn:aws:sqs:{REGION}:{account}:{QUEUE}",
        repository=None,
        repository_role_arn=None,
    )
    cloud.role(account, "worker", trust=policies.ec2_trust(), policy=policy, profile=True)
    boot = Boot(
        install="test",
        session=SESSION,
        region=REGION,
        control_bucket=BUCKET,
        control_region=REGION,
        report_queue=queue,
        boot_seconds=60,
        heartbeat_seconds=1,
        silence_seconds=60,
    )
    image = cloud.admin("ec2", account).describe_images()["Images"][0]["ImageId"]
    return Workers(cloud, boot, image)


@contextmanager
def workers_on(directory: Path, *, agents: str | None = TINY, settings: Settings = FAST) -> Iterator[Workers]:
    """Run an embedded cloud in this process whose instances run `agents` (None: they stay empty)."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_DEFAULT_PROFILE", "AWS_CA_BUNDLE"):
            patch.delenv(name, raising=False)
        patch.setenv("AWS_CONFIG_FILE", str(directory / "no-config"))
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(directory / "no-credentials"))
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]))
        with CloudServer(directory, 0, settings, agents=agents) as server:
            cloud = LocalCloud(server)
            try:
                yield prepare(cloud)
            finally:
                cloud.close()
