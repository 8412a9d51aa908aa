"""How one command runs and ends: every way out of it becomes an exit code, here alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from typer import TyperException

from console.cli.commands import root
from console.cli.exits import CommandError, Exit, Problem, explain, report, trace, wants_json


def run(arguments: Sequence[str]) -> int:
    """Run a command line; returns its exit code. Whatever went wrong has been told by then."""
    try:
        code = root().main(args=list(arguments), prog_name="daywork", standalone_mode=False)
    except TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            sys.stderr.write(error.format_message() + "\n")
            return Exit.USAGE
        failure = _usage(error)
    except SystemExit as end:
        # typer ends so when whoever read our output has closed it: that reader has what it wanted
        return Exit.OK if end.code == 1 else int(end.code or 0)
    except KeyboardInterrupt:
        return Exit.DETACHED
    except Exception as error:  # noqa: BLE001 - the last place that can tell a person what happened
        if os.environ.get("DAYWORK_DEBUG"):
            trace(error)
        failure = explain(error)
    else:
        return code if isinstance(code, int) else Exit.OK
    report(failure, as_json=wants_json(arguments))
    return failure.code


def _usage(error: TyperException) -> CommandError:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "daywork"
    return CommandError(
        Exit.USAGE,
        Problem(reason=error.format_message(), remedy=f"See {command} --help"),
        title="this command cannot be read",
    )
