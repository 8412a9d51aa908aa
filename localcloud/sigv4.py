"""Signature version 4, the verifying side.

Rules: "Create a signed AWS API request" in the IAM User Guide. The canonical path is encoded twice except for S3; S3
clients may leave the payload unsigned or sign it in chunks, then only the headers are proved.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl, quote, unquote

from localcloud.errors import AwsError

#: How far a request's time may be off, in seconds.
SKEW: Final = 15 * 60
_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_HEADER = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=(?P<credential>[^,\s]+)\s*,\s*SignedHeaders=(?P<headers>[^,\s]+)\s*,"
    r"\s*Signature=(?P<signature>[0-9a-f]{64})\s*$"
)
_SCOPE_PARTS: Final = 5
#: A week, in seconds.
_LONGEST_PRESIGNED: Final = 7 * 24 * 3600


@dataclass(frozen=True)
class Signature:
    """What a request says of its signature. `presigned`: it came in the query string; then `expires` is in seconds."""

    access_key: str
    day: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    value: str
    moment: str
    token: str | None
    presigned: bool = False
    expires: int = 0


def read_signature(headers: Mapping[str, str], query: str) -> Signature | None:
    """Return the request's signature, or None when it has none. Raises `AwsError` when it cannot be read."""
    authorization = headers.get("authorization")
    if authorization is not None:
        match = _HEADER.match(authorization)
        if match is None:
            raise AwsError("IncompleteSignature", "Authorization header is not a signature version 4")
        key, day, region, service = _scope(match["credential"])
        return Signature(
            access_key=key,
            day=day,
            region=region,
            service=service,
            signed_headers=tuple(match["headers"].split(";")),
            value=match["signature"],
            moment=headers.get("x-amz-date", ""),
            token=headers.get("x-amz-security-token"),
        )
    if "X-Amz-Signature=" not in query:
        return None
    values = dict(parse_qsl(query, keep_blank_values=True))
    key, day, region, service = _scope(values.get("X-Amz-Credential", ""))
    return Signature(
        access_key=key,
        day=day,
        region=region,
        service=service,
        signed_headers=tuple(values.get("X-Amz-SignedHeaders", "").split(";")),
        value=values["X-Amz-Signature"],
        moment=values.get("X-Amz-Date", ""),
        token=values.get("X-Amz-Security-Token"),
        presigned=True,
        expires=_expires(values.get("X-Amz-Expires", "")),
    )


def _expires(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > _LONGEST_PRESIGNED:
        raise AwsError(
            "AuthorizationQueryParametersError",
            f"X-Amz-Expires must be a number of seconds, at most {_LONGEST_PRESIGNED}",
        )
    return int(text)


def _scope(credential: str) -> tuple[str, str, str, str]:
    parts = credential.split("/")
    if len(parts) != _SCOPE_PARTS or parts[4] != "aws4_request":
        raise AwsError("IncompleteSignature", "The credential scope is not key/date/region/service/aws4_request")
    return parts[0], parts[1], parts[2], parts[3].lower()


@lru_cache(maxsize=4096)
def _signing_key(secret: str, day: str, region: str, service: str) -> bytes:
    key = b"AWS4" + secret.encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def verify(
    signature: Signature,
    secret: str,
    *,
    method: str,
    raw_path: str,
    raw_query: str,
    headers: Mapping[str, str],
    body: bytes,
    clock: Callable[[], float] = time.time,
) -> None:
    """Prove that the request was signed with `secret` and that its body is the signed one.

    `raw_path` and `raw_query` are as they came over the wire. Raises `AwsError`: SignatureDoesNotMatch, RequestExpired
    (presigned), RequestTimeTooSkewed, XAmzContentSHA256Mismatch.
    """
    _check_time(signature, clock())
    if "host" not in signature.signed_headers:
        raise AwsError("SignatureDoesNotMatch", "'Host' must be a 'SignedHeader' in the signature.")
    payload = _payload_hash(signature, headers, body)
    canonical = "\n".join(
        (
            method,
            _canonical_path(signature.service, raw_path),
            _canonical_query(raw_query, drop_signature=signature.presigned),
            *(f"{name}:{' '.join(headers.get(name, '').split())}" for name in signature.signed_headers),
            "",
            ";".join(signature.signed_headers),
            payload,
        )
    )
    scope = f"{signature.day}/{signature.region}/{signature.service}/aws4_request"
    digest = hashlib.sha256(canonical.encode("latin-1", "replace")).hexdigest()
    key = _signing_key(secret, signature.day, signature.region, signature.service)
    expected = hmac.digest(key, f"{_ALGORITHM}\n{signature.moment}\n{scope}\n{digest}".encode(), "sha256").hex()
    if not hmac.compare_digest(expected, signature.value):
        raise AwsError(
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. "
            "Check your AWS Secret Access Key and signing method.",
        )


def _check_time(signature: Signature, now: float) -> None:
    moment = _seconds(signature.moment)
    if signature.presigned:
        if now > moment + signature.expires:
            raise AwsError("AccessDenied", "Request has expired")
    elif abs(now - moment) > SKEW:
        raise AwsError(
            "RequestTimeTooSkewed", "The difference between the request time and the current time is too large."
        )


@lru_cache(maxsize=64)
def _seconds(moment: str) -> float:
    try:
        return datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise AwsError("IncompleteSignature", "X-Amz-Date is missing or not of the form 20261123T120000Z") from None


def _payload_hash(signature: Signature, headers: Mapping[str, str], body: bytes) -> str:
    if signature.presigned and signature.service == "s3":
        return "UNSIGNED-PAYLOAD"
    stated = headers.get("x-amz-content-sha256")
    if stated is not None and (stated == "UNSIGNED-PAYLOAD" or stated.startswith("STREAMING-")):
        return stated
    actual = hashlib.sha256(body).hexdigest()
    if stated is not None and stated.lower() != actual:
        raise AwsError(
            "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed."
        )
    return actual


def _canonical_path(service: str, raw_path: str) -> str:
    if raw_path in ("", "/"):
        return "/"
    if service == "s3":
        return quote(unquote(raw_path), safe="/-_.~")
    return quote(_without_dots(raw_path), safe="/-_.~")


def _without_dots(path: str) -> str:
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            if kept:
                kept.pop()
        elif part and part != ".":
            kept.append(part)
    return "/" + "/".join(kept) + ("/" if path.endswith("/") and kept else "")


def _canonical_query(raw: str, *, drop_signature: bool) -> str:
    if not raw:
        return ""
    pairs = []
    for part in raw.split("&"):
        name, _, value = part.partition("=")
        if drop_signature and name == "X-Amz-Signature":
            continue
        pairs.append((quote(unquote(name), safe="-_.~"), quote(unquote(value), safe="-_.~")))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))
