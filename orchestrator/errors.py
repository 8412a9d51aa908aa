"""Everything that can go wrong, as words of the domain.

    DayworkError
    ├── Refused                   a request that must not be carried out; names field, value and remedy
    │   ├── LeftOut               a resource that is not to be processed now; nothing is wrong
    │   ├── NotFound              what was named does not exist
    │   └── Conflict              it exists already, differently
    ├── LedgerUnavailable         the database of record does not answer
    │   └── LedgerContended       a transaction gave way to another one; the same again will do
    ├── Fenced                    somebody else has taken the work over; stop touching anything
    ├── IllegalTransition         a status may not follow the present one
    └── CloudError                AWS said no; code kept, message kept free of secrets
        ├── Retryable             may work later, unchanged
        │   ├── Throttled         too many requests; slow down
        │   ├── Ambiguous         no answer: it may have happened
        │   ├── NotVisibleYet     made a moment ago, not seen everywhere yet
        │   ├── NoCapacity        AWS has none of this type here now
        │   │   └── NoAddresses   the subnet has no free address
        │   └── QuotaExceeded     the account's limit is reached
        └── Permanent             will not work until somebody changes something
            ├── AccessDenied      a right is missing
            ├── Missing           the thing is not there
            └── WrongRequest      a parameter is wrong

AWS error codes get these names once, in `orchestrator.aws.errors`; above the adapters only these classes travel.
"""

from __future__ import annotations


class DayworkError(Exception):
    """Base of every error that this program raises on purpose."""


class Refused(DayworkError):
    """A request that must not be carried out.

    `field` is the path of the wrong field as its author wrote it (`resources[2].region`), `value` what stood there
    (shortened), `remedy` what to do. `problems` holds all mistakes when several were found at once; `place` is file and
    line, where somebody has looked that up.
    """

    def __init__(self, reason: str, *, field: str = "", value: object = None, remedy: str = "") -> None:
        """Keep the parts apart, so that a program can show them."""
        super().__init__(reason)
        self.reason = reason
        self.field = field
        self.value = None if value is None else str(value)[:200]
        self.remedy = remedy
        self.problems: list[Refused] = []
        self.place: str | None = None

    def __str__(self) -> str:
        """One line: field, reason, remedy."""
        head = f"{self.field}: " if self.field else ""
        shown = f" (got {self.value!r})" if self.value is not None else ""
        tail = f". {self.remedy}" if self.remedy else ""
        return f"{head}{self.reason}{shown}{tail}"


class LeftOut(Refused):
    """A resource that is not to be processed now: it is excluded, or a policy of higher priority has it."""


class NotFound(Refused):
    """What was named does not exist."""


class Conflict(Refused):
    """It exists already, differently; `value` names what exists."""


class LedgerUnavailable(DayworkError):
    """The database of record does not answer. Nothing was acknowledged; the caller may try again."""


class LedgerContended(LedgerUnavailable):
    """A transaction was rolled back, for the sake of another one or with its connection. The same again will do."""


class Fenced(DayworkError):
    """A newer holder has taken this work over. The holder of the old fence must stop at once."""


class IllegalTransition(DayworkError):
    """A status was asked for that may not follow the present one."""


class CloudError(DayworkError):
    """AWS refused or failed. `code` is AWS's own, `reason` and `remedy` are for a person."""

    def __init__(self, reason: str, *, code: str = "", remedy: str = "") -> None:
        """Keep AWS's code beside our words."""
        super().__init__(reason)
        self.reason = reason
        self.code = code
        self.remedy = remedy


class Retryable(CloudError):
    """May work later, unchanged."""


class Throttled(Retryable):
    """Too many requests in this account and Region."""


class Ambiguous(Retryable):
    """No answer came: it may have happened. Repeat with the same token before anything else."""


class NotVisibleYet(Retryable):
    """Something made a moment ago is not seen by the other service yet (an instance profile by EC2)."""


class NoCapacity(Retryable):
    """AWS has no machine of this type in this place at the moment."""


class NoAddresses(NoCapacity):
    """The subnet has no free address, whatever the type."""


class QuotaExceeded(Retryable):
    """The account's own limit is reached; waits for something of ours to end."""


class Permanent(CloudError):
    """Will not work until somebody changes something."""


class AccessDenied(Permanent):
    """A right is missing, a trust does not hold or an external id is wrong."""


class Missing(Permanent):
    """The thing named is not there (any more)."""


class WrongRequest(Permanent):
    """A parameter is wrong."""
