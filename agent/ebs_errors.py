"""What can go wrong with a call to the EBS direct API, and what can be done about it.

- `EbsError`: the call failed; `code`, `reason` and `status` are AWS's.
  - `Retryable`: worth another attempt, by the client's one retry layer.
    - `Throttled`: too many calls; the pace is lowered.
    - `Unreachable`: no whole answer (connection, time-out, 5xx).
    - `Damaged`: the bytes are not those of the checksum.
    - `NotYet`: credentials that the service does not know yet, or not any more.
  - `Permanent`: another attempt would fail alike.
    - `NotFound`: the snapshot is not there (or, just after its start, not visible yet).
    - `Denied`: the role may not.
    - `StaleToken`: a page or block token is too old; list again.
    - `Unrelated`: two snapshots that are not of one volume; changed blocks cannot be told.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final


class EbsError(Exception):
    """A call failed. The text names call, snapshot and AWS's code, and holds no secret."""

    def __init__(self, message: str, *, code: str = "", reason: str = "", status: int = 0) -> None:
        """Keep AWS's own words apart from the sentence."""
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.status = status


class Retryable(EbsError):
    """Worth another attempt."""


class Throttled(Retryable):
    """Too many calls for the account or the snapshot."""


class Unreachable(Retryable):
    """No whole answer came."""


class Damaged(Retryable):
    """The bytes that came are not those of the checksum that came with them."""


class NotYet(Retryable):
    """The credentials are not known yet, or not any more."""


class Permanent(EbsError):
    """Another attempt would fail alike."""


class NotFound(Permanent):
    """The snapshot does not exist, or is not visible yet."""


class Denied(Permanent):
    """The role may not make this call, or not with this snapshot's key."""


class StaleToken(Permanent):
    """A page token (60 minutes) or block token (7 days) is too old."""


class Unrelated(Permanent):
    """The two snapshots are not of one volume."""


_BY_CODE: Final[Mapping[str, type[EbsError]]] = MappingProxyType(
    {
        "RequestThrottledException": Throttled,
        "ThrottlingException": Throttled,
        "Throttling": Throttled,
        "TooManyRequestsException": Throttled,
        "RequestLimitExceeded": Throttled,
        "ServiceQuotaExceededException": Throttled,
        "SlowDown": Throttled,
        "ResourceNotFoundException": NotFound,
        "AccessDeniedException": Denied,
        "AccessDenied": Denied,
        "ExpiredTokenException": NotYet,
        "ExpiredToken": NotYet,
        "UnrecognizedClientException": NotYet,
        "InvalidClientTokenId": NotYet,
        "RequestTimeout": Unreachable,
        "InternalServerException": Unreachable,
    }
)
_BY_REASON: Final[Mapping[str, type[EbsError]]] = MappingProxyType(
    {"INVALID_PAGE_TOKEN": StaleToken, "INVALID_BLOCK_TOKEN": StaleToken, "UNRELATED_SNAPSHOTS": Unrelated}
)
_SERVER_FAULT: Final = 500
_TOO_MANY: Final = 429


def error_of(what: str, status: int, headers: Mapping[str, str], body: bytes) -> EbsError:
    """Return the error that an answer stands for. `what` names the call and its snapshot."""
    try:
        document = json.loads(body) if body else {}
    except ValueError:
        document = {}
    if not isinstance(document, dict):
        document = {}
    code = str(headers.get("x-amzn-errortype") or document.get("__type") or document.get("code") or "")
    code = code.split(":", 1)[0].rsplit("#", 1)[-1]
    reason = str(document.get("Reason") or document.get("reason") or "")
    message = str(document.get("Message") or document.get("message") or "")[:300]
    kind = _BY_REASON.get(reason) or _BY_CODE.get(code)
    if kind is None:
        kind = Throttled if status == _TOO_MANY else Unreachable if status >= _SERVER_FAULT else Permanent
    words = " ".join(part for part in (code or f"status {status}", reason and f"({reason})", message) if part)
    return kind(f"{what}: {words}", code=code, reason=reason, status=status)
