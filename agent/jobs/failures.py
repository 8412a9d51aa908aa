"""How what goes wrong below becomes a sentence and a remedy for a person."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from agent.crew import Stopped
from agent.ebs_errors import Denied, EbsError, NotFound, Throttled, Unreachable
from agent.jobs.context import JobFailed, JobStopped
from agent.repository.errors import RepositoryError

_REMEDIES: Final = MappingProxyType(
    {
        Denied: "Let the data role use the EBS direct API on this install's snapshots, and their KMS key; "
        "`daywork role document` prints the policy",
        NotFound: "The snapshot was deleted meanwhile; start the session again",
        Throttled: "Fewer sessions at a time, or ask AWS for a higher quota of the EBS direct API",
        Unreachable: "Check that the worker's subnet reaches the EBS direct API: NAT, endpoint ebs, security groups",
    }
)


@contextmanager
def translated() -> Iterator[None]:
    """Turn what a job's parts raise into `JobFailed` and `JobStopped`."""
    try:
        yield
    except Stopped:
        raise JobStopped from None
    except RepositoryError as error:
        raise JobFailed(str(error), error.remedy) from error
    except EbsError as error:
        raise JobFailed(str(error), _REMEDIES.get(type(error))) from error
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "unknown")
        raise JobFailed(
            f"{error.operation_name} was refused: {code}",
            "Compare trust and policy of the data and repository roles with `daywork role document`",
        ) from error
    except BotoCoreError as error:
        raise JobFailed(
            f"AWS could not be reached: {type(error).__name__}",
            "Check that the worker's subnet reaches STS and KMS",
        ) from error
