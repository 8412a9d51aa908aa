"""Errors as AWS words them."""

from __future__ import annotations

from typing import Final

#: HTTP statuses of error codes where it is not 400, as the services' "common errors" and "errors" pages list them.
STATUSES: Final[dict[str, int]] = {
    "AccessDenied": 403,
    "AccessDeniedException": 400,
    "AuthFailure": 401,
    "DeleteConflict": 409,
    "EntityAlreadyExists": 409,
    "ExpiredToken": 403,
    "InsufficientInstanceCapacity": 500,
    "InternalError": 500,
    "InternalFailure": 500,
    "InvalidAccessKeyId": 403,
    "InvalidClientTokenId": 403,
    "LimitExceeded": 409,
    "MissingAuthenticationToken": 403,
    "NoSuchBucket": 404,
    "NoSuchEntity": 404,
    "NoSuchKey": 404,
    "NotImplemented": 501,
    "RequestLimitExceeded": 503,
    "RequestTimeTooSkewed": 403,
    "ServiceUnavailable": 503,
    "SignatureDoesNotMatch": 403,
    "SlowDown": 503,
    "Unavailable": 503,
    "UnauthorizedOperation": 403,
    "UnrecognizedClientException": 403,
}


class AwsError(Exception):
    """A refusal in AWS's words: `code` and `message` go over the wire, `status` is the HTTP status.

    `reason` is the finer code that some services (EBS direct) add.
    """

    def __init__(self, code: str, message: str, status: int | None = None, *, reason: str | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.reason = reason
        self.status = status if status is not None else STATUSES.get(code, 400)
