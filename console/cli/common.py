"""What most commands need: the settings, the ledger, a way to publish that gives up soon, common options."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.cli.exits import CommandError, Exit, Problem, usage
from console.output import Format, note

if TYPE_CHECKING:
    from console.stack.context import Context
    from orchestrator.ledger.store import Ledger
    from orchestrator.model.work import WorkKey
    from orchestrator.ports import Dispatch

Output = Annotated[Format, typer.Option("--output", "-o", help="table for people, json for programs.")]

#: How long a command tries to reach the broker: a person waits, and the ledger has everything already.
_BROKER = {"max_retries": 2, "interval_start": 0.2, "interval_step": 0.3, "interval_max": 0.5}
_CONNECT = timedelta(seconds=3)

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def context() -> Context:
    """Find this command's settings. Raises `SettingsError`."""
    from config.logging import set_up
    from console.stack.context import load

    found = load()
    set_up(level=logging.INFO if os.environ.get("DAYWORK_DEBUG") else logging.ERROR)
    return found


@contextmanager
def opened(found: Context | None = None) -> Iterator[Ledger]:
    """Open the ledger of this installation; it is closed afterwards. Raises `CommandError` when there is none yet."""
    from sqlalchemy.engine import make_url

    found = found or context()
    url = make_url(found.settings.ledger_url)
    # Connecting would make an empty database in a place where somebody only asked a question.
    if url.get_backend_name() == "sqlite" and not (url.database and Path(url.database).exists()):
        raise CommandError(
            Exit.UNREACHABLE,
            Problem(
                field="DAYWORK_DATABASE_URL",
                value=url.database,
                reason="there is no ledger here",
                remedy="Start the services first (`daywork up` on this machine), or name the ledger's database",
            ),
        )
    ledger = found.ledger()
    try:
        yield ledger
    finally:
        ledger.close()


class Publisher:
    """Publishes what the ledger has accepted (`orchestrator.ports.Dispatch`); gives up soon and remembers that.

    Nothing is lost then: the reconciler publishes it as soon as the broker answers.
    """

    def __init__(self, found: Context, ledger: Ledger) -> None:
        """Take the settings and the ledger that says where work stands; connects when there is something to publish."""
        self._context = found
        self._ledger = ledger
        self.has_failed = False

    def drive(self, keys: Iterable[WorkKey]) -> None:
        """Publish the rest of each one's chain."""
        wanted = list(keys)
        if wanted:
            self._try(lambda dispatch: dispatch.drive(wanted))

    def launch(self, account: str, region: str, *, after: timedelta = timedelta()) -> None:
        """Publish a look at the launch requests of an account and Region."""
        self._try(lambda dispatch: dispatch.launch(account, region, after=after))

    def terminate(self, account: str, region: str, *, after: timedelta = timedelta()) -> None:
        """Publish a look at the workers of an account and Region that have nothing left to do."""
        self._try(lambda dispatch: dispatch.terminate(account, region, after=after))

    def _try(self, action: Callable[[Dispatch], None]) -> None:
        from tasks.app import make_app
        from tasks.canvas import CeleryDispatch

        app = make_app(self._context.settings)
        app.conf.task_publish_retry_policy = _BROKER
        app.conf.broker_transport_options = {
            **app.conf.broker_transport_options,
            **_BROKER,
            "socket_connect_timeout": _CONNECT.total_seconds(),
        }
        try:
            action(CeleryDispatch(app, self._ledger))
        except Exception:  # noqa: BLE001 - whatever the broker does, the ledger has accepted it
            self.has_failed = True
        finally:
            app.close()

    def tell(self, what: str) -> Exit:
        """Say that something was accepted and not published, if so; returns the exit code."""
        if not self.has_failed:
            return Exit.OK
        note(f"The broker does not answer. {what} is in the ledger and goes on by itself as soon as it does.")
        return Exit.UNREACHABLE


def span(text: str, field: str = "--timeout") -> float:
    """Read a duration: seconds, or a number with s, m, h or d. Raises `CommandError` that names the field."""
    number, unit = (text[:-1], _UNITS[text[-1]]) if text[-1:] in _UNITS else (text, 1)
    try:
        seconds = float(number) * unit
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        raise usage(
            Problem(field=field, value=text, reason="this is not a duration", remedy="Write 90, 90s, 15m or 2h")
        )
    return seconds


def completed_sessions(incomplete: str) -> list[tuple[str, str]]:
    """Return recent sessions for the shell to complete; nothing at all when anything is wrong."""
    try:
        from orchestrator.ledger import sessions

        with opened() as ledger, ledger.read() as tx:
            found = sessions.recent(tx, limit=30)
    except Exception:  # noqa: BLE001 - a shell that completes has no place for an error
        return []
    return [(one.id, f"{one.operation} {one.status}") for one in found if one.id.startswith(incomplete)]


def completed_operations(incomplete: str) -> list[tuple[str, str]]:
    """Return the operations of this version, for the shell to complete."""
    from orchestrator.operations import CATALOGUE

    return [(row.name, row.title) for row in CATALOGUE.values() if row.is_available and row.name.startswith(incomplete)]


SessionId = Annotated[str, typer.Argument(metavar="SESSION", help="A session's id.", autocompletion=completed_sessions)]
