"""A part of a file as the body of an answer."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud.filepart import FilePart


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of 4 MiB, of which no two places are alike."""
    path = tmp_path / "file"
    path.write_bytes(b"".join(number.to_bytes(8, "big") for number in range(512 * 1024)))
    return path


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of a connection; the first has a time-out, as the server's have."""
    ends = socket.socketpair()
    ends[0].settimeout(30)
    yield ends
    for end in ends:
        end.close()


def part(path: Path, offset: int, length: int) -> FilePart:
    """Open a part of a file."""
    return FilePart(os.open(path, os.O_RDONLY), offset, length)


def test_a_part_is_an_iterable_of_its_bytes(file: Path) -> None:
    """For whoever needs them in memory."""
    body = part(file, 4096, 65_536)

    assert b"".join(body) == file.read_bytes()[4096 : 4096 + 65_536]
    body.close()


def test_a_part_is_sent_whole_to_a_slow_reader(file: Path, sockets: tuple[socket.socket, socket.socket]) -> None:
    """More than any buffer holds; the sender waits for room."""
    body = part(file, 8, 4 * 2**20 - 8)
    received = bytearray()

    def read() -> None:
        while piece := sockets[1].recv(10_000):
            received.extend(piece)

    reader = threading.Thread(target=read)
    reader.start()
    body.send(sockets[0])
    sockets[0].close()
    reader.join()

    assert bytes(received) == file.read_bytes()[8:]
    body.close()


def test_a_file_that_is_too_short_is_an_error(file: Path, sockets: tuple[socket.socket, socket.socket]) -> None:
    """The client must not wait for bytes that never come."""
    body = part(file, 4 * 2**20 - 10, 20)

    with pytest.raises(ConnectionAbortedError):
        body.send(sockets[0])
    body.close()


def test_closing_again_closes_nobody_elses_file(file: Path) -> None:
    """The descriptor's number may belong to another file by then."""
    body = part(file, 0, 1)
    body.close()
    other = os.open(file, os.O_RDONLY)

    body.close()

    assert os.fstat(other).st_size == 4 * 2**20
    os.close(other)
