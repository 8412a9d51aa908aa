"""Sealing: how metadata objects are kept secret, and bound to the place where they stand.

Each sealed object has a key of its own, derived from a data key and a random salt, so no nonce can ever repeat. The
place (the object's key) is authenticated with it: an object that was moved, or swapped with another, does not open.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, Final

import msgpack  # type: ignore[import-untyped]  # no stubs are published
import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from agent.repository.errors import Damaged
from agent.repository.layout import KEY_ID
from agent.repository.objects import Readable

MAGIC: Final = b"DWS1"
_SALT: Final = 16
_HEADER: Final = len(MAGIC) + KEY_ID + _SALT
#: One key seals one object, so the nonce may be constant.
_NONCE: Final = bytes(12)
_LEVEL: Final = 6

#: Returns the 32-byte data key of a key id. Raises `Unusable`.
KeyFinder = Callable[[bytes], bytes]


def derive(data_key: bytes, purpose: bytes, salt: bytes) -> AESGCM:
    """Return the AES-256-GCM key for one purpose and salt (HKDF-SHA256)."""
    return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=salt, info=purpose).derive(data_key))


def seal(plain: bytes, *, place: str, key_id: bytes, data_key: bytes) -> bytes:
    """Return `plain` sealed for `place` under a data key."""
    salt = secrets.token_bytes(_SALT)
    cipher = derive(data_key, b"daywork object", salt)
    return b"".join((MAGIC, key_id, salt, cipher.encrypt(_NONCE, plain, place.encode())))


def unseal(sealed: Readable, *, place: str, find_key: KeyFinder) -> bytes:
    """Return what was sealed for `place`. Raises `Damaged` when these are not its bytes or not its place."""
    sealed = memoryview(sealed)
    if len(sealed) < _HEADER or bytes(sealed[: len(MAGIC)]) != MAGIC:
        raise Damaged(f"{place} is damaged: it is not a sealed object")
    key_id = bytes(sealed[len(MAGIC) : len(MAGIC) + KEY_ID])
    salt = bytes(sealed[_HEADER - _SALT : _HEADER])
    try:
        return derive(find_key(key_id), b"daywork object", salt).decrypt(_NONCE, sealed[_HEADER:], place.encode())
    except InvalidTag:
        raise Damaged(f"{place} is damaged: its content is not what was written there") from None


def pack_document(document: dict[str, Any]) -> bytes:
    """Return a document as compressed msgpack."""
    return zstandard.ZstdCompressor(level=_LEVEL).compress(msgpack.packb(document))


def unpack_document(plain: bytes, *, place: str) -> dict[str, Any]:
    """Read a document back. Raises `Damaged` when it is none."""
    try:
        document = msgpack.unpackb(zstandard.ZstdDecompressor().decompress(plain))
    except (ValueError, zstandard.ZstdError, msgpack.UnpackException) as error:
        raise Damaged(f"{place} is damaged: {type(error).__name__}") from None
    if not isinstance(document, dict):
        raise Damaged(f"{place} is damaged: it holds no document")
    return document
