"""The roles through which a job reaches data: assumed here, refreshed by themselves, never shown and never handed on.

A worker has one identity, its instance's role. Blocks and repositories of other accounts are reached through a **data
role** or **repository role** that the worker assumes. An `Access` is one identity in one Region, with the endpoints to
talk to.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final

from botocore.config import Config
from botocore.credentials import CredentialProvider, CredentialResolver, DeferredRefreshableCredentials
from botocore.exceptions import NoCredentialsError
from botocore.session import Session

from agent.session import models

#: AWS lets a role that was itself assumed (a worker's) be chained for an hour at most.
CHAIN: Final = timedelta(hours=1)

#: Control calls only (STS, KMS): few, so botocore's own retries are the one layer here.
_CONFIG: Final = Config(
    connect_timeout=3, read_timeout=10, max_pool_connections=4, retries={"mode": "standard", "total_max_attempts": 5}
)


#: Where the services of the open partitions are; botocore is asked for others, which costs a client.
_SUFFIXES: Final = MappingProxyType(
    {"aws": "amazonaws.com", "aws-us-gov": "amazonaws.com", "aws-cn": "amazonaws.com.cn"}
)


@dataclass(frozen=True, kw_only=True)
class FrozenKeys:
    """One moment's credentials; valid for at least ten more minutes unless refreshing keeps failing."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    token: str | None = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Access:
    """One identity in one Region. `endpoint_url` replaces every service's own endpoint when it is given."""

    session: Session = field(repr=False)
    region: str
    endpoint_url: str | None = None

    def keys(self) -> FrozenKeys:
        """Return credentials for one call; cheap, refreshed when due. Raises botocore's errors when they cannot be."""
        held = self.session.get_credentials()
        frozen = held.get_frozen_credentials() if held is not None else None
        if frozen is None or frozen.access_key is None or frozen.secret_key is None:
            raise NoCredentialsError
        return FrozenKeys(access_key=frozen.access_key, secret_key=frozen.secret_key, token=frozen.token)

    def client(self, service: str, region: str | None = None) -> Any:
        """Return a botocore client with explicit time-outs."""
        return self.session.create_client(
            service, region_name=region or self.region, endpoint_url=self.endpoint_url, config=_CONFIG
        )

    def endpoint(self, service: str) -> str:
        """Return the address of a service in this Region, in whichever partition the Region is.

        For the bulk clients, which are not botocore's; they honour the same environment variables as botocore.
        """
        chosen = self.endpoint_url or os.environ.get(f"AWS_ENDPOINT_URL_{service.upper()}")
        if chosen is not None:
            return chosen.rstrip("/")
        suffix = _SUFFIXES.get(self.session.get_partition_for_region(self.region))
        if suffix is None:
            return str(self.client(service).meta.endpoint_url)
        return f"https://{service}.{self.region}.{suffix}"


def reach(
    session: Session, *, region: str, role_arn: str | None, session_name: str, endpoint_url: str | None = None
) -> Access:
    """Return access as `role_arn`, or as the session's own identity when it is None. Nothing is called yet.

    `session_name` is the worker's id, so that every call in another account's trail names the worker.
    """
    own = Access(session=session, region=region, endpoint_url=endpoint_url)
    if role_arn is None:
        return own
    assumed = Session(session_vars={"profile": (None, None, None, None)})
    assumed.register_component("data_loader", models())
    provider = _Assumed(lambda: _assume(own, role_arn, session_name))
    assumed.register_component("credential_provider", CredentialResolver([provider]))
    # Loaded once, before threads share it: two loads would be two roles assumed.
    assumed.get_credentials()
    return Access(session=assumed, region=region, endpoint_url=endpoint_url)


def _assume(own: Access, role_arn: str, session_name: str) -> dict[str, str]:
    answer = own.client("sts").assume_role(
        RoleArn=role_arn, RoleSessionName=session_name, DurationSeconds=int(CHAIN.total_seconds())
    )["Credentials"]
    return {
        "access_key": answer["AccessKeyId"],
        "secret_key": answer["SecretAccessKey"],
        "token": answer["SessionToken"],
        "expiry_time": answer["Expiration"].isoformat(),
    }


class _Assumed(CredentialProvider):
    METHOD = "assume-role"

    def __init__(self, assume: Callable[[], dict[str, str]]) -> None:
        super().__init__()
        self._assume = assume

    def load(self) -> Any:
        return DeferredRefreshableCredentials(refresh_using=self._assume, method=self.METHOD)
