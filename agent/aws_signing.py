"""Signature version 4 for bulk calls, the signing side.

botocore signs too, at several times the cost: its request objects, event hooks and header maps are more work than the
signature. Here a call has one fixed set of headers, and the signing key of a day is derived once.
Rules: "Create a signed AWS API request" in the IAM User Guide.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from agent.aws import FrozenKeys

#: SHA-256 of no bytes: the payload of every call without a body.
EMPTY: Final = hashlib.sha256(b"").hexdigest()
#: Stated in place of the payload's hash where the service takes it and the transport or a checksum protects the body.
UNSIGNED: Final = "UNSIGNED-PAYLOAD"

_ALGORITHM: Final = "AWS4-HMAC-SHA256"

Query = Sequence[tuple[str, str]]


@lru_cache(maxsize=64)
def _signing_key(secret: str, day: str, region: str, service: str) -> bytes:
    key = b"AWS4" + secret.encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def encode_query(query: Query) -> str:
    """Return a query string in canonical form: percent-encoded and sorted, ready for both the URL and the signature."""
    return "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in sorted(query))


class Signer:
    """Signs calls to one service in one Region at one host. Thread-safe."""

    def __init__(
        self,
        *,
        service: str,
        region: str,
        host: str,
        keys: Callable[[], FrozenKeys],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the host as it stands in the `Host` header, and where to get credentials for each call."""
        self._service = service
        self._region = region
        self._host = host
        self._keys = keys
        self._clock = clock

    def headers(
        self, method: str, path: str, query: str, *, payload: str, extra: dict[str, str] | None = None
    ) -> dict[str, str]:
        """Return the headers of one signed call.

        `path` is unencoded and needs no encoding (block and snapshot ids do not), `query` comes from `encode_query`,
        `payload` is the body's SHA-256 in hex or `UNSIGNED`. `extra` headers are signed too; names in any case.
        """
        keys = self._keys()
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._clock()))
        day = moment[:8]
        sent = {"host": self._host, "x-amz-content-sha256": payload, "x-amz-date": moment}
        if keys.token is not None:
            sent["x-amz-security-token"] = keys.token
        if extra:
            sent.update((name.lower(), value) for name, value in extra.items())
        names = sorted(sent)
        signed = ";".join(names)
        lines = "".join(f"{name}:{sent[name]}\n" for name in names)
        canonical = f"{method}\n{path}\n{query}\n{lines}\n{signed}\n{payload}"
        scope = f"{day}/{self._region}/{self._service}/aws4_request"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        key = _signing_key(keys.secret_key, day, self._region, self._service)
        signature = hmac.digest(key, f"{_ALGORITHM}\n{moment}\n{scope}\n{digest}".encode(), "sha256").hex()
        sent["authorization"] = (
            f"{_ALGORITHM} Credential={keys.access_key}/{scope}, SignedHeaders={signed}, Signature={signature}"
        )
        return sent
