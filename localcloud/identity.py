"""Who signs: IAM users with access keys, and sessions of roles.

moto's own idea of temporary credentials does not check anything; sessions are therefore kept here. A session lives as
long as its role's id: a role removed and made again under the same name is another role.
"""

from __future__ import annotations

import secrets
import string
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from localcloud import state
from localcloud.call import Principal
from localcloud.errors import AwsError

_UPPER: Final = string.ascii_uppercase + "234567"
#: Expired sessions are forgotten in passing, whenever this many new ones were made.
_FORGET_EVERY: Final = 256


@dataclass(frozen=True)
class Session:
    """Temporary credentials of a role. `expires` is Unix time; `policies` are session policies as JSON texts."""

    account: str
    role_id: str
    role_name: str
    role_arn: str
    name: str
    access_key: str
    secret: str = field(repr=False)
    token: str = field(repr=False)
    expires: float
    policies: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    instance_arn: str | None = None

    @property
    def user_id(self) -> str:
        """`aws:userid`: role id and session name."""
        return f"{self.role_id}:{self.name}"

    @property
    def arn(self) -> str:
        """The ARN of the assumed role session."""
        return f"arn:aws:sts::{self.account}:assumed-role/{self.role_name}/{self.name}"


@dataclass(frozen=True)
class Identity:
    """A resolved signer: its principal, its secret, and moto's role or user behind it."""

    principal: Principal
    secret: str = field(repr=False)
    role: Any = field(default=None, repr=False)
    user: Any = field(default=None, repr=False)
    session: Session | None = field(default=None, repr=False)


class Identities:
    """All signers of the cloud. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._sessions: dict[str, Session] = {}
        self._homes: dict[str, str] = {}
        self._lock = threading.Lock()
        self._made = 0

    def open_session(
        self,
        role: Any,
        name: str,
        duration: timedelta,
        *,
        policies: tuple[str, ...] = (),
        tags: Mapping[str, str] | None = None,
        instance_arn: str | None = None,
    ) -> Session:
        """Make temporary credentials for a session `name` of moto's `role`."""
        session = Session(
            account=role.account_id,
            role_id=role.id,
            role_name=role.name,
            role_arn=role.arn,
            name=name,
            access_key="ASIA" + "".join(secrets.choice(_UPPER) for _ in range(16)),
            secret=secrets.token_urlsafe(30),
            token=secrets.token_urlsafe(180),
            expires=self._clock() + duration.total_seconds(),
            policies=policies,
            tags=dict(tags or {}),
            instance_arn=instance_arn,
        )
        with self._lock:
            self._sessions[session.access_key] = session
            self._made += 1
            if self._made % _FORGET_EVERY == 0:
                # Kept an hour past their end, so that their holders hear ExpiredToken rather than InvalidClientTokenId.
                limit = self._clock() - 3600
                self._sessions = {key: kept for key, kept in self._sessions.items() if kept.expires > limit}
        return session

    def resolve(self, access_key: str, token: str | None) -> Identity:
        """Return who holds `access_key`. Raises `AwsError`: InvalidClientTokenId; ExpiredToken."""
        if access_key.startswith("ASIA"):
            return self._resolve_session(access_key, token)
        return self._resolve_user(access_key, token)

    def _resolve_session(self, access_key: str, token: str | None) -> Identity:
        session = self._sessions.get(access_key)
        if session is None or token is None or not secrets.compare_digest(session.token.encode(), token.encode()):
            raise _invalid()
        if self._clock() >= session.expires:
            raise AwsError("ExpiredToken", "The security token included in the request is expired")
        role = state.iam(session.account).roles.get(session.role_id)
        if role is None:
            raise _invalid()
        return Identity(
            principal=Principal(session.account, session.arn, session.role_arn, session.user_id),
            secret=session.secret,
            role=role,
            session=session,
        )

    def _resolve_user(self, access_key: str, token: str | None) -> Identity:
        if token is not None:
            raise _invalid()
        home = self._homes.get(access_key)
        for account in (home,) if home is not None else state.iam_accounts():
            backend = state.iam(account)
            key = backend.access_keys.get(access_key)
            if key is None or key.user_name is None or key.status != "Active":
                continue
            user = backend.users.get(key.user_name)
            if user is None:
                continue
            self._homes[access_key] = account
            return Identity(
                principal=Principal(account, user.arn, user.arn, user.id), secret=key.secret_access_key, user=user
            )
        self._homes.pop(access_key, None)
        raise _invalid()


def _invalid() -> AwsError:
    return AwsError("InvalidClientTokenId", "The security token included in the request is invalid.")
