"""How the EBS direct API refuses: code, reason and words in one place."""

from __future__ import annotations

from localcloud.errors import AwsError


def not_found(snapshot_id: str) -> AwsError:
    """The snapshot does not exist for this account."""
    return AwsError(
        "ResourceNotFoundException", f"The snapshot '{snapshot_id}' does not exist.", 404, reason="SNAPSHOT_NOT_FOUND"
    )


def invalid(reason: str, message: str) -> AwsError:
    """The request cannot be as it is; `reason` is one of the API's reasons of a ValidationException."""
    return AwsError("ValidationException", message, 400, reason=reason)


def invalid_value(message: str) -> AwsError:
    """A parameter has a value that it cannot have."""
    return invalid("INVALID_PARAMETER_VALUE", message)


def conflict() -> AwsError:
    """A client token came with another request."""
    return AwsError("ConflictException", "The client token was used with other parameters.", 409)


def quota_exceeded(message: str) -> AwsError:
    """A quota of the account is used up."""
    return AwsError("ServiceQuotaExceededException", message, 402, reason="DEPENDENCY_SERVICE_QUOTA_EXCEEDED")


def throttled(reason: str) -> AwsError:
    """Too many calls a second; `reason` says whether of the account or of the snapshot."""
    return AwsError("RequestThrottledException", "Rate exceeded.", 400, reason=reason)
