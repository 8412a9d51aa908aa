"""A process says that it is ready the way systemd asks for it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from console.stack.ready import ReadySocket, announce_ready


def test_the_kernel_says_who_is_ready() -> None:
    """A child's announcement is heard once, with its own id."""
    with ReadySocket() as ready:
        child = subprocess.Popen(
            [sys.executable, "-c", "from console.stack.ready import announce_ready; announce_ready()"],
            env={**os.environ, "NOTIFY_SOCKET": ready.address},
        )
        child.wait()

        assert ready.heard() == {child.pid}
        assert ready.heard() == set()


def test_other_words_say_nothing() -> None:
    """Systemd's protocol has more to say than that somebody is ready."""
    with ReadySocket() as ready, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(f"\0{ready.address[1:]}")
        sender.sendall(b"STATUS=READY=1")

        assert ready.heard() == set()


def test_nobody_needs_to_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is started by hand announces itself to nobody."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)

    announce_ready()


def test_a_socket_with_a_path_is_systemds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Systemd's own socket is a file."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(path))
        systemd.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))

        announce_ready()

        assert systemd.recv(64) == b"READY=1"
