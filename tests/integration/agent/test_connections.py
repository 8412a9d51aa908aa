"""Connections to one host: kept, made anew, and over TLS with nobody but whom the machine believes."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agent.connections import Connections, Failed


@dataclass
class Host:
    """A server that echoes bodies; `accepted` counts connections, `closes` ends each after its answer, untold."""

    port: int
    accepted: list[socket.socket] = field(default_factory=list)
    closes: bool = False
    closed: threading.Event = field(default_factory=threading.Event)


@contextmanager
def host(context: ssl.SSLContext | None = None) -> Iterator[Host]:
    """Run a host on loopback."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def setup(self) -> None:
            made.accepted.append(self.request)
            super().setup()

        def finish(self) -> None:
            super().finish()
            if made.closes:
                self.request.shutdown(socket.SHUT_RDWR)
                made.closed.set()

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(201)
            self.send_header("X-Path", self.path)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = made.closes

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    made = Host(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def put(connections: Connections, body: bytes = b"block") -> tuple[int, bytes]:
    """Make a call; return status and body of the answer."""
    answer = connections.call("PUT", "/a?b=c", {"host": "here"}, body, read=5)
    assert answer.headers["x-path"] == "/a?b=c"
    return answer.status, answer.body


@pytest.fixture
def echo() -> Iterator[Host]:
    """A host without TLS."""
    with host() as made:
        yield made


def connected(echo: Host, **options: ssl.SSLContext) -> Connections:
    """Return connections to a host."""
    scheme = "https" if options else "http"
    return Connections(f"{scheme}://127.0.0.1:{echo.port}", most=2, connect=5, **options)


def test_a_connection_serves_call_after_call(echo: Host) -> None:
    """Bodies of every size come back whole."""
    connections = connected(echo)

    for size in (0, 1, 4096, 4097, 1_000_000):
        assert put(connections, b"x" * size) == (201, b"x" * size)

    assert len(echo.accepted) == 1
    connections.close()


def test_a_connection_that_the_host_has_closed_is_not_used_again(echo: Host) -> None:
    """Nobody hears of it."""
    connections = connected(echo)
    echo.closes = True

    for _ in range(3):
        put(connections)
        assert echo.closed.wait(5)
        echo.closed.clear()

    assert len(echo.accepted) == 3
    connections.close()


def test_an_answer_that_does_not_come_is_a_failure(echo: Host) -> None:
    """So is a host that is not there; nothing is tried again."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(Failed):
            Connections(f"http://127.0.0.1:{silent.getsockname()[1]}", most=1, connect=5).call(
                "GET", "/", {"host": "x"}, None, read=0.05
            )
    with pytest.raises(Failed):
        Connections(f"http://127.0.0.1:{silent_port()}", most=1, connect=5).call("GET", "/", {}, None, read=5)
    assert not echo.accepted


def silent_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_a_line_break_cannot_smuggle_a_header(echo: Host) -> None:
    """It is refused before anything is sent."""
    with pytest.raises(ValueError, match="line break"):
        connected(echo).call("PUT", "/", {"host": "x\r\nx-evil: 1"}, b"", read=5)


def certificate(folder: Path) -> Path:
    """Write a key and a certificate for 127.0.0.1 that nobody has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "here")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "both.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


def test_tls_is_for_whom_one_trusts(tmp_path: Path) -> None:
    """A host with a certificate of its own is refused, unless it is known."""
    path = certificate(tmp_path)
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(path)
    with host(own) as secured:
        known = connected(secured, trust=ssl.create_default_context(cafile=str(path)))
        stranger = Connections(f"https://127.0.0.1:{secured.port}", most=1, connect=5)

        assert [put(known, b"x" * 600_000) for _ in range(2)] == [(201, b"x" * 600_000)] * 2
        known.close()
        with pytest.raises(ssl.SSLCertVerificationError):
            put(stranger)


@contextmanager
def saying(*answers: bytes) -> Iterator[Connections]:
    """Run a host that gives these bytes for one request each and then closes; return connections to it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            for answer in answers:
                wire, _ = listening.accept()
                with wire, wire.makefile("rb") as asked:
                    while asked.readline() not in (b"\r\n", b""):
                        continue
                    wire.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        connections = Connections(f"http://127.0.0.1:{listening.getsockname()[1]}", most=1, connect=5)
        try:
            yield connections
        finally:
            connections.close()
            thread.join()


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n", 200, b"abcde"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", 403, b"no"),
        (b"HTTP/1.1 500 \r\n\r\nuntil it closes", 500, b"until it closes"),
        (b"HTTP/1.1 201 Created\r\ncontent-LENGTH:0\r\nConnection: close\r\n\r\n", 201, b""),
    ],
    ids=["in chunks", "after a go-on", "without a length", "empty"],
)  # fmt: skip
def test_every_form_of_an_answer_is_understood(answer: bytes, status: int, body: bytes) -> None:
    """As HTTP/1.1 has them."""
    with saying(answer) as connections:
        found = connections.call("GET", "/", {"host": "x"}, None, read=5)

    assert (found.status, found.body) == (status, body)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-server\r\n",
        b"HTTP/1.1 200 OK\r\nno head\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: y",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
    ],
)
def test_what_is_no_whole_answer_is_a_failure(answer: bytes) -> None:
    """Never half a body that looks like one."""
    with saying(answer) as connections, pytest.raises(Failed):
        connections.call("GET", "/", {"host": "x"}, None, read=5)
