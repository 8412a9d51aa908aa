"""HTTP/1.1 for a great many calls to one host: kept connections, one head, one body.

urllib3 serves every case and takes three times the processor time for this one: calls of half a megabyte, hundreds a
second; most of the rest is the standard library's parser of mail headers. Nothing is followed, decoded or tried again
here; the caller does what has to be done.
"""

from __future__ import annotations

import select
import socket
import ssl
from collections import deque
from collections.abc import Iterator, Mapping
from http.client import BadStatusLine, HTTPException, IncompleteRead, RemoteDisconnected
from typing import BinaryIO, Final, NamedTuple, cast
from urllib.parse import urlsplit

#: Whatever a call may raise when no whole answer came.
Failed: Final = (HTTPException, OSError)

_PORTS: Final = {"http": 80, "https": 443}
#: A body up to this size goes out together with its head.
_TOGETHER: Final = 4096
#: Bounds of what is believed to be a head.
_LONGEST_LINE: Final = 65_536
_MOST_LINES: Final = 128
_CONTINUE: Final = 100


class Answer(NamedTuple):
    """A whole answer; names of headers in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Connection:
    """An open connection, and what is read from it."""

    def __init__(self, wire: socket.socket) -> None:
        self.wire = wire
        self.incoming = cast("BinaryIO", wire.makefile("rb", buffering=_LONGEST_LINE))

    def close(self) -> None:
        """Close both."""
        self.incoming.close()
        self.wire.close()

    def is_quiet(self) -> bool:
        """Whether nothing waits to be read: nothing was asked, so it would be the end, or of no use."""
        waiting = select.poll()
        waiting.register(self.wire, select.POLLIN)
        return not waiting.poll(0)


class Connections:
    """Connections to one host, for any number of threads; idle ones are kept and used again."""

    def __init__(self, endpoint: str, *, most: int, connect: float, trust: ssl.SSLContext | None = None) -> None:
        """Take the host's URL, how many idle connections to keep, and the seconds that connecting may take.

        `trust` says whom to believe behind https, None: whoever the machine believes.
        """
        parts = urlsplit(endpoint)
        self._host = parts.hostname or ""
        self._port = parts.port or _PORTS[parts.scheme]
        self._tls = (trust or ssl.create_default_context()) if parts.scheme == "https" else None
        self._connect = connect
        self._idle: deque[_Connection] = deque(maxlen=most)

    def close(self) -> None:
        """Close idle connections."""
        while self._idle:
            self._idle.pop().close()

    def call(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | memoryview | None, *, read: float
    ) -> Answer:
        """Send one request and return its answer; each wait for the host takes `read` seconds at most. Raises `Failed`.

        `headers` are sent as they are, `host` among them; the length of the body is added.
        """
        connection = self._taken() or self._opened()
        try:
            connection.wire.settimeout(read)
            _send(connection.wire, method, target, headers, body)
            answer, is_kept = _answer(connection.incoming)
        except BaseException:
            connection.close()
            raise
        if is_kept and len(self._idle) < (self._idle.maxlen or 0):
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def _taken(self) -> _Connection | None:
        """Return an idle connection that the host has not closed meanwhile."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if connection.is_quiet():
                return connection
            connection.close()

    def _opened(self) -> _Connection:
        wire = socket.create_connection((self._host, self._port), timeout=self._connect)
        try:
            wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                wire = self._tls.wrap_socket(wire, server_hostname=self._host)
            return _Connection(wire)
        except BaseException:
            wire.close()
            raise


def _send(
    wire: socket.socket, method: str, target: str, headers: Mapping[str, str], body: bytes | memoryview | None
) -> None:
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if body is not None or method != "GET":
        lines.append(f"content-length: {len(body or b'')}")
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a line break in the head of a request")
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    if body is not None and len(body) <= _TOGETHER:
        head += body
        body = None
    wire.sendall(head)
    if body is not None:
        wire.sendall(body)


def _answer(incoming: BinaryIO) -> tuple[Answer, bool]:
    """Receive an answer; returns also whether the connection can be used again. Raises `Failed`."""
    status = _CONTINUE
    headers: dict[str, str] = {}
    while status == _CONTINUE:
        status, headers = _status(incoming), _headers(incoming)
    is_kept = headers.get("connection", "").lower() != "close"
    if "transfer-encoding" in headers:
        return Answer(status, headers, b"".join(_chunks(incoming))), is_kept
    if "content-length" in headers:
        return Answer(status, headers, _exactly(incoming, _number(headers["content-length"], 10))), is_kept
    # Whatever has no stated length lasts until the host closes.
    return Answer(status, headers, incoming.read()), False


def _status(incoming: BinaryIO) -> int:
    line = incoming.readline(_LONGEST_LINE)
    if not line:
        raise RemoteDisconnected("the host closed the connection without an answer")
    version, _, rest = line.partition(b" ")
    if version != b"HTTP/1.1" or not rest[:3].isdigit():
        raise BadStatusLine(repr(line[:80]))
    return int(rest[:3])


def _headers(incoming: BinaryIO) -> dict[str, str]:
    found: dict[str, str] = {}
    for _ in range(_MOST_LINES):
        line = incoming.readline(_LONGEST_LINE)
        if line in (b"\r\n", b"\n"):
            return found
        name, colon, value = line.partition(b":")
        if not colon or not line.endswith(b"\n"):
            raise HTTPException("the head of the answer is no head")
        found[name.decode("latin-1").lower()] = value.strip().decode("latin-1")
    raise HTTPException("the head of the answer has no end")


def _chunks(incoming: BinaryIO) -> Iterator[bytes]:
    while size := _number(incoming.readline(_LONGEST_LINE).partition(b";")[0], 16):
        yield _exactly(incoming, size)
        incoming.readline(_LONGEST_LINE)
    _headers(incoming)


def _exactly(incoming: BinaryIO, length: int) -> bytes:
    found = incoming.read(length)
    if len(found) != length:
        raise IncompleteRead(found, length - len(found))
    return found


def _number(text: str | bytes, base: int) -> int:
    try:
        found = int(text, base)
    except ValueError:
        raise HTTPException("a length in the answer is no number") from None
    if found < 0:
        raise HTTPException("a length in the answer is no number")
    return found
