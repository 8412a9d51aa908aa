"""What may arrive on the request queue, and what it means. Pure: bytes in, a document or a refusal out.

Four forms are understood, all of them JSON:

- the request itself: `{"schemaVersion": 1, "source": ..., ...}`
- a CloudEvents 1.0 event with the request as `data` (or `data_base64`)
- either of them inside kombu's envelope, as any kombu or Celery producer writes it
- a CloudEvents event in binary mode inside kombu's envelope: attributes as headers, the request as body
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.errors import Refused

#: Far above any request with ten thousand resources; a larger message is somebody's mistake.
MOST_BYTES: Final = 4 * 1024 * 1024

_JSON_TYPES: Final = frozenset({"application/json", "application/cloudevents+json", "text/plain"})
_CLOUD_EVENT: Final = "specversion"


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """What kombu writes around a body: enough to answer in the same form."""

    reply_to: str | None
    correlation_id: str | None
    content_type: str
    headers: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Message:
    """A message as far as it could be understood.

    `document` is the session request, not validated yet; `problem` says why there is none. `envelope` is None for a
    plain producer.
    """

    document: Any = None
    problem: Refused | None = None
    envelope: Envelope | None = None

    @property
    def reply_to(self) -> str | None:
        """Where the answer is wanted: the request's own wish, else the envelope's."""
        wish = self.document.get("replyTo") if isinstance(self.document, dict) else None
        if isinstance(wish, str):
            return wish
        return self.envelope.reply_to if self.envelope is not None else None


def read_message(raw: bytes) -> Message:
    """Understand a message. Never raises: whatever cannot be understood comes back as a `problem`."""
    if len(raw) > MOST_BYTES:
        return Message(
            problem=Refused(
                "the message is too large",
                value=f"{len(raw)} bytes",
                remedy=f"Send at most {MOST_BYTES} bytes; select by tags instead of naming every resource",
            )
        )
    envelope: Envelope | None = None
    try:
        document = _json(raw, "the message")
        if _is_envelope(document):
            envelope = _envelope(document)
            document = _unwrapped(document, envelope)
        return Message(document=_request(document), envelope=envelope)
    except Refused as error:
        return Message(problem=error, envelope=envelope)


def _request(document: Any) -> dict[str, Any]:
    if isinstance(document, dict) and _CLOUD_EVENT in document:
        document = _event_data(document)
    if not isinstance(document, dict):
        raise Refused(
            "the message must be a JSON object", value=_kind(document), remedy="Send a session request or a CloudEvent"
        )
    return document


def _json(raw: bytes | str, what: str) -> Any:
    try:
        # Decoded here: json itself would also take UTF-16 and UTF-32.
        text = raw.decode("utf-8") if isinstance(raw, bytes) else raw
        return json.loads(text, parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise Refused(f"{what} is not UTF-8 text", remedy="Send JSON encoded as UTF-8") from None
    except json.JSONDecodeError as error:
        raise Refused(f"{what} is not JSON", value=f"line {error.lineno}, column {error.colno}", remedy=_ONE) from None
    except RecursionError:
        raise Refused(f"{what} is nested too deep", remedy=_ONE) from None
    except ValueError:
        raise Refused(f"{what} holds a number that cannot be read", remedy=_ONE) from None


_ONE: Final = "Send one JSON object"


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _kind(value: Any) -> str:
    names = {dict: "object", list: "array", str: "string", int: "number", float: "number", bool: "boolean"}
    return names.get(type(value), "null")


# --- kombu's envelope ---------------------------------------------------------------------------------------------


def _is_envelope(document: Any) -> bool:
    return isinstance(document, dict) and "body" in document and isinstance(document.get("properties"), dict)


def _envelope(document: Mapping[str, Any]) -> Envelope:
    properties = document["properties"]
    headers = document.get("headers")
    return Envelope(
        reply_to=_text(properties.get("reply_to")),
        correlation_id=_text(properties.get("correlation_id")),
        content_type=_text(document.get("content-type")) or "application/json",
        headers=headers if isinstance(headers, dict) else {},
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _unwrapped(document: Mapping[str, Any], envelope: Envelope) -> Any:
    media = envelope.content_type.partition(";")[0].strip().lower()
    if media not in _JSON_TYPES:
        # A pickle would be code: it is refused unread.
        raise Refused(
            "the content type is not JSON", field="content-type", value=media, remedy="Publish with the json serializer"
        )
    if envelope.headers.get("compression"):
        raise Refused(
            "compressed messages are not read", field="headers.compression", remedy="Publish without compression"
        )
    body = document["body"]
    if not isinstance(body, str):
        raise Refused("the body must be a string", field="body", value=_kind(body))
    inner = _json(_bytes(body, document["properties"].get("body_encoding")), "the body")
    attributes = _binary_mode(envelope.headers)
    if attributes is not None and isinstance(inner, dict):
        return attributes | {"data": inner}
    return inner


def _bytes(body: str, encoding: Any) -> bytes | str:
    if encoding is None or str(encoding).lower() == "utf-8":
        return body
    if encoding != "base64":
        raise Refused("unknown body encoding", field="properties.body_encoding", value=encoding, remedy="Use base64")
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise Refused(
            "the body is not base64", field="body", remedy="Encode it as properties.body_encoding says"
        ) from None


def _binary_mode(headers: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a CloudEvents event's attributes from headers (AMQP's `cloudEvents:`, also `_` and HTTP's `ce-`)."""
    found: dict[str, Any] = {}
    for name, value in headers.items():
        for prefix in ("cloudEvents:", "cloudEvents_", "ce-"):
            if name.startswith(prefix):
                found[name.removeprefix(prefix)] = value
    return found if _CLOUD_EVENT in found else None


# --- CloudEvents --------------------------------------------------------------------------------------------------


def _event_data(event: Mapping[str, Any]) -> Any:
    """Return the request in an event; `source` and `id` of the event stand in when the request has none."""
    if event[_CLOUD_EVENT] != "1.0":
        raise Refused("unknown CloudEvents version", field=_CLOUD_EVENT, value=event[_CLOUD_EVENT], remedy="Send 1.0")
    for name in ("id", "source", "type"):
        if not _text(event.get(name)):
            raise Refused("this CloudEvents attribute is missing", field=name, remedy="Add it")
    if "data_base64" in event:
        data = _json(_bytes(str(event["data_base64"]), "base64"), "data_base64")
    elif "data" in event:
        data = event["data"]
    else:
        raise Refused("the event has no data", field="data", remedy="Put the session request into data")
    if isinstance(data, dict):
        return {"source": event["source"], "id": event["id"]} | data
    raise Refused("data must be a JSON object", field="data", value=_kind(data))
