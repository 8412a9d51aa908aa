"""Where an embedded cloud is, and speaking to it as the administrator of any of its accounts."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.config import Config

_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 3},
    connect_timeout=5,
    read_timeout=60,
    s3={"addressing_style": "path"},
)


class CloudError(RuntimeError):
    """The embedded cloud refused a request to one of its own pages; says which and why."""


@dataclass
class CloudAddress:
    """An embedded cloud: its endpoint, and the token that its administration pages ask for (file `admin-token`)."""

    url: str
    token: str = field(repr=False)
    _keys: dict[str, tuple[str, str]] = field(default_factory=dict, repr=False)
    _clients: dict[tuple[str, str, str], Any] = field(default_factory=dict, repr=False)
    _session: Any = field(default=None, repr=False)

    @classmethod
    def of(cls, url: str, directory: Path) -> Self:
        """Read the token from the directory of a cloud on this machine. Raises `CloudError`."""
        try:
            return cls(url, (directory / "admin-token").read_text())
        except OSError as error:
            raise CloudError(f"the embedded cloud's directory {directory} holds no admin-token: {error}") from None

    def account(self, account: str) -> None:
        """Make an account with an administrator, or make sure of it. Raises `CloudError`."""
        if account not in self._keys:
            made = self.post("accounts", {"account": account})
            self._keys[account] = (made["accessKeyId"], made["secretAccessKey"])

    def client(self, service: str, account: str, region: str) -> Any:
        """Return a boto3 client of an account's administrator. Raises `CloudError`."""
        self.account(account)
        wanted = (service, account, region)
        if wanted not in self._clients:
            if self._session is None:
                self._session = boto3.Session(botocore_session=botocore.session.Session())
            key, secret = self._keys[account]
            self._clients[wanted] = self._session.client(
                service,
                region_name=region,
                endpoint_url=self.url,
                aws_access_key_id=key,
                aws_secret_access_key=secret,
                config=_CONFIG,
            )
        return self._clients[wanted]

    def post(self, page: str, body: Any) -> Any:
        """Send a JSON document to a page under `/_sim/` and return the answer. Raises `CloudError`."""
        return self.send("POST", page, json.dumps(body).encode())

    def send(self, method: str, page: str, body: bytes | Iterable[bytes]) -> Any:
        """Send a request to a page under `/_sim/` and return the answer's document. Raises `CloudError`."""
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=120)
        try:
            connection.request(method, f"/_sim/{page}", body, {"X-Sim-Token": self.token})
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise CloudError(f"the embedded cloud at {self.url} does not answer ({type(error).__name__})") from None
        finally:
            connection.close()
        try:
            document = json.loads(text or b"null")
        except ValueError:
            document = None
        if answer.status >= 300:  # noqa: PLR2004 - HTTP's own limit
            reason = document.get("error") if isinstance(document, dict) else None
            raise CloudError(f"{method} /_sim/{page}: {answer.status} {reason or answer.reason}")
        return document

    def close(self) -> None:
        """Close all clients."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()
