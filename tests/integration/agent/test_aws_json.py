"""Calls to services that speak AWS's JSON protocol: signed, tried again where that may help, errors by AWS's names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

import pytest
from botocore.session import Session
from support.scripted_http import Asked, Said, Script, ScriptedServer, scripted_server

from agent.aws import Access
from agent.aws_json import JsonService, ServiceError


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """The service."""
    with scripted_server() as made:
        yield made


def service(server: ScriptedServer, pauses: list[float]) -> JsonService:
    """Return the service as a worker reaches it."""
    session = Session()
    session.set_credentials("AKIDTEST", "canary-secret", "canary-token")
    access = Access(session=session, region="eu-west-1", endpoint_url=server.url)
    return JsonService(access, "kms", "TrentService", region="us-east-2", pause=pauses.append)


def in_turn(*answers: Said) -> Script:
    """Answer one after the other, the last for ever."""
    left = list(answers)
    return lambda _asked: left.pop(0) if len(left) > 1 else left[0]


def refusal(status: int, kind: str) -> Said:
    """Return what AWS says when it refuses."""
    return Said(status, json.dumps({"__type": kind, "message": "no"}).encode())


def test_a_call_names_its_operation_and_is_signed_for_the_region(server: ScriptedServer) -> None:
    """The document goes as it is, and the answer comes as it is."""
    asked: list[Asked] = []

    def script(one: Asked) -> Said:
        asked.append(one)
        return Said(body=b'{"Plaintext": "AAAA"}')

    server.script = script

    assert service(server, []).call("Decrypt", {"KeyId": "k"}) == {"Plaintext": "AAAA"}
    (one,) = asked
    assert (one.method, one.path, json.loads(one.body)) == ("POST", "/", {"KeyId": "k"})
    assert one.headers["x-amz-target"] == "TrentService.Decrypt"
    assert one.headers["x-amz-content-sha256"] == hashlib.sha256(one.body).hexdigest()
    assert "/us-east-2/kms/aws4_request" in one.headers["authorization"]
    assert one.headers["x-amz-security-token"] == "canary-token"


@pytest.mark.parametrize(
    "bad",
    [
        Said(503, b"<html>bad gateway</html>"),
        refusal(400, "ThrottlingException"),
        refusal(500, "com.amazonaws.trent#KMSInternalException"),
        Said(429),
        Said(cut=-1),
    ],
)
def test_what_may_pass_is_tried_again(server: ScriptedServer, bad: Said) -> None:
    """With growing pauses, and no more than five times."""
    pauses: list[float] = []
    server.script = in_turn(bad, bad, Said(body=b"{}"))

    assert service(server, pauses).call("Decrypt", {}) == {}
    assert len(pauses) == 2

    server.script = in_turn(bad)
    with pytest.raises(ServiceError):
        service(server, pauses).call("Decrypt", {})
    assert len(pauses) == 6


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (refusal(400, "AccessDeniedException"), "AccessDeniedException"),
        (refusal(400, "com.amazonaws.trent#DisabledException"), "DisabledException"),
        (Said(400, b"{}", {"x-amzn-errortype": "NotFoundException:http://internal"}), "NotFoundException"),
        (Said(404, b"[]"), "status 404"),
    ],
)
def test_what_will_not_change_is_told_at_once_by_its_name(server: ScriptedServer, bad: Said, code: str) -> None:
    """Without a secret."""
    server.script = in_turn(bad)

    with pytest.raises(ServiceError) as caught:
        service(server, []).call("Decrypt", {"Plaintext": "canary"})

    assert caught.value.code == code
    assert len(server.asked) == 1
    assert "canary" not in str(caught.value)
