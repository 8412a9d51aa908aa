"""Data keys: made and wrapped by KMS, unwrapped when an object needs them, kept in memory only.

A repository has one or more data keys. Each may be wrapped several times (`keys/<key id>/<wrap id>`): under another KMS
key, say. New objects use the newest data key that is wrapped under the KMS key of the order; when there is none, one
is made, so a repository changes to another KMS key by itself. KMS binds a wrapping to the repository's id and the key's
id (encryption context): a wrapping copied elsewhere does not open.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final, Protocol

from agent.repository.errors import Damaged, Unusable
from agent.repository.layout import KEY_ID, KEYS, time_id, wrap_key
from agent.repository.objects import Objects

_DATA_KEY: Final = 32

Context = Mapping[str, str]


class KeyService(Protocol):
    """What wraps data keys. Raises `Unusable` when it may not or cannot."""

    @property
    def name(self) -> str:
        """The wrapping key's name (the ARN of a KMS key)."""

    def generate(self, context: Context) -> tuple[bytes, bytes]:
        """Return a new data key (32 bytes) in clear and wrapped, bound to `context`."""

    def unwrap(self, wrapped: bytes, *, name: str, context: Context) -> bytes:
        """Return a data key that was wrapped under key `name` and `context`."""


@dataclass(frozen=True, kw_only=True)
class _Wrap:
    key_id: bytes
    name: str
    wrapped: bytes
    made: str


class KeyRing:
    """The data keys of one repository. Thread-safe."""

    def __init__(self, objects: Objects, repository: str, service: KeyService) -> None:
        """Take the repository's id. Nothing is read yet."""
        self._objects = objects
        self._repository = repository
        self._service = service
        self._lock = Lock()
        self._wraps: list[_Wrap] | None = None
        self._clear: dict[bytes, bytes] = {}
        self._current: bytes | None = None

    def find(self, key_id: bytes) -> bytes:
        """Return a data key. Raises `Unusable` when it is not in the repository or cannot be unwrapped."""
        with self._lock:
            found = self._clear.get(key_id)
            return found if found is not None else self._open(key_id)

    def current(self) -> tuple[bytes, bytes]:
        """Return (key id, data key) for new objects; makes and stores one when there is none under this KMS key."""
        with self._lock:
            if self._current is None:
                ours = [wrap for wrap in self._read() if wrap.name == self._service.name]
                self._current = max(ours, key=lambda one: one.made).key_id if ours else self._make()
            return self._current, self._clear.get(self._current) or self._open(self._current)

    def _context(self, key_id: bytes) -> Context:
        return {"daywork:repository": self._repository, "daywork:key": key_id.hex()}

    def _read(self) -> list[_Wrap]:
        if self._wraps is None:
            self._wraps = [self._parse(entry.key) for entry in self._objects.list(KEYS)]
        return self._wraps

    def _parse(self, key: str) -> _Wrap:
        try:
            document: dict[str, Any] = json.loads(bytes(self._objects.get(key)))
            return _Wrap(
                key_id=bytes.fromhex(key.split("/")[1]),
                name=str(document["kmsKey"]),
                wrapped=base64.b64decode(document["wrapped"], validate=True),
                made=key.rpartition("/")[2],
            )
        except (ValueError, KeyError, TypeError, binascii.Error):
            raise Damaged(f"{key} is damaged: it holds no wrapped key") from None

    def _open(self, key_id: bytes) -> bytes:
        wraps = [wrap for wrap in self._read() if wrap.key_id == key_id]
        if not wraps:
            raise Unusable(
                f"data key {key_id.hex()} is not in the repository: nothing stands under {KEYS}/{key_id.hex()}",
                "Restore the objects under keys/ of the repository",
            )
        wraps.sort(key=lambda one: one.name != self._service.name)
        refusals: list[Unusable] = []
        for wrap in wraps:
            try:
                clear = self._service.unwrap(wrap.wrapped, name=wrap.name, context=self._context(key_id))
            except Unusable as error:
                refusals.append(error)
            else:
                self._clear[key_id] = clear
                return clear
        raise refusals[0]

    def _make(self) -> bytes:
        key_id = secrets.token_bytes(KEY_ID)
        clear, wrapped = self._service.generate(self._context(key_id))
        if len(clear) != _DATA_KEY:
            raise Unusable(f"key {self._service.name} gave a data key of {len(clear)} bytes instead of {_DATA_KEY}")
        document = {"format": 1, "kmsKey": self._service.name, "wrapped": base64.b64encode(wrapped).decode()}
        self._objects.create(wrap_key(key_id, time_id()), json.dumps(document, sort_keys=True).encode())
        self._clear[key_id] = clear
        return key_id
