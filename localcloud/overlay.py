"""The overlay: every request passes here on its way to moto.

In order: the cloud's own pages and instance metadata; who signed; token buckets; fault rules; may they; the parts that
answer themselves (`Plugin`s, ours first); moto; what parts add to the answer; faults that lose it; the call log.
"""

from __future__ import annotations

import io
import logging
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import Any, Final

from localcloud import control, metadata, wire
from localcloud.authority import Authority
from localcloud.call import Call, Plugin, Reply
from localcloud.calllog import CallLog
from localcloud.control import Control
from localcloud.decode import Request, decode, protocol_of, read_request
from localcloud.errors import AwsError, in_words_of
from localcloud.faults import Faults
from localcloud.gate import admit
from localcloud.identity import Identities, Identity
from localcloud.metadata import Metadata
from localcloud.moto_behaviour import SENDER
from localcloud.settings import Settings
from localcloud.sigv4 import Signature, read_signature, verify
from localcloud.targets import targets
from localcloud.throttle import Throttle
from localcloud.tokens import Tokens

_log = logging.getLogger(__name__)

StartResponse = Callable[..., Any]
WsgiApp = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]

#: Header with which moto is told the account; a client must not be able to.
_ACCOUNT_HEADER: Final = "HTTP_X_MOTO_ACCOUNT_ID"


class ConnectionCut(ConnectionAbortedError):
    """A fault rule cut the client's connection."""


class Overlay:
    """The WSGI application in front of moto."""

    def __init__(
        self,
        moto: WsgiApp,
        *,
        settings: Settings,
        identities: Identities,
        authority: Authority,
        tokens: Tokens,
        faults: Faults,
        throttle: Throttle,
        calls: CallLog,
        control: Control,
        metadata: Metadata,
        plugins: Sequence[Plugin],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._moto = moto
        self._settings = settings
        self._identities = identities
        self._authority = authority
        self._tokens = tokens
        self._faults = faults
        self._throttle = throttle
        self._calls = calls
        self._control = control
        self._metadata = metadata
        self._plugins = tuple(plugins)
        self._clock = clock
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Let calls that wait because of a fault rule go on at once."""
        self._stopping.set()
        self._faults.clear()

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        try:
            request = read_request(environ, self._settings.body_limit)
        except AwsError as error:
            return _send(wire.refusal(error, protocol="rest-xml"), start_response)
        try:
            if request.raw_path.startswith(control.PREFIX):
                reply = self._control.serve(request)
            elif request.raw_path.startswith(metadata.PREFIX):
                reply = self._metadata.serve(request.method, request.raw_path, request.headers)
            else:
                reply = self._serve(request)
        except ConnectionCut:
            raise
        except Exception:  # noqa: BLE001 - the last line of defence: the client hears an error, the log says why
            _log.exception("%s %s failed", request.method, request.raw_path)
            reply = wire.refusal(
                AwsError("InternalError", "The embedded cloud failed; its log says how."),
                protocol=protocol_of("", request.headers),
                method=request.method,
            )
        return _send(reply, start_response, head=request.method == "HEAD")

    def _serve(self, request: Request) -> Reply:
        began = self._clock()
        call: Call | None = None
        reply: Reply | None = None
        operation, account, region = "unknown:unknown", "", ""
        service = ""
        try:
            signature = read_signature(request.headers, request.raw_query)
            if signature is None:
                raise AwsError("MissingAuthenticationToken", "Request is missing Authentication Token")  # noqa: TRY301
            service, region = signature.service, signature.region
            identity = self._identify(request, signature)
            account = identity.principal.account
            call = decode(request, service=service, region=region)
            operation = call.name
            call.account, call.principal, call.identity = account, identity.principal, identity
            reply = self._answer(call, identity, request)
        except AwsError as error:
            reply = wire.refusal(
                in_words_of(service, error),
                protocol=call.protocol if call is not None else protocol_of(service, request.headers),
                method=request.method,
                service=service,
            )
        finally:
            self._calls.add(
                time=began,
                account=account,
                region=region,
                operation=operation,
                status=reply.status if reply is not None else 0,
                code=wire.error_code(reply) if reply is not None else None,
                principal=call.principal.arn if call is not None and call.principal is not None else None,
                seconds=self._clock() - began,
                targets=targets(call) if call is not None else (),
            )
        return reply

    def _identify(self, request: Request, signature: Signature) -> Identity:
        identity = self._identities.resolve(signature.access_key, signature.token)
        verify(
            signature,
            identity.secret,
            method=request.method,
            raw_path=request.raw_path,
            raw_query=request.raw_query,
            headers=request.headers,
            body=request.body,
            clock=self._clock,
        )
        return identity

    def _answer(self, call: Call, identity: Identity, request: Request) -> Reply:
        self._throttle.take(call, call.account)
        verdict = self._faults.judge(call, call.account)
        for rule in verdict.hold:
            self._faults.wait(rule)
        if verdict.seconds:
            self._stopping.wait(verdict.seconds)
        if verdict.error is not None:
            raise verdict.error
        if verdict.reset:
            _cut(request)
        try:
            admit(call, identity, self._authority)
            reply = self._tokens.once(call, lambda admitted: self._carry_out(admitted, request))
        except AwsError:
            if verdict.reset_after:
                _cut(request)
            raise
        if verdict.reset_after:
            wire.whole(reply)
            _cut(request)
        return reply

    def _carry_out(self, call: Call, request: Request) -> Reply:
        reply: Reply | None = None
        for plugin in self._plugins:
            reply = plugin.before(call)
            if reply is not None:
                break
        if reply is None:
            reply = self._ask_moto(call, request)
        for plugin in reversed(self._plugins):
            reply = plugin.after(call, reply)
        return reply

    def _ask_moto(self, call: Call, request: Request) -> Reply:
        environ = dict(request.environ)
        environ["wsgi.input"] = io.BytesIO(call.body)
        environ["CONTENT_LENGTH"] = str(len(call.body))
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        environ.pop("wsgi.input_terminated", None)
        environ[_ACCOUNT_HEADER] = call.account
        answered: list[tuple[str, list[tuple[str, str]]]] = []

        def start(status: str, headers: list[tuple[str, str]], _error: Any = None) -> None:
            answered.append((status, headers))

        sender = SENDER.set(call.principal.user_id if call.principal is not None else None)
        try:
            chunks = self._moto(environ, start)
            try:
                body = b"".join(chunks)
            finally:
                if hasattr(chunks, "close"):
                    chunks.close()
        except NotImplementedError as error:
            raise AwsError("NotImplemented", f"{call.name}: {error}") from None
        except Exception as error:  # noqa: BLE001 - moto raises anything
            _log.exception("moto failed at %s", call.name)
            raise AwsError(
                "InternalError", f"{call.name}: the embedded cloud failed ({type(error).__name__})"
            ) from None
        finally:
            SENDER.reset(sender)
        status, headers = answered[-1]
        return Reply(status=int(status.split(" ", 1)[0]), headers=headers, body=body)


def _cut(request: Request) -> None:
    """Cut the connection so that the client sees a reset at once, not a read that times out."""
    connection = request.environ["werkzeug.socket"]
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionCut("cut by a fault rule")


def _send(reply: Reply, start_response: StartResponse, *, head: bool = False) -> Iterable[bytes]:
    try:
        phrase = HTTPStatus(reply.status).phrase
    except ValueError:
        phrase = "Unknown"
    headers = reply.headers
    if isinstance(reply.body, bytes) and not head:
        headers = [(name, value) for name, value in headers if name.lower() != "content-length"]
        headers.append(("Content-Length", str(len(reply.body))))
    start_response(f"{reply.status} {phrase}", headers)
    return [reply.body] if isinstance(reply.body, bytes) else reply.body
