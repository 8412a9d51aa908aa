"""What one run of a stack is given: ports, passwords and how the embedded cloud behaves."""

from __future__ import annotations

import dataclasses
import json
import secrets
import socket
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

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


class PortTaken(RuntimeError):
    """A port that was asked for is not free; the message names it."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The choices of one run. Durations are in seconds."""

    broker_port: int
    broker_password: str = field(repr=False)
    cloud_port: int
    flower_port: int
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
        return cls(**json.loads(text))

    @property
    def broker_url(self) -> str:
        """The broker as Celery names it."""
        return f"redis://:{self.broker_password}@{_HOST}:{self.broker_port}/0"

    @property
    def cloud_url(self) -> str:
        """The embedded cloud's endpoint."""
        return f"http://{_HOST}:{self.cloud_port}"

    @property
    def addresses(self) -> dict[str, str]:
        """What may be shown: where things listen, without the broker's password."""
        return {
            "cloud": self.cloud_url,
            "flower": f"http://{_HOST}:{self.flower_port}",
            "broker": f"redis://{_HOST}:{self.broker_port}/0",
        }

    def write_valkey(self, layout: Layout) -> None:
        """Write the broker's configuration."""
        layout.valkey.mkdir(mode=0o700, exist_ok=True)
        text = _VALKEY.format(
            host=_HOST, port=self.broker_port, password=self.broker_password, directory=_quoted(layout.valkey)
        )
        write_private(layout.valkey_config, text)


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Ports that somebody asked for; 0 is a free one, None the earlier one if it is still free."""

    cloud: int | None = None
    flower: int | None = None


def make_plan(
    layout: Layout, ports: Ports, *, concurrency: int, worker_boot: float, worker_shutdown: float, profile_delay: float
) -> Plan:
    """Choose ports and a password: those of the last run where they can be had, so that open shells stay right.

    Raises `PortTaken`.
    """
    earlier = _earlier(layout)
    broker = urlsplit(str(earlier.get("broker_url", "")))
    cloud = urlsplit(str(earlier.get("report_queue", "")))
    return Plan(
        broker_port=_port(None, broker.port),
        broker_password=broker.password or secrets.token_urlsafe(24),
        cloud_port=_port(ports.cloud, cloud.port),
        flower_port=_port(ports.flower, int(str(earlier.get("flower_port", FLOWER_PORT)))),
        concurrency=concurrency,
        worker_boot=worker_boot,
        worker_shutdown=worker_shutdown,
        profile_delay=profile_delay,
    )


def _earlier(layout: Layout) -> dict[str, object]:
    try:
        return tomllib.loads(layout.settings.read_text())
    except (OSError, tomllib.TOMLDecodeError):
        return {}


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
