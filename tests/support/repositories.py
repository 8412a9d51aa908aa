"""Repositories in memory, with a key service of the test process and a store that fails on request."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from obstore.store import MemoryStore

from agent.repository.errors import Unreachable, Unusable
from agent.repository.keys import Context
from agent.repository.layout import Chain
from agent.repository.objects import Objects, Readable
from agent.repository.repository import Repository, open_repository

CHAIN = Chain(account="222222222222", region="eu-west-1", resource="i-0a1b2c3d")


class FakeKeys:
    """A key service: wraps data keys under keys of its own, bound to the context as KMS does. Counts its calls."""

    def __init__(
        self, name: str = "arn:aws:kms:eu-west-1:111111111111:key/one", *, secret: bytes | None = None
    ) -> None:
        """Begin with one wrapping key, a new one unless its `secret` is given; others can be added with `know`."""
        self._name = name
        self._keys = {name: AESGCM(secret or secrets.token_bytes(32))}
        self.generated = 0
        self.unwrapped = 0

    @property
    def name(self) -> str:
        """The name under which new data keys are wrapped."""
        return self._name

    def use(self, name: str) -> None:
        """Wrap under another key from now on; what was wrapped before can still be unwrapped."""
        self._name = name
        self._keys.setdefault(name, AESGCM(secrets.token_bytes(32)))

    def forget(self, name: str) -> None:
        """Lose a wrapping key."""
        del self._keys[name]

    def generate(self, context: Context) -> tuple[bytes, bytes]:
        """Return a data key in clear and wrapped."""
        self.generated += 1
        clear, nonce = secrets.token_bytes(32), secrets.token_bytes(12)
        return clear, nonce + self._keys[self._name].encrypt(nonce, clear, _associated(context))

    def unwrap(self, wrapped: bytes, *, name: str, context: Context) -> bytes:
        """Return a data key in clear."""
        self.unwrapped += 1
        try:
            return self._keys[name].decrypt(wrapped[:12], wrapped[12:], _associated(context))
        except (KeyError, InvalidTag):
            raise Unusable(f"the repository's key {name} cannot be used: fake") from None


def _associated(context: Context) -> bytes:
    return json.dumps(dict(context), sort_keys=True).encode()


class Watched(Objects):
    """Objects that remember what was written and read, and fail when `failing` says so."""

    def __init__(self, store: Any = None) -> None:
        """Take a store, or make one in memory."""
        super().__init__(MemoryStore() if store is None else store)
        self.written: list[str] = []
        self.read: list[str] = []
        self.classes: dict[str, str] = {}
        #: Called with what is about to happen (`put`, `get`) and the key; may raise, wait or change the world.
        self.before: Callable[[str, str], None] = lambda _what, _key: None

    def get(self, key: str) -> memoryview:
        """Return an object."""
        self.before("get", key)
        self.read.append(key)
        return super().get(key)

    def get_whole(self, key: str, most: int) -> memoryview | None:
        """Return an object that is not too large."""
        self.before("get", key)
        self.read.append(key)
        return super().get_whole(key, most)

    def put_parts(self, key: str, parts: Iterator[bytes], *, storage_class: str, part: int = 8 * 1024 * 1024) -> None:
        """Write an object while it comes; `before` hears of it when all of it has come."""

        def watched() -> Iterator[bytes]:
            yield from parts
            self.before("put", key)

        super().put_parts(key, watched(), storage_class=storage_class, part=part)
        self.written.append(key)
        self.classes[key] = storage_class

    def create(self, key: str, data: Readable) -> None:
        """Write a new object."""
        self.before("put", key)
        super().create(key, data)
        self.written.append(key)

    def put(self, key: str, data: Readable) -> None:
        """Write an object."""
        self.before("put", key)
        super().put(key, data)
        self.written.append(key)

    def delete(self, key: str) -> None:
        """Remove an object."""
        self.before("delete", key)
        super().delete(key)

    def keys(self, prefix: str) -> list[str]:
        """Return the keys below a prefix."""
        return [entry.key for entry in self.list(prefix)]

    def replace(self, key: str, change: Callable[[bytearray], None]) -> None:
        """Change an object's bytes behind the repository's back."""
        content = bytearray(super().get(key))
        change(content)
        super().put(key, bytes(content))

    def swap(self, first: str, second: str) -> None:
        """Put two objects into each other's place."""
        one, two = bytes(super().get(first)), bytes(super().get(second))
        super().put(first, two)
        super().put(second, one)


def fails_at(prefix: str) -> Callable[[str, str], None]:
    """Return a `Watched.before` that refuses to write below a prefix."""

    def before(what: str, key: str) -> None:
        if what == "put" and key.startswith(prefix):
            raise Unreachable(f"{key}: the repository's store did not answer (test)")

    return before


def flip(content: bytearray, place: int = -1) -> None:
    """Flip one bit."""
    content[place] ^= 1


def memory_repository(objects: Objects | None = None, service: FakeKeys | None = None) -> Repository:
    """Return a new repository in memory."""
    return open_repository(objects or Watched(), service or FakeKeys(), create=True)
