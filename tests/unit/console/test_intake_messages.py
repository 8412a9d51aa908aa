"""What may arrive on the request queue, and what it means."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from console.intake.messages import MOST_BYTES, read_message
from console.intake.queue import Reply, may_answer_on, wire_form

REQUEST = {"schemaVersion": 1, "source": "erp", "id": "1", "operation": "ec2-backup", "resources": []}
EVENT = {
    "specversion": "1.0",
    "id": "e-1",
    "source": "/erp",
    "type": "backup.wanted",
    "data": {"operation": "ec2-backup"},
}


def kombu(inner: Any, **more: Any) -> dict[str, Any]:
    """Return a body in kombu's envelope, as kombu writes it."""
    return {
        "body": base64.b64encode(json.dumps(inner).encode()).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {},
        "properties": {"body_encoding": "base64", "reply_to": "answers", "correlation_id": "c-1", "delivery_tag": "t"},
    } | more


@pytest.mark.parametrize(
    ("sent", "document"),
    [
        (REQUEST, REQUEST),
        (EVENT, {"source": "/erp", "id": "e-1", "operation": "ec2-backup"}),
        ({**EVENT, "data": REQUEST}, REQUEST),
        (kombu(REQUEST), REQUEST),
        (kombu(EVENT), {"source": "/erp", "id": "e-1", "operation": "ec2-backup"}),
        (kombu(REQUEST, body=json.dumps(REQUEST), properties={}), REQUEST),
        (
            kombu(
                REQUEST,
                headers={
                    "cloudEvents:specversion": "1.0",
                    "cloudEvents:id": "e-2",
                    "cloudEvents:source": "/x",
                    "cloudEvents:type": "t",
                },
            ),
            REQUEST,
        ),
        (
            {**{name: EVENT[name] for name in ("specversion", "id", "source", "type")},
             "data_base64": base64.b64encode(json.dumps(REQUEST).encode()).decode()},
            REQUEST,
        ),
    ],
)  # fmt: skip
def test_each_form_gives_the_same_request(sent: Any, document: Any) -> None:
    """Bare, as an event, in kombu's envelope, as an event in binary mode: one request."""
    message = read_message(json.dumps(sent).encode())

    assert message.problem is None
    assert message.document == document


@pytest.mark.parametrize(
    ("raw", "field", "words"),
    [
        (b"", "", "not JSON"),
        (b"{", "", "not JSON"),
        (b"\xff\xfe{}", "", "UTF-8"),
        (b"[" * 100_000, "", "nested too deep"),
        (b'{"a": NaN}', "", "number"),
        (b"1" * 5000, "", "number"),
        (b"null", "", "JSON object"),
        (b"[1, 2]", "", "JSON object"),
        (b'"text"', "", "JSON object"),
        (b" " * (MOST_BYTES + 1), "", "too large"),
        (json.dumps({**EVENT, "specversion": "0.3"}).encode(), "specversion", "version"),
        (json.dumps({**EVENT, "type": ""}).encode(), "type", "missing"),
        (json.dumps({**EVENT, "data": [1]}).encode(), "data", "JSON object"),
        (
            json.dumps({name: EVENT[name] for name in ("specversion", "id", "source", "type")}).encode(),
            "data",
            "no data",
        ),
        (
            json.dumps(kombu(REQUEST, **{"content-type": "application/x-python-serialize"})).encode(),
            "content-type",
            "JSON",
        ),
        (
            json.dumps(kombu(REQUEST, headers={"compression": "application/x-gzip"})).encode(),
            "headers.compression",
            "read",
        ),
        (json.dumps(kombu(REQUEST, body=12)).encode(), "body", "string"),
        (json.dumps(kombu(REQUEST, body="***")).encode(), "body", "base64"),
        (
            json.dumps(kombu(REQUEST, properties={"body_encoding": "rot13"})).encode(),
            "properties.body_encoding",
            "unknown",
        ),
    ],
)
def test_what_cannot_be_understood_says_where_and_why(raw: bytes, field: str, words: str) -> None:
    """A refusal names the field and the reason; nothing is raised."""
    problem = read_message(raw).problem

    assert problem is not None
    assert problem.field == field
    assert words in problem.reason


@given(
    st.binary(max_size=300)
    | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(lambda x: repr(x).encode())
)
def test_no_bytes_whatever_raise(raw: bytes) -> None:
    """Anything at all is either a document or a problem."""
    message = read_message(raw)

    assert (message.document is None) != (message.problem is None)


def test_an_answer_goes_where_the_request_wishes() -> None:
    """The request's replyTo wins over the envelope's."""
    assert read_message(json.dumps(kombu(REQUEST)).encode()).reply_to == "answers"
    assert read_message(json.dumps(kombu({**REQUEST, "replyTo": "mine"})).encode()).reply_to == "mine"
    assert read_message(json.dumps(REQUEST).encode()).reply_to is None


@pytest.mark.parametrize(
    "queue", ["daywork.requests", "daywork.steps", "unacked", "_kombu.binding.x", "", "a\n", "x" * 300]
)
def test_answers_are_never_written_to_our_own_queues(queue: str) -> None:
    """A producer cannot make an answer into work."""
    assert not may_answer_on(queue)


def test_an_answer_takes_the_form_of_the_question() -> None:
    """Bare for a bare producer; for kombu an envelope whose body can be read by people too."""
    envelope = read_message(json.dumps(kombu(REQUEST)).encode()).envelope

    bare = json.loads(wire_form(Reply(queue="q", body={"a": 1}, envelope=None)))
    wrapped = json.loads(wire_form(Reply(queue="q", body={"a": 1}, envelope=envelope)))

    assert bare == {"a": 1}
    assert json.loads(wrapped["body"]) == {"a": 1}
    assert wrapped["properties"]["correlation_id"] == "c-1"
