"""The worker's own AWS identity: a botocore session that knows the instance's role and nothing else."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from botocore.credentials import CredentialProvider, CredentialResolver, DeferredRefreshableCredentials
from botocore.loaders import Loader
from botocore.session import Session

_METHOD: Final = "iam-role"
#: What an environment or a home directory might say is not asked: (name in files, environment variable, value, -).
_IGNORED: Final = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}


class _InstanceRole(CredentialProvider):
    METHOD = _METHOD

    def __init__(self, fetch: Callable[[], Mapping[str, str]]) -> None:
        super().__init__()
        self._fetch = fetch

    def load(self) -> Any:
        return DeferredRefreshableCredentials(refresh_using=self._fetch, method=_METHOD)


@functools.cache
def models() -> Loader:
    """Return the process's one reader of botocore's service descriptions: reading them costs more than a call does."""
    return Loader()


def worker_session(fetch: Callable[[], Mapping[str, str]]) -> Session:
    """Return a session whose credentials `fetch` gives, first when they are needed and again before they expire.

    There is no other source: neither environment variables nor files are read for credentials.
    """
    session = Session(session_vars=_IGNORED)
    session.register_component("data_loader", models())
    session.register_component("credential_provider", CredentialResolver([_InstanceRole(fetch)]))
    return session
