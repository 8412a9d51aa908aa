"""A seeded embedded cloud and the product's own adapters on it, with the rights that the role documents give."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from localcloud.metadata import PREFIX
from localcloud.seed import CloudAddress, Foundation, Seeded, foundation, seed
from orchestrator.aws.cloud import AwsCloud
from orchestrator.model.plan import Access
from orchestrator.services import Install
from support.cloud import FAST, REGION, Keys, LocalCloud, local_cloud

HOME, FIRST, SECOND = "111111111111", "222222222222", "333333333333"
INSTALL = "test"


@dataclass(repr=False)
class World:
    """The cloud, what was seeded, and the product's cloud with the control plane's own credentials.

    It shows nothing of itself: it holds external ids.
    """

    cloud: LocalCloud
    foundation: Foundation
    seeded: Seeded
    product: AwsCloud
    install: Install
    external_ids: dict[str, str]

    def document(self, account: str) -> dict[str, Any]:
        """Return an account's entry of the registry."""
        return next(one for one in self.seeded.registry["accounts"] if one["id"] == account)

    @property
    def repository(self) -> dict[str, Any]:
        """The repository's entry of the registry."""
        return dict(self.seeded.registry["repositories"][0])

    def role(self, account: str, purpose: str) -> str:
        """Return the ARN of a registered role."""
        return str(self.document(account)["roles"][purpose])

    def access(self, account: str, purpose: str) -> Access:
        """Return the access of a registered role."""
        return Access(account=account, region=REGION, role=self.role(account, purpose))

    def network(self, account: str) -> tuple[str, str]:
        """Return the first subnet and the security group of an account's worker configuration."""
        configuration = self.document(account)["workerConfigurations"][0]
        return configuration["subnets"][0], configuration["securityGroups"][0]

    @property
    def control_plane(self) -> Keys:
        """The control plane's own keys."""
        return Keys(self.foundation.access_key, self.foundation.secret_key)

    def assume(self, account: str, purpose: str) -> Keys:
        """Take a registered role as the control plane does; return its keys, for calls that no adapter makes."""
        options = {"ExternalId": self.external_ids[account]} if account in self.external_ids else {}
        return self.cloud.assume(self.control_plane, self.role(account, purpose), **options)

    def source(self, account: str, **tags: str) -> str:
        """Launch an instance with one data volume, as its owner; return its id when it runs."""
        subnet, group = self.network(account)
        made = self.cloud.admin("ec2", account).run_instances(
            ImageId="ami-0da0000000000002b",
            InstanceType="t3.small",
            MinCount=1,
            MaxCount=1,
            SubnetId=subnet,
            SecurityGroupIds=[group],
            BlockDeviceMappings=[
                {"DeviceName": device, "Ebs": {"VolumeSize": 1, "VolumeType": "gp3"}}
                for device in ("/dev/xvda", "/dev/xvdf")
            ],
            TagSpecifications=[
                {"ResourceType": "instance", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
            ]
            if tags
            else [],
        )["Instances"][0]["InstanceId"]
        self.cloud.wait_for_state(account, made, "running")
        return str(made)

    def metadata(self, account: str, instance: str, path: str) -> tuple[int, str]:
        """Ask an instance's metadata with a token of its own; return status and text."""
        base = f"{PREFIX}{account}/{REGION}/{instance}/latest/"
        _, _, token = self.cloud.http("PUT", f"{base}api/token", headers={"X-aws-ec2-metadata-token-ttl-seconds": "60"})
        status, _, body = self.cloud.http("GET", base + path, headers={"X-aws-ec2-metadata-token": token.decode()})
        return status, body.decode()

    def worker_keys(self, account: str, instance: str) -> Keys:
        """Return the credentials that an instance finds in its metadata."""
        name = self.metadata(account, instance, "meta-data/iam/security-credentials/")[1]
        status, body = self.metadata(account, instance, f"meta-data/iam/security-credentials/{name}")
        assert status == 200
        found = json.loads(body)
        return Keys(found["AccessKeyId"], found["SecretAccessKey"], found["Token"])


@contextmanager
def seeded_world(directory: Path, *, accounts: int = 2, instances: int = 0) -> Iterator[World]:
    """Run an embedded cloud with a foundation and seeded accounts."""
    with local_cloud(directory / "cloud", FAST) as cloud:
        address = CloudAddress(cloud.url, cloud.server.admin_token)
        made = foundation(address, INSTALL)
        secrets = directory / "external-ids"
        seeded = seed(address, INSTALL, external_ids=secrets, accounts=accounts, instances=instances)
        address.close()
        external_ids = {path.name: path.read_text() for path in secrets.glob("*")}
        install = Install(
            id=INSTALL,
            control_bucket=made.control_bucket,
            control_region=REGION,
            report_queue=made.report_queue,
            home_account=made.home_account,
            worker_image=made.worker_image,
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", cloud.url)
            patch.setenv("AWS_ACCESS_KEY_ID", made.access_key)
            patch.setenv("AWS_SECRET_ACCESS_KEY", made.secret_key)
            patch.delenv("AWS_SESSION_TOKEN", raising=False)
            product = AwsCloud(install=install, external_id=external_ids.get)
            yield World(cloud, made, seeded, product, install, external_ids)
