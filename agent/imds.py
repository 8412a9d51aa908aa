"""Instance metadata, version 2 only: who this instance is, its user data, its role's credentials.

On a worker this is the only place where anything about it is learned, and the only source of credentials.
`AWS_EC2_METADATA_SERVICE_ENDPOINT` names another service than the instance's own, as for the AWS SDKs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import Any, Final

import urllib3
from urllib3.exceptions import HTTPError, MaxRetryError

_IPV4: Final = "http://169.254.169.254/"
_IPV6: Final = "http://[fd00:ec2::254]/"
#: Six hours, the longest that the service allows.
_LIFETIME: Final = "21600"
_TIMEOUT: Final = urllib3.Timeout(connect=2, read=5)
#: Short breaks of the service end here; whoever waits for a role to appear asks again by himself.
_RETRIES: Final = urllib3.Retry(
    total=3,
    redirect=0,
    backoff_factor=0.2,
    backoff_jitter=0.2,
    status_forcelist=(500, 502, 503, 504),
    allowed_methods=None,
    raise_on_status=False,
)
_OK: Final = 200
_UNAUTHORISED: Final = 401
_NOT_FOUND: Final = 404


class MetadataError(Exception):
    """The metadata service did not answer as it should. It may a moment later."""


class MetadataAbsent(MetadataError):
    """The entry does not exist: no user data, or no role that can be used (yet)."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Which instance this is: 12-digit account, Region, `i-...`."""

    account: str
    region: str
    instance_id: str


def endpoint(environment: Mapping[str, str]) -> str:
    """Return the service's address as the AWS SDKs find it, ending with a slash."""
    given = environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT")
    if given:
        return given.rstrip("/") + "/"
    return _IPV6 if environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "").lower() == "ipv6" else _IPV4


class Metadata:
    """The metadata service. Thread-safe. Never goes through a proxy."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._http = urllib3.PoolManager(maxsize=2, timeout=_TIMEOUT, retries=_RETRIES)
        self._token: str | None = None
        self._lock = Lock()

    def user_data(self) -> str:
        """Return the user data. Raises `MetadataAbsent`, `MetadataError`."""
        return self._get("latest/user-data")

    def identity(self) -> Identity:
        """Return which instance this is. Raises `MetadataError`."""
        document = self._document("latest/dynamic/instance-identity/document")
        try:
            return Identity(
                account=document["accountId"], region=document["region"], instance_id=document["instanceId"]
            )
        except KeyError as error:
            raise MetadataError(f"the instance's identity document lacks {error}") from None

    def credentials(self) -> dict[str, str]:
        """Return the role's credentials in botocore's words. Raises `MetadataAbsent` while there is no usable role.

        Raises `MetadataError` when they cannot be read or have expired.
        """
        place = "latest/meta-data/iam/security-credentials/"
        role = self._get(place).strip().partition("\n")[0]
        if not role:
            raise MetadataAbsent("the instance has no role")
        document = self._document(place + role)
        if document.get("Code") != "Success":
            raise MetadataAbsent(f"EC2 cannot use the instance's role: {document.get('Code')}")
        try:
            found = {
                "access_key": document["AccessKeyId"],
                "secret_key": document["SecretAccessKey"],
                "token": document["Token"],
                "expiry_time": document["Expiration"],
            }
            expires = datetime.fromisoformat(found["expiry_time"])
        except (KeyError, ValueError):
            raise MetadataError("the role's credentials are incomplete") from None
        if expires <= datetime.now(UTC):
            raise MetadataError("the role's credentials have expired and are not renewed yet")
        return found

    def _document(self, path: str) -> dict[str, Any]:
        try:
            document = json.loads(self._get(path))
        except ValueError:
            raise MetadataError(f"{path} is not JSON") from None
        if not isinstance(document, dict):
            raise MetadataError(f"{path} is not a JSON object")
        return document

    def _get(self, path: str) -> str:
        answer = self._ask("GET", path, {"X-aws-ec2-metadata-token": self._held_token()})
        if answer.status == _UNAUTHORISED:
            answer = self._ask("GET", path, {"X-aws-ec2-metadata-token": self._held_token(instead_of=self._token)})
        return self._text(answer, path)

    def _held_token(self, *, instead_of: str | None = None) -> str:
        with self._lock:
            if self._token is None or self._token == instead_of:
                path = "latest/api/token"
                answer = self._ask("PUT", path, {"X-aws-ec2-metadata-token-ttl-seconds": _LIFETIME})
                self._token = self._text(answer, path)
            return self._token

    def _ask(self, method: str, path: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        try:
            return self._http.request(method, self._address + path, headers=headers)
        except HTTPError as error:
            cause = error.reason if isinstance(error, MaxRetryError) and error.reason is not None else error
            raise MetadataError(f"the metadata service cannot be reached ({type(cause).__name__})") from None

    @staticmethod
    def _text(answer: urllib3.BaseHTTPResponse, path: str) -> str:
        if answer.status == _NOT_FOUND:
            raise MetadataAbsent(f"the metadata service has no {path}")
        if answer.status != _OK:
            raise MetadataError(f"the metadata service answered {answer.status} to {path}")
        return answer.data.decode("utf-8", "replace")
