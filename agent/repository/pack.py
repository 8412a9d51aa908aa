"""Packs: objects of about 16 MiB that hold distinct blocks, compressed and encrypted one by one.

    blob 0 | blob 1 | ... | footer (encrypted) | tail (32 bytes)
    blob = flag (1 byte) | ciphertext | tag (16 bytes)

A pack has a key of its own, derived from the data key that its id names and the id itself. The nonce is the slot (the
blob's number), so none repeats; flag and block id are authenticated with each blob. The footer lists slot by slot the
block id, stored length and flag, so a pack explains itself; the index repeats it for look-ups.
"""

from __future__ import annotations

import secrets
import struct
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from agent.repository import columns
from agent.repository.errors import Damaged
from agent.repository.layout import KEY_ID, PACK_ID, pack_key
from agent.repository.objects import Readable
from agent.repository.seal import KeyFinder, derive, pack_document, unpack_document

BLOCK: Final = 512 * 1024
BLOCK_ID: Final = 32
#: What a blob needs beside its content: flag and tag.
OVERHEAD: Final = 17
RAW: Final = 0
ZSTD: Final = 1

#: More slots would make packs of very compressible data slow to restore.
MOST_SLOTS: Final = 1024
PACK_SIZE: Final = 16 * 1024 * 1024

_TAG: Final = 16
_TAIL: Final = struct.Struct(">8sHHIQQ")
_MAGIC: Final = b"DAYWORKP"
_FORMAT: Final = 1
#: Room behind the blobs for the footer of a pack with every slot in use, and the tail.
_ROOM: Final = MOST_SLOTS * (BLOCK_ID + 8) + 4096
_FOOTER_NONCE: Final = b"\xff" * 12

#: A tail read with this many bytes brings the footer along.
END: Final = _ROOM


def _nonce(slot: int) -> bytes:
    return slot.to_bytes(12, "big")


def _associated(flag: int, block_id: bytes) -> bytes:
    return bytes((flag,)) + block_id


def seal_blob(cipher: AESGCM, slot: int, block_id: bytes, flag: int, content: Readable) -> bytes:
    """Return the blob of a slot: flag, ciphertext, tag."""
    return bytes((flag,)) + cipher.encrypt(_nonce(slot), content, _associated(flag, block_id))


def pack_cipher(pack_id: bytes, find_key: KeyFinder) -> AESGCM:
    """Return the key of a pack. Raises `Unusable`."""
    return derive(find_key(pack_id[:KEY_ID]), b"daywork pack", pack_id)


@dataclass(frozen=True, kw_only=True)
class PackTable:
    """What a pack holds, slot by slot: block ids (n, 32), stored lengths in bytes with flag and tag, flags."""

    pack_id: bytes
    ids: npt.NDArray[np.uint8]
    lengths: npt.NDArray[np.uint32]
    flags: npt.NDArray[np.uint8]

    @property
    def slots(self) -> int:
        """How many blobs the pack holds."""
        return len(self.lengths)

    @cached_property
    def offsets(self) -> npt.NDArray[np.uint64]:
        """Where each blob begins, and behind the last one where they end."""
        ends = np.zeros(self.slots + 1, dtype=np.uint64)
        np.cumsum(self.lengths, out=ends[1:], dtype=np.uint64)
        return ends

    def block_id(self, slot: int) -> bytes:
        """Return the id of the block in a slot."""
        return bytes(self.ids[slot])


class OpenPack:
    """A pack that is being filled. `reserve`, `done` and `close` are called under one lock, `fill` outside of it."""

    def __init__(self, *, key_id: bytes, data_key: bytes, size: int = PACK_SIZE) -> None:
        """Take the data key; `size` is where the pack counts as full."""
        self.pack_id = key_id + secrets.token_bytes(PACK_ID - KEY_ID)
        self._cipher = derive(data_key, b"daywork pack", self.pack_id)
        self._size = max(size, BLOCK + OVERHEAD)
        self._buffer = memoryview(bytearray(self._size + _ROOM))
        self._used = 0
        self._pending = 0
        self._closed = False
        self._ids: list[bytes] = []
        self._lengths: list[int] = []
        self._flags = bytearray()

    @property
    def slots(self) -> int:
        """How many slots are taken."""
        return len(self._flags)

    @property
    def is_whole(self) -> bool:
        """Closed, and every reserved slot filled: ready to be sealed."""
        return self._closed and self._pending == 0

    def reserve(self, block_id: bytes, flag: int, size: int) -> tuple[int, int] | None:
        """Take a slot for `size` bytes of content; returns (slot, offset), or None when the pack is full."""
        length = size + OVERHEAD
        if self._used + length > self._size or self.slots >= MOST_SLOTS:
            return None
        place = self.slots, self._used
        self._used += length
        self._pending += 1
        self._ids.append(block_id)
        self._lengths.append(length)
        self._flags.append(flag)
        return place

    def fill(self, place: tuple[int, int], block_id: bytes, flag: int, content: Readable) -> None:
        """Encrypt content into its reserved place."""
        slot, offset = place
        self._buffer[offset] = flag
        target = self._buffer[offset + 1 : offset + OVERHEAD + len(content)]
        self._cipher.encrypt_into(_nonce(slot), content, _associated(flag, block_id), target)

    def done(self) -> None:
        """Note that one reserved place was filled."""
        self._pending -= 1

    def close(self) -> None:
        """Take no more slots."""
        self._closed = True

    def sealed(self) -> tuple[PackTable, memoryview]:
        """Return what the pack holds and its bytes; the buffer is not touched again."""
        table = PackTable(
            pack_id=self.pack_id,
            ids=columns.rows_of(b"".join(self._ids), BLOCK_ID, self.slots),
            lengths=np.array(self._lengths, dtype=np.uint32),
            flags=np.frombuffer(bytes(self._flags), dtype=np.uint8),
        )
        ending = pack_ending(table, self._cipher)
        end = self._used + len(ending)
        self._buffer[self._used : end] = ending
        return table, self._buffer[:end]


def pack_ending(table: PackTable, cipher: AESGCM) -> bytes:
    """Return what stands behind the blobs of a pack: footer and tail."""
    footer = cipher.encrypt(_FOOTER_NONCE, _footer(table), pack_key(table.pack_id).encode())
    return footer + _TAIL.pack(_MAGIC, _FORMAT, 0, len(footer), int(table.offsets[-1]), 0)


def _footer(table: PackTable) -> bytes:
    return pack_document(
        {
            "slots": table.slots,
            "ids": table.ids.tobytes(),
            "lengths": columns.to_bytes(table.lengths, "u4"),
            "flags": table.flags.tobytes(),
        }
    )


def ending_length(end: Readable) -> int:
    """Return how many last bytes of a pack its footer and tail are, by its last bytes; 0 when they are no pack's."""
    tail = memoryview(end)[-_TAIL.size :]
    if len(tail) < _TAIL.size:
        return 0
    magic, _, _, length, _, _ = _TAIL.unpack(tail)
    return int(length) + _TAIL.size if magic == _MAGIC else 0


def read_table(pack_id: bytes, end: Readable, find_key: KeyFinder) -> PackTable:
    """Read a pack's footer from its last bytes (`END` of them are enough, all are fine). Raises `Damaged`."""
    place = pack_key(pack_id)
    end = memoryview(end)
    if len(end) < _TAIL.size:
        raise Damaged(f"{place} is damaged: it is too short for a pack")
    magic, version, spare, length, used, rest = _TAIL.unpack(end[-_TAIL.size :])
    start = len(end) - _TAIL.size - length
    if magic != _MAGIC or version != _FORMAT or start < 0 or spare or rest:
        raise Damaged(f"{place} is damaged: it does not end as a pack does")
    cipher = pack_cipher(pack_id, find_key)
    try:
        plain = cipher.decrypt(_FOOTER_NONCE, end[start : start + length], place.encode())
    except InvalidTag:
        raise Damaged(f"{place} is damaged: its footer is not what was written there") from None
    document = unpack_document(plain, place=place)
    slots = int(document["slots"])
    table = PackTable(
        pack_id=pack_id,
        ids=columns.rows_of(document["ids"], BLOCK_ID, slots),
        lengths=columns.from_bytes(document["lengths"], "u4", slots),
        flags=columns.rows_of(document["flags"], 1, slots).reshape(slots),
    )
    if int(table.offsets[-1]) != used:
        raise Damaged(f"{place} is damaged: its blobs do not end where its tail says")
    return table


class PackReader:
    """Opens blobs of one pack, for any number of threads; each brings its own decompressor."""

    def __init__(self, table: PackTable, find_key: KeyFinder) -> None:
        """Take what the pack holds and where to find its data key."""
        self.table = table
        self._cipher = pack_cipher(table.pack_id, find_key)

    def open(self, slot: int, blob: Readable, decompressor: zstandard.ZstdDecompressor) -> bytes:
        """Return the 512 KiB of a blob. Raises `Damaged` that names pack and slot."""
        flag, content = self.content(slot, blob)
        try:
            data = decompressor.decompress(content, max_output_size=BLOCK) if flag == ZSTD else content
        except zstandard.ZstdError:
            raise Damaged(f"{pack_key(self.table.pack_id)} is damaged in slot {slot}") from None
        if len(data) != BLOCK:
            raise Damaged(f"{pack_key(self.table.pack_id)} is damaged in slot {slot}: {len(data)} bytes")
        return data

    def content(self, slot: int, blob: Readable) -> tuple[int, bytes]:
        """Return flag and content of a blob as it was stored: compressed or not. Raises `Damaged`."""
        flag = int(self.table.flags[slot])
        associated = _associated(flag, self.table.block_id(slot))
        # The flag that counts is the footer's; the one before the blob is for reading a pack without its footer.
        if bytes(memoryview(blob)[:1]) != bytes((flag,)):
            raise Damaged(f"{pack_key(self.table.pack_id)} is damaged in slot {slot}")
        try:
            return flag, self._cipher.decrypt(_nonce(slot), memoryview(blob)[1:], associated)
        except (InvalidTag, ValueError):
            raise Damaged(f"{pack_key(self.table.pack_id)} is damaged in slot {slot}") from None
