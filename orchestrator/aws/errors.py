"""AWS error codes, named once: which class of ours each one is, and what a person can do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError as BotoConnectionError,
    HTTPClientError,
    NoCredentialsError,
)

from orchestrator.errors import (
    AccessDenied,
    Ambiguous,
    CloudError,
    Missing,
    NoAddresses,
    NoCapacity,
    NotVisibleYet,
    Permanent,
    QuotaExceeded,
    Retryable,
    Throttled,
    WrongRequest,
)

_TABLE: dict[type[CloudError], tuple[frozenset[str], str]] = {
    Throttled: (
        frozenset(
            {
                "RequestLimitExceeded",
                "EC2ThrottledException",
                "Throttling",
                "ThrottlingException",
                "TooManyRequestsException",
                "RequestThrottledException",
                "RequestThrottled",
                "SlowDown",
                "PriorRequestNotComplete",
            }
        ),
        "AWS limits the rate of these calls in the account; it goes on by itself",
    ),
    NoCapacity: (
        frozenset(
            {
                "InsufficientInstanceCapacity",
                "InsufficientHostCapacity",
                "InsufficientReservedInstanceCapacity",
                "UnfulfillableCapacity",
                "Unsupported",
            }
        ),
        "Add instance types or subnets to the account's worker configuration",
    ),
    NoAddresses: (
        frozenset({"InsufficientFreeAddressesInSubnet"}),
        "Free addresses of the subnet, or add a subnet to the account's worker configuration",
    ),
    QuotaExceeded: (
        frozenset(
            {
                "VcpuLimitExceeded",
                "InstanceLimitExceeded",
                "LimitExceeded",
                "SnapshotLimitExceeded",
                "VolumeLimitExceeded",
            }
        ),
        "Raise the account's quota, or lower the number of workers at once",
    ),
    AccessDenied: (
        frozenset(
            {
                "AccessDenied",
                "AccessDeniedException",
                "UnauthorizedOperation",
                "AuthFailure",
                "OptInRequired",
                "InvalidClientTokenId",
                "SignatureDoesNotMatch",
                "KMSAccessDeniedException",
                "403",
            }
        ),
        "Compare the role's policy with the document that daywork prints for its purpose",
    ),
    Missing: (
        frozenset(
            {
                "NoSuchEntity",
                "NoSuchKey",
                "NoSuchBucket",
                "NoSuchBucketPolicy",
                "404",
                "InvalidInstanceID.NotFound",
                "InvalidSnapshot.NotFound",
                "InvalidVolume.NotFound",
                "InvalidSubnetID.NotFound",
                "InvalidGroup.NotFound",
                "InvalidAMIID.NotFound",
                "InvalidInstanceID.Malformed",
                "ResourceNotFoundException",
                # KMS; Service Quotas
                "NotFoundException",
                "NoSuchResourceException",
                "DBInstanceNotFound",
                "FileSystemNotFound",
                "AWS.SimpleQueueService.NonExistentQueue",
                "QueueDoesNotExist",
            }
        ),
        "Check that it exists in this account and Region",
    ),
    Ambiguous: (
        frozenset(
            {"InternalError", "InternalFailure", "ServiceUnavailable", "Unavailable", "RequestTimeout", "500", "503"}
        ),
        "AWS did not answer; it is asked again",
    ),
    Retryable: (
        frozenset(
            {
                "DeleteConflict",
                "ConcurrentModification",
                "InvalidSnapshot.InUse",
                "InvalidAMIID.Unavailable",
                "VolumeInUse",
                "IncorrectState",
                "ExpiredToken",
                "ExpiredTokenException",
                "RequestExpired",
                "ConflictException",
            }
        ),
        "Something of ours still uses it; it is tried again",
    ),
}
_BY_CODE = {code: (kind, remedy) for kind, (codes, remedy) in _TABLE.items() for code in codes}

_TRUST = "Let the role's trust policy name the control plane, and check the account's external id in the registry"

#: What EC2 says of an instance profile that IAM knows and EC2 does not know yet (three texts, all with this code).
_PROFILE_TEXTS = ("Invalid IAM Instance Profile", "has no associated IAM Roles", "iamInstanceProfile")


def code_of(error: ClientError) -> str:
    """Return AWS's code of an error."""
    return str(error.response.get("Error", {}).get("Code", ""))


def is_missing(error: CloudError) -> bool:
    """Whether the error says that the thing is not there."""
    return isinstance(error, Missing)


def translate(error: ClientError, doing: str) -> CloudError:
    """Return our error for AWS's. The message of AWS is kept, the request's parameters are not."""
    code = code_of(error)
    text = str(error.response.get("Error", {}).get("Message", ""))[:500]
    if code == "InvalidParameterValue" and any(part in text for part in _PROFILE_TEXTS):
        return NotVisibleYet(f"{doing}: EC2 does not see the instance profile yet", code=code)
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) or 0)
    kind, remedy = _BY_CODE.get(code, (None, ""))
    if error.operation_name == "AssumeRole" and kind is AccessDenied:
        return AccessDenied(f"{doing}: the role cannot be assumed: {text}", code=code, remedy=_TRUST)
    if kind is None:
        kind = Ambiguous if status >= 500 else WrongRequest  # noqa: PLR2004 - HTTP's class of server errors
        remedy = "" if kind is Ambiguous else "See the reason; it will not work unchanged"
    return kind(f"{doing}: {code}: {text}", code=code, remedy=remedy)


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn whatever AWS's client raises inside into a `CloudError`. `doing` says what was tried, for a person."""
    try:
        yield
    except ClientError as error:
        raise translate(error, doing) from None
    except NoCredentialsError:
        raise AccessDenied(f"{doing}: the control plane has no AWS credentials", remedy="See daywork doctor") from None
    except (HTTPClientError, BotoConnectionError) as error:
        raise Ambiguous(f"{doing}: no answer ({type(error).__name__})", code=type(error).__name__) from None
    except BotoCoreError as error:
        raise Permanent(f"{doing}: {type(error).__name__}", code=type(error).__name__) from None
