"""An embedded cloud inside the test process, and the few words in which tests speak to it.

Use the fixture by importing it into a conftest (`from support.cloud import cloud as cloud`): one cloud per test module.
Tests of a module share it, so each makes accounts of its own with `cloud.account()`. `local_cloud` is the same for a
test that wants other settings or parts.
"""

from __future__ import annotations

import http.client
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import boto3
import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from localcloud.call import Plugin
from localcloud.server import CloudServer
from localcloud.settings import Settings
from support.servers import wait_for

REGION: Final = "eu-west-1"
CONTROL_ACCOUNT: Final = "111111111111"
#: Settings without waiting: instances run and end as fast as the lifecycle's thread comes to it.
FAST: Final = Settings(boot=timedelta(0), shutdown=timedelta(0), control_account=CONTROL_ACCOUNT)
EC2_TRUST: Final = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
EVERYTHING: Final = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


@dataclass(frozen=True)
class Keys:
    """Credentials; `token` only for those of a role."""

    access_key: str
    secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


class LocalCloud:
    """A running embedded cloud, its accounts and clients."""

    def __init__(self, server: CloudServer) -> None:
        self.server = server
        self.url = server.url
        self._session = boto3.Session(botocore_session=botocore.session.Session())
        self._clients: dict[Any, Any] = {}
        self._accounts = itertools.count(500000000001)
        self._administrators: dict[str, Keys] = {}

    # --- accounts, users, roles ---

    def account(self, account: str | None = None) -> str:
        """Make an account (a new one unless its id is given) with an administrator; return its id."""
        account = account or str(next(self._accounts))
        if account not in self._administrators:
            status, made = self.sim("POST", "accounts", {"account": account}, token=self.server.admin_token)
            assert status == 201, made
            self._administrators[account] = Keys(made["accessKeyId"], made["secretAccessKey"])
        return account

    def administrator(self, account: str) -> Keys:
        """Return the keys of an account's administrator."""
        return self._administrators[self.account(account)]

    def user(self, account: str, name: str, policy: Mapping[str, Any] | None = None) -> Keys:
        """Make an IAM user with an inline policy; return its access key."""
        iam = self.admin("iam", account)
        iam.create_user(UserName=name)
        if policy is not None:
            iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=json.dumps(policy))
        made = iam.create_access_key(UserName=name)["AccessKey"]
        return Keys(made["AccessKeyId"], made["SecretAccessKey"])

    def role(
        self,
        account: str,
        name: str,
        *,
        trust: Mapping[str, Any] = EC2_TRUST,
        policy: Mapping[str, Any] | None = None,
        profile: bool = False,
        **options: Any,
    ) -> str:
        """Make a role (with an instance profile of the same name if `profile`); return its ARN."""
        iam = self.admin("iam", account)
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust), **options)["Role"]["Arn"]
        if policy is not None:
            iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(policy))
        if profile:
            iam.create_instance_profile(InstanceProfileName=name)
            iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
        return str(arn)

    def assume(self, keys: Keys, role: str, name: str = "test", **options: Any) -> Keys:
        """Take a role; return the session's keys. Raises botocore's ClientError."""
        answer = self.client("sts", keys).assume_role(RoleArn=role, RoleSessionName=name, **options)["Credentials"]
        return Keys(answer["AccessKeyId"], answer["SecretAccessKey"], answer["SessionToken"])

    # --- clients ---

    def client(self, service: str, keys: Keys, region: str = REGION, **config: Any) -> Any:
        """Return a boto3 client; it retries nothing unless `config` (of botocore's Config) says so. Kept and shared."""
        settings = {
            "retries": {"mode": "standard", "total_max_attempts": 1},
            "connect_timeout": 5,
            "read_timeout": 30,
            "s3": {"addressing_style": "path"},
            **config,
        }
        key = (service, keys, region, json.dumps(settings, sort_keys=True))
        if key not in self._clients:
            self._clients[key] = self._session.client(
                service,
                region_name=region,
                endpoint_url=self.url,
                aws_access_key_id=keys.access_key,
                aws_secret_access_key=keys.secret,
                aws_session_token=keys.token,
                config=Config(**settings),
            )
        return self._clients[key]

    def admin(self, service: str, account: str, region: str = REGION, **config: Any) -> Any:
        """Return a client of an account's administrator."""
        return self.client(service, self.administrator(account), region, **config)

    # --- the cloud's own pages ---

    def http(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Send a plain HTTP request; return status, headers (lower-case names) and body."""
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def sim(self, method: str, page: str, body: Any = None, *, token: str | None = None) -> tuple[int, Any]:
        """Ask a page under `/_sim/`; return status and document."""
        data = None if body is None else json.dumps(body).encode()
        status, _, text = self.http(method, f"/_sim/{page}", data, {} if token is None else {"X-Sim-Token": token})
        return status, json.loads(text)

    def fault(self, operation: str, kind: str, **rule: Any) -> str:
        """Add a fault rule; return its id."""
        status, made = self.sim("POST", "faults", {"operation": operation, "kind": kind, **rule})
        assert status == 201, made
        return str(made["id"])

    def calls(self, operation: str, account: str | None = None) -> list[dict[str, Any]]:
        """Return the logged calls of one operation (`ec2:RunInstances`), oldest first, of one account or of all."""
        logged = self.sim("GET", "calls")[1]["calls"]
        return [
            one for one in logged if one["operation"] == operation and (account is None or account == one["account"])
        ]

    # --- instances ---

    def network(self, account: str, region: str = REGION) -> tuple[str, str]:
        """Return a subnet and a security group of the account's default VPC."""
        ec2 = self.admin("ec2", account, region)
        subnet = min(ec2.describe_subnets()["Subnets"], key=lambda one: one["AvailabilityZone"])
        groups = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [subnet["VpcId"]]}])
        return subnet["SubnetId"], groups["SecurityGroups"][0]["GroupId"]

    def instance_state(self, account: str, instance: str, region: str = REGION) -> str:
        """Return an instance's state."""
        described = self.admin("ec2", account, region).describe_instances(InstanceIds=[instance])
        return str(described["Reservations"][0]["Instances"][0]["State"]["Name"])

    def wait_for_state(self, account: str, instance: str, state: str, region: str = REGION) -> None:
        """Wait until an instance is in a state."""
        wait_for(lambda: self.instance_state(account, instance, region) == state, seconds=20, every=0.01)

    def close(self) -> None:
        """Close all clients and forget all fault rules."""
        self.sim("DELETE", "faults")
        for client in self._clients.values():
            client.close()
        self._clients.clear()


def code(call: Callable[[], Any]) -> str:
    """Make a call that must be refused; return AWS's error code."""
    with pytest.raises(ClientError) as caught:
        call()
    return str(caught.value.response["Error"]["Code"])


@contextmanager
def local_cloud(
    directory: Path,
    settings: Settings = FAST,
    plugins: Sequence[Plugin] = (),
    *,
    port: int = 0,
    agents: str | None = None,
) -> Iterator[LocalCloud]:
    """Run an embedded cloud in this process, its instances empty unless `agents` names a program for them.

    There can be one at a time.
    """
    with pytest.MonkeyPatch.context() as patch:
        # What the developer's own shell says about AWS must not reach the clients.
        for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_DEFAULT_PROFILE", "AWS_CA_BUNDLE"):
            patch.delenv(name, raising=False)
        patch.setenv("AWS_CONFIG_FILE", str(directory / "no-config"))
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(directory / "no-credentials"))
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        with CloudServer(directory, port, settings, plugins, agents=agents) as server:
            made = LocalCloud(server)
            try:
                yield made
            finally:
                made.close()


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """An embedded cloud for one test module."""
    with local_cloud(tmp_path_factory.mktemp("cloud")) as made:
        yield made
