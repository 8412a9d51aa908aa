"""The HTTP side: a thread a connection, connections kept open, answers in one write.

werkzeug's own server closes after every answer and then lingers for 10 ms; agents make thousands of small calls. Its
parsing of requests into WSGI (with moto's care for S3 metadata headers) is kept.
"""

from __future__ import annotations

import email.utils
import logging
import socket
from collections.abc import Iterable
from http.server import ThreadingHTTPServer
from typing import Any, Final

from moto.moto_server.werkzeug_app import MotoRequestHandler

from localcloud.filepart import FilePart
from localcloud.overlay import ConnectionCut, Overlay

_log = logging.getLogger(__name__)

#: Seconds after which an idle connection is closed.
_IDLE: Final = 120.0
_NO_BODY: Final = frozenset({204, 304})


class Handler(MotoRequestHandler):
    """One connection. Writes no access log: it would name signed addresses."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = _IDLE

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's own parameter name
        """Write nothing; the call log knows what was asked."""

    def handle_expect_100(self) -> bool:
        """Ask for the body at once: whether it is welcome is decided with the whole request."""
        self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return True

    def handle(self) -> None:
        """Serve the connection until it ends; a cut or dropped one ends quietly."""
        try:
            super().handle()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def finish(self) -> None:
        """Close, also when the other side has gone."""
        try:
            super().finish()
        except OSError:
            self.close_connection = True

    def run_wsgi(self) -> None:
        """Serve one request."""
        environ = self.make_environ()
        answered: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]]) -> None:
            answered.append((status, headers))

        app: Overlay = self.server.overlay  # type: ignore[attr-defined]  # werkzeug names its own server class
        try:
            chunks = app(environ, start_response)
            self._send(*answered[-1], chunks)
        except ConnectionCut:
            self.close_connection = True

    def _send(self, status: str, headers: list[tuple[str, str]], chunks: Iterable[bytes]) -> None:
        code = int(status.split(" ", 1)[0])
        names = {name.lower() for name, _ in headers}
        bodiless = self.command == "HEAD" or code in _NO_BODY
        chunked = not bodiless and "content-length" not in names
        lines = [f"HTTP/1.1 {status}", "Server: daywork-localcloud"]
        if "date" not in names:
            lines.append(f"Date: {email.utils.formatdate(usegmt=True)}")
        lines += [f"{name}: {value}" for name, value in headers if name.lower() not in ("connection", "server")]
        if chunked:
            lines.append("Transfer-Encoding: chunked")
        lines.append(f"Connection: {'close' if self.close_connection else 'keep-alive'}")
        waiting = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")
        try:
            if isinstance(chunks, FilePart) and not bodiless and not chunked:
                self.connection.sendall(waiting, socket.MSG_MORE)
                chunks.send(self.connection)
                return
            for chunk in chunks:
                if bodiless or not chunk:
                    continue
                piece = b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunked else chunk
                self.wfile.write(waiting + piece if waiting else piece)
                waiting = b""
            if chunked:
                waiting += b"0\r\n\r\n"
            if waiting:
                self.wfile.write(waiting)
        finally:
            close = getattr(chunks, "close", None)
            if close is not None:
                close()


class Server(ThreadingHTTPServer):
    """Listens on 127.0.0.1 alone and gives each connection a thread."""

    daemon_threads = True
    # A fleet of a thousand agents may connect at once.
    request_queue_size = 1024
    multithread = True
    multiprocess = False
    ssl_context = None
    _server_version = "daywork-localcloud"

    def __init__(self, port: int, overlay: Overlay) -> None:
        self.overlay = overlay
        super().__init__(("127.0.0.1", port), Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; small answers are sent without waiting for acknowledgements."""
        connection, address = super().get_request()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection, address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what went wrong: errors of calls are answers, so this is a fault of the cloud itself."""
        del request
        _log.exception("connection from %s failed", client_address)
