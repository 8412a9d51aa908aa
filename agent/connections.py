"""HTTP for a great many calls to one host: kept connections, one head, one body, the standard library's own parser.

urllib3 serves every case and takes twice the processor time for this one: calls of half a megabyte, hundreds a second.
Nothing is followed, decoded or tried again here; the caller does what has to be done.
"""

from __future__ import annotations

import select
import socket
import ssl
from collections import deque
from collections.abc import Mapping
from http.client import HTTPException, HTTPResponse
from typing import Final, NamedTuple
from urllib.parse import urlsplit

#: Whatever a call may raise when no whole answer came.
Failed: Final = (HTTPException, OSError)

_PORTS: Final = {"http": 80, "https": 443}
#: A body up to this size goes out together with its head.
_TOGETHER: Final = 4096


class Answer(NamedTuple):
    """A whole answer; names of headers in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes


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
        self._idle: deque[socket.socket] = deque(maxlen=most)

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
            connection.settimeout(read)
            answer, is_kept = _exchanged(connection, method, target, headers, body)
        except BaseException:
            connection.close()
            raise
        if is_kept and len(self._idle) < (self._idle.maxlen or 0):
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def _taken(self) -> socket.socket | None:
        """Return an idle connection that the host has not closed meanwhile."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            # Nothing was asked, so whatever can be read is the end, or of no use.
            waiting = select.poll()
            waiting.register(connection, select.POLLIN)
            if not waiting.poll(0):
                return connection
            connection.close()

    def _opened(self) -> socket.socket:
        connection = socket.create_connection((self._host, self._port), timeout=self._connect)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                return self._tls.wrap_socket(connection, server_hostname=self._host)
        except BaseException:
            connection.close()
            raise
        return connection


def _exchanged(
    connection: socket.socket,
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes | memoryview | None,
) -> tuple[Answer, bool]:
    """Send and receive; returns also whether the connection can be used again."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if body is not None or method != "GET":
        lines.append(f"content-length: {len(body or b'')}")
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a line break in the head of a request")
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    if body is not None and len(body) <= _TOGETHER:
        head += body
        body = None
    connection.sendall(head)
    if body is not None:
        connection.sendall(body)
    with HTTPResponse(connection, method=method) as response:
        response.begin()
        content = response.read()
        kept = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, kept, content), not response.will_close
