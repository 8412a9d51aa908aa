"""What one run of a stack is given: ports, passwords and how the embedded cloud behaves."""

from __future__ import annotations

import dataclasses
import json
import os
import secrets
import socket
import tomllib
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from console.stack import postgres
from console.stack.layout import Layout
from console.stack.record import write_private

_HOST: Final = "127.0.0.1"
FLOWER_PORT: Final = 5555

_VALKEY = """\
bind {host}
port {port}
protected-mode yes
requirepass {password}
dir "{directory}"
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
"""


class LedgerKind(StrEnum):
    """Which database of its own a stack keeps its ledger in."""

    SQLITE = "sqlite"
    POSTGRES = "postgres"


class PortTaken(RuntimeError):
    """A port that was asked for is not free; the message names it."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The choices of one run. Durations are in seconds.

    `ledger` None: the database that the settings name, which is not ours to run, or the SQLite file.
    """

    broker_port: int
    broker_password: str = field(repr=False)
    cloud_port: int
    flower_port: int
    ledger: LedgerKind | None = None
    ledger_port: int = 0
    ledger_password: str = field(default="", repr=False)
    concurrency: int = 2
    worker_boot: float = 0.5
    worker_shutdown: float = 0.5
    profile_delay: float = 0.0

    def to_json(self) -> str:
        """Return the plan for another process of the stack, password included: never for a file or an argument."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Read what `to_json` wrote."""
        document = json.loads(text)
        ledger = document.pop("ledger")
        return cls(**document, ledger=None if ledger is None else LedgerKind(ledger))

    @property
    def broker_url(self) -> str:
        """The broker as Celery names it."""
        return f"redis://:{self.broker_password}@{_HOST}:{self.broker_port}/0"

    @property
    def ledger_url(self) -> str | None:
        """The ledger's database as SQLAlchemy names it; empty for the file, None to leave the settings as they are."""
        if self.ledger is LedgerKind.POSTGRES:
            return (
                f"postgresql+psycopg://{postgres.USER}:{self.ledger_password}@{_HOST}:{self.ledger_port}"
                f"/{postgres.DATABASE}?sslmode=disable"
            )
        return "" if self.ledger is LedgerKind.SQLITE else None

    @property
    def cloud_url(self) -> str:
        """The embedded cloud's endpoint."""
        return f"http://{_HOST}:{self.cloud_port}"

    @property
    def addresses(self) -> dict[str, str]:
        """What may be shown: where things listen, without the broker's password."""
        shown = {
            "cloud": self.cloud_url,
            "flower": f"http://{_HOST}:{self.flower_port}",
            "broker": f"redis://{_HOST}:{self.broker_port}/0",
        }
        if self.ledger is LedgerKind.POSTGRES:
            shown["ledger"] = f"postgresql://{_HOST}:{self.ledger_port}/{postgres.DATABASE}"
        return shown

    def write_valkey(self, layout: Layout) -> None:
        """Write the broker's configuration."""
        layout.valkey.mkdir(mode=0o700, exist_ok=True)
        text = _VALKEY.format(
            host=_HOST, port=self.broker_port, password=self.broker_password, directory=_quoted(layout.valkey)
        )
        write_private(layout.valkey_config, text)

    def write_postgres(self, layout: Layout) -> None:
        """Write the password of the embedded PostgreSQL, from which its data folder is made the first time."""
        # under root the server is another user, who must be able to enter and may list nothing
        layout.postgres.mkdir(mode=0o700, exist_ok=True)
        if postgres.server_user() is not None:
            layout.postgres.chmod(0o711)
        write_private(layout.postgres_password, self.ledger_password)


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Ports that somebody asked for; 0 is a free one, None the earlier one if it is still free."""

    cloud: int | None = None
    flower: int | None = None


def make_plan(
    layout: Layout,
    ports: Ports,
    *,
    ledger: LedgerKind | None = None,
    concurrency: int,
    worker_boot: float,
    worker_shutdown: float,
    profile_delay: float,
) -> Plan:
    """Choose ports and passwords: those of the last run where they can be had, so that open shells stay right.

    So with `ledger`: one that is not named stays what it was. Raises `PortTaken`.
    """
    earlier = _earlier(layout)
    ledger = ledger or ledger_of(layout)
    database = urlsplit(str(earlier.get("database_url", "")))
    password = _kept_password(layout)
    is_ours = ledger_of(layout) is LedgerKind.POSTGRES
    broker = urlsplit(str(earlier.get("broker_url", "")))
    cloud = urlsplit(str(earlier.get("report_queue", "")))
    return Plan(
        broker_port=_port(None, broker.port),
        broker_password=broker.password or secrets.token_urlsafe(24),
        cloud_port=_port(ports.cloud, cloud.port),
        flower_port=_port(ports.flower, int(str(earlier.get("flower_port", FLOWER_PORT)))),
        ledger=ledger,
        ledger_port=_port(None, database.port if is_ours else None) if ledger is LedgerKind.POSTGRES else 0,
        ledger_password=(password or secrets.token_urlsafe(24)) if ledger is LedgerKind.POSTGRES else "",
        concurrency=concurrency,
        worker_boot=worker_boot,
        worker_shutdown=worker_shutdown,
        profile_delay=profile_delay,
    )


def ledger_of(layout: Layout) -> LedgerKind | None:
    """Return the kind of ledger that the last run kept here, and this one goes on with; None for another's or none."""
    if "DAYWORK_DATABASE_URL" in os.environ:
        return None
    password = _kept_password(layout)
    kept = urlsplit(str(_earlier(layout).get("database_url", ""))).password
    return LedgerKind.POSTGRES if password and password == kept else None


def _earlier(layout: Layout) -> dict[str, object]:
    try:
        return tomllib.loads(layout.settings.read_text())
    except (OSError, tomllib.TOMLDecodeError):
        return {}


def _kept_password(layout: Layout) -> str:
    try:
        return layout.postgres_password.read_text()
    except OSError:
        return ""


def _quoted(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace('"', '\\"')


def _port(asked: int | None, preferred: int | None) -> int:
    if asked:
        if not (found := _free(asked)):
            raise PortTaken(f"port {asked} is taken")
        return found
    return (asked is None and preferred and _free(preferred)) or _free(0)


def _free(port: int) -> int:
    """Return the port, or any when it is 0; 0 when it is taken."""
    with socket.socket() as probe:
        # a port whose last connections are still fading away can be had
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            return 0
        return int(probe.getsockname()[1])
