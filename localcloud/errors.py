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


#: What services call a signer they do not take, where it is not what IAM and STS call it: (code, message, status).
_WORDS: Final[dict[str, dict[str, tuple[str, str, int]]]] = {
    "ec2": {
        "InvalidClientTokenId": ("AuthFailure", "AWS was not able to validate the provided access credentials", 401),
        "ExpiredToken": ("RequestExpired", "Request has expired.", 400),
    },
    "s3": {
        "InvalidClientTokenId": (
            "InvalidAccessKeyId",
            "The AWS Access Key Id you provided does not exist in our records.",
            403,
        ),
        "ExpiredToken": ("ExpiredToken", "The provided token has expired.", 400),
        "MissingAuthenticationToken": ("AccessDenied", "Access Denied", 403),
    },
}
_JSON_WORDS: Final[dict[str, tuple[str, str, int]]] = {
    "InvalidClientTokenId": (
        "UnrecognizedClientException",
        "The security token included in the request is invalid.",
        400,
    ),
    "ExpiredToken": ("ExpiredTokenException", "The security token included in the request is expired", 400),
    "MissingAuthenticationToken": ("MissingAuthenticationTokenException", "Missing Authentication Token", 400),
    "SignatureDoesNotMatch": (
        "InvalidSignatureException",
        "The request signature we calculated does not match the signature you provided.",
        400,
    ),
    "RequestTimeTooSkewed": ("InvalidSignatureException", "Signature expired: the clocks differ too much.", 400),
}


def in_words_of(service: str, error: AwsError) -> AwsError:
    """Return an error about the signer as a service words it; other errors as they are."""
    words = _JSON_WORDS if service in ("kms", "ebs") else _WORDS.get(service, {})
    return AwsError(*words[error.code]) if error.code in words else error
