"""Calls to a service that speaks AWS's JSON protocol, for a few calls of one kind.

A client of botocore's reads descriptions of services, endpoints and rules first, which costs more than a whole small
backup. Here a call is one signed request.
"""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit

import urllib3

from agent.aws import Access
from agent.aws_signing import Signer

_TIMEOUT: Final = urllib3.Timeout(connect=3.0, read=10.0)
_ATTEMPTS: Final = 5
#: Seconds before the second attempt at most; doubled for each further one.
_FIRST_PAUSE: Final = 0.2
_MAY_PASS: Final = ("ThrottlingException", "Throttling", "RequestLimitExceeded", "KMSInternalException")
_SERVER_FAULT: Final = 500
_TOO_MANY: Final = 429


class ServiceError(Exception):
    """The call failed for good. `code` is AWS's, or what kept an answer from coming."""

    def __init__(self, operation: str, code: str) -> None:
        """Name the call and the reason; neither holds a secret."""
        super().__init__(f"{operation}: {code}")
        self.code = code


class JsonService:
    """One service in one Region. Thread-safe."""

    def __init__(
        self, access: Access, service: str, target: str, *, region: str, pause: Callable[[float], None] = time.sleep
    ) -> None:
        """Take who asks, the service's name in addresses and in `X-Amz-Target`, and its Region. Nothing is called."""
        place = replace(access, region=region)
        self._endpoint = place.endpoint(service)
        host = urlsplit(self._endpoint).netloc
        self._signer = Signer(service=service, region=region, host=host, keys=access.keys)
        self._target = target
        self._pause = pause

    def call(self, operation: str, document: Mapping[str, Any]) -> dict[str, Any]:
        """Make a call; return its answer. Raises `ServiceError`, botocore's errors when there are no credentials."""
        body = json.dumps(document).encode()
        # Calls are so rare that a connection kept for the next one would only have to be closed.
        with urllib3.connection_from_url(self._endpoint, retries=False, timeout=_TIMEOUT) as pool:
            for attempt in range(1, _ATTEMPTS + 1):
                code, answer = self._attempt(pool, operation, body)
                if answer is not None:
                    return answer
                if attempt == _ATTEMPTS or not _may_pass(code):
                    break
                self._pause(random.random() * _FIRST_PAUSE * 2 ** (attempt - 1))  # noqa: S311 - to spread calls
        raise ServiceError(operation, code)

    def _attempt(
        self, pool: urllib3.HTTPConnectionPool, operation: str, body: bytes
    ) -> tuple[str, dict[str, Any] | None]:
        extra = {"content-type": "application/x-amz-json-1.1", "x-amz-target": f"{self._target}.{operation}"}
        payload = hashlib.sha256(body).hexdigest()
        headers = self._signer.headers("POST", "/", "", payload=payload, extra=extra)
        try:
            answer = pool.urlopen("POST", "/", body=body, headers=headers, redirect=False)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            return type(error).__name__, None
        try:
            said = json.loads(answer.data or b"{}")
        except ValueError:
            said = None
        if answer.status == 200 and isinstance(said, dict):  # noqa: PLR2004 - the one success of this protocol
            return "", said
        named = said.get("__type") if isinstance(said, dict) else None
        code = str(answer.headers.get("x-amzn-errortype") or named or f"status {answer.status}")
        return code.split(":", 1)[0].rsplit("#", 1)[-1], None


def _may_pass(code: str) -> bool:
    """Whether another attempt may succeed: no answer, too many calls, a fault of the server."""
    if code.startswith("status "):
        status = int(code.removeprefix("status "))
        return status >= _SERVER_FAULT or status == _TOO_MANY
    return code in _MAY_PASS or not code.endswith("Exception")
