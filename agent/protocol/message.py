"""The form of every message: a frozen dataclass that is camel-case JSON, read strictly, and the form of a time."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Self

PROTOCOL_VERSION = 1


class ProtocolError(ValueError):
    """A message that is not version 1 of this protocol; says which field is wrong."""


def _matches(value: Any, kind: Any) -> bool:
    origin = typing.get_origin(kind)
    if kind is Any:
        return True
    if origin is Literal:
        return value in typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return any(_matches(value, option) for option in typing.get_args(kind))
    if origin is tuple:
        return isinstance(value, (list, tuple))
    if origin is dict:
        return isinstance(value, dict)
    if dataclasses.is_dataclass(kind):
        return isinstance(value, dict | typing.cast("type", kind))
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind)


@dataclass(frozen=True, kw_only=True)
class Message:
    """Base of all messages: camel-case JSON objects, unknown fields refused by name."""

    def to_dict(self) -> dict[str, Any]:
        """Return the message as plain JSON values; fields that are None are left out."""
        out: dict[str, Any] = {}
        for spec in dataclasses.fields(self):
            value = getattr(self, spec.name)
            if value is not None:
                out[_camel(spec.name)] = _plain(value)
        return out

    def to_json(self) -> str:
        """Return compact JSON with sorted keys: equal messages are equal bytes."""
        return json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_dict(cls, document: Any) -> Self:
        """Read a message. Raises `ProtocolError` that names the field."""
        if not isinstance(document, dict):
            raise ProtocolError(f"{cls.__name__}: expected a JSON object, got {type(document).__name__}")
        hints = typing.get_type_hints(cls)
        known = {_camel(spec.name): spec for spec in dataclasses.fields(cls)}
        if unknown := sorted(set(document) - set(known)):
            raise ProtocolError(f"{cls.__name__}: unknown field {unknown[0]!r}")
        values: dict[str, Any] = {}
        for name, spec in known.items():
            if name not in document:
                if spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING:
                    raise ProtocolError(f"{cls.__name__}: field {name!r} is missing")
                continue
            if not _matches(document[name], hints[spec.name]):
                raise ProtocolError(f"{cls.__name__}: field {name!r} has the wrong type or value")
            values[spec.name] = _typed(document[name], hints[spec.name])
        if values.get("protocol", PROTOCOL_VERSION) != PROTOCOL_VERSION:
            raise ProtocolError(f"{cls.__name__}: protocol {values['protocol']} is not {PROTOCOL_VERSION}")
        return cls(**values)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read a message from JSON text. Raises `ProtocolError`."""
        try:
            document = json.loads(text)
        except ValueError as error:
            raise ProtocolError(f"{cls.__name__}: not JSON ({error})") from None
        return cls.from_dict(document)


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)


def _plain(value: Any) -> Any:
    if isinstance(value, Message):
        return value.to_dict()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _typed(value: Any, kind: Any) -> Any:
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        options = [option for option in typing.get_args(kind) if option is not type(None)]
        return None if value is None else _typed(value, options[0])
    if origin is tuple:
        return tuple(_typed(item, typing.get_args(kind)[0]) for item in value)
    if isinstance(kind, type) and issubclass(kind, Message):
        return value if isinstance(value, kind) else kind.from_dict(value)
    return value


def format_time(moment: datetime) -> str:
    """Return RFC 3339 UTC with milliseconds, the only form of a time in messages."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """Read RFC 3339. Raises `ProtocolError`."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ProtocolError(f"time {text!r} is not RFC 3339") from None
    if moment.tzinfo is None:
        raise ProtocolError(f"time {text!r} has no time zone")
    return moment.astimezone(UTC)
