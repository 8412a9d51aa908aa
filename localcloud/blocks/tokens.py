"""Block tokens and page tokens: what a list answered, signed, so that nothing needs to be remembered.

A block token belongs to one block of one snapshot and lives seven days; a page token belongs to one listing and lives
an hour. Both are Base64 of at most 256 characters, as the API demands.
"""

from __future__ import annotations

import base64
import binascii
import secrets
import struct
from collections.abc import Callable
from hashlib import blake2b
from hmac import compare_digest
from typing import Final

#: Lives of tokens, in seconds.
BLOCK_TOKEN_LIFE: Final = 7 * 24 * 3600
PAGE_TOKEN_LIFE: Final = 3600
_PROOF: Final = 16
_EXPIRY: Final = struct.Struct(">Q")
_PAGE: Final = struct.Struct(">QQ")


class BadToken(ValueError):
    """A token that was not given for this, or whose time is over."""


class BlockTokens:
    """Gives and checks tokens; those of another cloud are worth nothing."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(32)

    def for_blocks(self, snapshot: str, indexes: list[int]) -> tuple[float, list[str]]:
        """Return when tokens for these blocks expire (Unix time) and the tokens."""
        expires = int(self._clock()) + BLOCK_TOKEN_LIFE
        prefix, start = _EXPIRY.pack(expires), self._block_proof(snapshot, expires)
        found = []
        for index in indexes:
            proof = start.copy()
            proof.update(index.to_bytes(8, "big"))
            found.append(base64.b64encode(prefix + proof.digest()).decode())
        return expires, found

    def check_block(self, token: str, snapshot: str, index: int) -> None:
        """Raise `BadToken` unless the token is for this block and still good."""
        raw = _decode(token, _EXPIRY.size + _PROOF)
        (expires,) = _EXPIRY.unpack_from(raw)
        proof = self._block_proof(snapshot, expires)
        proof.update(index.to_bytes(8, "big"))
        if not compare_digest(proof.digest(), raw[_EXPIRY.size :]) or expires < self._clock():
            raise BadToken

    def for_page(self, listing: str, start: int) -> str:
        """Return the token with which a listing goes on at block `start`."""
        raw = _PAGE.pack(int(self._clock()) + PAGE_TOKEN_LIFE, start)
        return base64.b64encode(raw + self._proof(f"page {listing}", raw).digest()).decode()

    def start_of_page(self, token: str, listing: str) -> int:
        """Return the block at which the listing goes on. Raises `BadToken`."""
        raw = _decode(token, _PAGE.size + _PROOF)
        body = raw[: _PAGE.size]
        expires, start = _PAGE.unpack(body)
        if not compare_digest(self._proof(f"page {listing}", body).digest(), raw[_PAGE.size :]):
            raise BadToken
        if expires < self._clock():
            raise BadToken
        return int(start)

    def _block_proof(self, snapshot: str, expires: int) -> blake2b:
        return self._proof(f"block {snapshot}", _EXPIRY.pack(expires))

    def _proof(self, purpose: str, body: bytes) -> blake2b:
        return blake2b(purpose.encode() + b"\0" + body, key=self._key, digest_size=_PROOF)


def _decode(token: str, length: int) -> bytes:
    try:
        raw = base64.b64decode(token, validate=True)
    except (binascii.Error, ValueError):
        raise BadToken from None
    if len(raw) != length:
        raise BadToken
    return raw
