"""Assumed roles: made in this process, refreshed by themselves, never shown and never handed on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from threading import RLock
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import DeferredRefreshableCredentials

from orchestrator.aws.errors import translated
from orchestrator.aws.models import models
from orchestrator.model.plan import Access

#: Role chaining is limited to an hour by AWS.
SPAN = timedelta(hours=1)

_CONFIG = Config(
    connect_timeout=5,
    read_timeout=30,
    max_pool_connections=16,
    retries={"mode": "standard", "total_max_attempts": 5},
    user_agent_appid="daywork",  # type: ignore[call-arg]  # newer than the stubs
)
#: A launch is repeated by its batch with the same token, never by the client: it would hide capacity errors for long.
_LAUNCH_CONFIG = _CONFIG.merge(Config(retries={"mode": "standard", "total_max_attempts": 1}, read_timeout=60))


class Identities:
    """The roles of the control plane. Thread-safe; made once a process, after its fork."""

    def __init__(self, *, install: str, region: str, external_id: Callable[[str], str | None]) -> None:
        """Take the install's id (the role session's name), a Region for STS and where external ids are read."""
        self._name = f"daywork-{install}"
        self._region = region
        self._external_id = external_id
        self._lock = RLock()
        self._sessions: dict[str | None, Any] = {}
        self._clients: dict[tuple[str | None, str, str, bool], Any] = {}

    def __repr__(self) -> str:
        """Show nothing of what is inside."""
        return f"Identities({self._name!r})"

    def client(self, service: str, role: str | None, region: str, *, launching: bool = False) -> Any:
        """Return a boto3 client for a role (None: the process's own identity); one for each, kept."""
        key = (role, region, service, launching)
        with self._lock:
            found = self._clients.get(key)
            if found is None:
                config = _LAUNCH_CONFIG if launching else _CONFIG
                found = self._session(role).client(service, region_name=region, config=config)
                self._clients[key] = found
            return found

    def session(self, role: str | None) -> Any:
        """Return the botocore session of a role (None: the process's own identity), for libraries that sign themselves.

        Its credentials are refreshed by themselves.
        """
        with self._lock:
            return self._session(role)._session  # noqa: SLF001 - boto3 offers no public way

    def check(self, access: Access) -> None:
        """Make sure that the role can be assumed now. Raises `AccessDenied` with the remedy."""
        if access.role is None:
            return
        with self._lock:
            session = self._session(access.role)
        with translated(f"assume {access.role}"):
            session.get_credentials().get_frozen_credentials()

    def _session(self, role: str | None) -> Any:
        found = self._sessions.get(role)
        if found is None:
            found = boto3.Session(botocore_session=_bare()) if role is None else self._assumed(role)
            self._sessions[role] = found
        return found

    def _assumed(self, role: str) -> Any:
        inner = _bare()
        inner._credentials = DeferredRefreshableCredentials(  # noqa: SLF001 - botocore offers no public way
            refresh_using=lambda: self._assume(role), method="assume-role"
        )
        return boto3.Session(botocore_session=inner)

    def _assume(self, role: str) -> dict[str, str]:
        account = role.split(":")[4]
        parameters: dict[str, Any] = {
            "RoleArn": role,
            "RoleSessionName": self._name,
            "DurationSeconds": int(SPAN.total_seconds()),
        }
        external_id = self._external_id(account)
        if external_id is not None:
            parameters["ExternalId"] = external_id
        answer = self.client("sts", None, self._region).assume_role(**parameters)["Credentials"]
        return {
            "access_key": answer["AccessKeyId"],
            "secret_key": answer["SecretAccessKey"],
            "token": answer["SessionToken"],
            "expiry_time": answer["Expiration"].isoformat(),
        }


def _bare() -> Any:
    session = botocore.session.Session()
    session.register_component("data_loader", models())
    return session
