"""How a command ends: exit codes (CONTRACT section 2), and errors as one clear block on stderr.

- 2 usage: a wrong option, a file that cannot be read, a request that does not fit its schema, wrong settings
- 7 not found: a session, restore point or account that a command was asked to show
- 8 refused: a request that is well formed and must not be carried out: mode, registry, an unknown account or restore
  point inside a request, an id that was used for another request, a right that is missing
- 9 unreachable: the ledger does not answer, or the broker does not (what was accepted by then is told, and stays)
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from console.output import console, document, emit_line, put

if TYPE_CHECKING:
    from console.documents import Written
    from orchestrator.errors import Refused


class Exit(IntEnum):
    """Exit codes; they never change their meaning."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    WARNING = 3
    FAILED = 4
    STOPPED = 5
    TIMED_OUT = 6
    NOT_FOUND = 7
    REFUSED = 8
    UNREACHABLE = 9
    DETACHED = 130


#: The exit code of a command that waited for a session, by the session's final status.
OF_SESSION: Mapping[str, Exit] = MappingProxyType(
    {"success": Exit.OK, "warning": Exit.WARNING, "failed": Exit.FAILED, "stopped": Exit.STOPPED}
)

_TITLES = MappingProxyType(
    {
        Exit.INTERNAL: "internal error",
        Exit.USAGE: "this cannot be read",
        Exit.NOT_FOUND: "not found",
        Exit.REFUSED: "refused",
        Exit.UNREACHABLE: "unreachable",
    }
)


#: SQLAlchemy's words for a database that does not answer, or answers without our tables.
_UNREACHABLE_LEDGER = frozenset({"OperationalError", "InterfaceError", "ProgrammingError", "TimeoutError"})


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One mistake: the field as its author wrote it, what stood there, what is wrong, what to do."""

    reason: str
    field: str = ""
    value: str | None = None
    remedy: str = ""
    place: str | None = None

    @classmethod
    def of(cls, refused: Refused, place: str | None = None) -> Problem:
        """Return a refusal as a problem; `place` is file and line, if its field stands in a file."""
        return cls(
            reason=refused.reason,
            field=refused.field,
            value=refused.value,
            remedy=refused.remedy,
            place=place or refused.place,
        )

    def shown(self) -> dict[str, str | None]:
        """Return it for a JSON document."""
        found = {"field": self.field or None, "value": self.value, "reason": self.reason, "remedy": self.remedy or None}
        return found if self.place is None else {"place": self.place, **found}


class CommandError(Exception):
    """A command ends here, with an exit code and the problems to show."""

    def __init__(self, code: Exit, *problems: Problem, title: str = "") -> None:
        """Keep the parts apart, so that they can be shown as text and as JSON."""
        super().__init__(title or _TITLES[code])
        self.code = code
        self.problems = list(problems)
        self.title = title or _TITLES[code]


def usage(*problems: Problem, title: str = "") -> CommandError:
    """Return the error of a command that was given wrongly."""
    return CommandError(Exit.USAGE, *problems, title=title)


def problems_of(refused: Refused, document: Written | None = None) -> list[Problem]:
    """Return every mistake of a refusal; with the `document` that it is about, each with file and line."""
    return [
        Problem.of(one, None if document is None else document.place(one.field))
        for one in refused.problems or [refused]
    ]


def explain(error: BaseException) -> CommandError:
    """Return what any exception means for whoever gave the command."""
    from orchestrator.errors import AccessDenied, CloudError, LedgerUnavailable, NotFound, Refused

    if isinstance(error, CommandError):
        return error
    if isinstance(error, NotFound):
        return CommandError(Exit.NOT_FOUND, *problems_of(error))
    if isinstance(error, Refused):
        return CommandError(Exit.REFUSED, *problems_of(error))
    if isinstance(error, LedgerUnavailable) or (
        _is_from(error, "sqlalchemy") and type(error).__name__ in _UNREACHABLE_LEDGER
    ):
        return CommandError(Exit.UNREACHABLE, _ledger(error))
    if _is_from(error, "kombu") or _is_from(error, "redis"):
        reason = f"the broker does not answer ({type(error).__name__})"
        return CommandError(
            Exit.UNREACHABLE, Problem(reason=reason, remedy="Start the broker, or correct DAYWORK_BROKER_URL")
        )
    if isinstance(error, CloudError):
        code = Exit.REFUSED if isinstance(error, AccessDenied) else Exit.INTERNAL
        return CommandError(code, Problem(reason=error.reason, remedy=error.remedy), title="AWS said no")
    if type(error).__name__ == "SettingsError":
        found = [Problem(reason=one) for one in str(error).split("; ")]
        return CommandError(Exit.USAGE, *found, title="the settings are not usable")
    return CommandError(
        Exit.INTERNAL,
        Problem(
            # The class alone: a message of somebody else's exception may hold an address with its password.
            reason=type(error).__name__,
            remedy="Set DAYWORK_DEBUG=1 to see where it happened, and report it",
        ),
    )


def _ledger(error: BaseException) -> Problem:
    from orchestrator.ledger.troubles import NO_TABLES

    reason = str(error) if _is_from(error, "orchestrator") else "the ledger does not answer"
    if type(error).__name__ == "ProgrammingError":
        reason = f"the ledger does not answer: {NO_TABLES}"
    if NO_TABLES in reason:
        return Problem(
            reason=reason,
            remedy="`daywork ledger upgrade` makes them; a lost ledger is filled by `daywork ledger restore`",
        )
    return Problem(
        reason=reason, remedy="See that its database runs, and that `daywork up` or the services were started"
    )


def _is_from(error: BaseException, package: str) -> bool:
    return any(kind.__module__.partition(".")[0] == package for kind in type(error).__mro__)


def report(error: CommandError, *, as_json: bool) -> None:
    """Print the block on stderr, and with `--output json` the same as a document of one line on stdout."""
    from rich.text import Text

    from console.output import cell

    screen = console(sys.stderr)
    head = Text("daywork: ", style="bold red")
    head.append(cell(error.title))
    put(screen, head)
    for problem in error.problems:
        _print_problem(screen, problem)
    if as_json:
        emit_line(
            document(
                error={
                    "exitCode": int(error.code),
                    "kind": error.code.name.lower().replace("_", "-"),
                    "message": error.title,
                    "problems": [one.shown() for one in error.problems],
                }
            )
        )


def _print_problem(screen: Any, problem: Problem) -> None:
    from rich.padding import Padding
    from rich.text import Text

    from console.output import cell

    line = Text()
    if problem.place is not None:
        line.append(cell(f"{problem.place}  ", style="bright_black"))
    if problem.field:
        line.append(cell(f"{problem.field}: ", style="bold"))
    line.append(cell(problem.reason))
    put(screen, Padding(line, (0, 0, 0, 2)))
    if problem.value is not None:
        put(screen, Padding(Text("got  ", style="bright_black").append(cell(repr(problem.value))), (0, 0, 0, 4)))
    if problem.remedy:
        put(screen, Padding(Text("do   ", style="bright_black").append(cell(problem.remedy)), (0, 0, 0, 4)))


def trace(error: BaseException) -> None:
    """Print where an error happened, for whoever set DAYWORK_DEBUG."""
    sys.stderr.write("".join(traceback.format_exception(error)))


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether a command line asks for JSON, also one that cannot be read otherwise."""
    for number, one in enumerate(arguments):
        if one in ("--output=json", "-ojson"):
            return True
        if one in ("--output", "-o") and arguments[number + 1 : number + 2] == ["json"]:
            return True
    return False
