"""Layers: written blocks in sparse files, and their digests beside them.

A layer is a directory. Block `i` lies at its natural place, in a file for each TiB (ext4 ends files just below 16 TiB);
the file `sums` holds the digest of block `i` at `32 * i`. A digest of zeros means that the block was not written: the
digests are the layer's index too, and their holes make listing cost what was written, not what the volume's size is.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from localcloud.blocks.sparse import data_ranges, punch, read_padded, write_all
from localcloud.filepart import FilePart

#: Bytes of a block.
BLOCK: Final = 512 * 1024
#: Blocks of one GiB of a volume.
PER_GIB: Final = 2048
_ZEROS: Final = bytes(BLOCK)
#: Digest of a block of zeros; such blocks take no space.
ZERO_DIGEST: Final = sha256(_ZEROS).digest()
_DIGEST: Final = 32
#: Blocks of a file: one TiB.
_SEGMENT: Final = 1 << 21
#: Digests read at once.
_SCAN: Final = 1 << 16

Indexes = NDArray[np.uint32]


class Layer:
    """One layer. Blocks may be written from many threads; the same block not at the same time."""

    def __init__(self, directory: Path, number: int) -> None:
        self.number = number
        self._directory = directory / str(number)
        self._sums = str(self._directory / "sums")
        self._segments = f"{self._directory}/"
        self._directory.mkdir(parents=True)
        Path(self._sums).touch()

    def write(self, index: int, data: bytes | memoryview, digest: bytes) -> None:
        """Write a block of `BLOCK` bytes and its digest."""
        path, offset = self._place(index)
        if digest != ZERO_DIGEST:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                write_all(descriptor, data, offset)
            finally:
                os.close(descriptor)
        else:
            self._punch(path, offset)
        self._write_digest(index, digest)

    def open(self, index: int) -> tuple[bytes, FilePart | bytes] | None:
        """Return digest and data of a block, or None when it was not written; a `FilePart` is the caller's to close.

        Raises FileNotFoundError when the layer has been removed.
        """
        digest = self.digest(index)
        if digest is None:
            return None
        if digest == ZERO_DIGEST:
            return digest, _ZEROS
        path, offset = self._place(index)
        return digest, FilePart(os.open(path, os.O_RDONLY), offset, BLOCK)

    def digest(self, index: int) -> bytes | None:
        """Return the digest of a block, or None when it was not written. Raises FileNotFoundError as `open`."""
        descriptor = os.open(self._sums, os.O_RDONLY)
        try:
            digest = os.pread(descriptor, _DIGEST, index * _DIGEST)
        finally:
            os.close(descriptor)
        return digest if any(digest) else None

    def scan(self) -> Iterator[tuple[Indexes, NDArray[np.uint8]]]:
        """Yield (indexes, digests) of what was written, in order and in pieces; digests are rows of 32 bytes."""
        descriptor = os.open(self._sums, os.O_RDONLY)
        try:
            for start, end in data_ranges(descriptor, os.fstat(descriptor).st_size):
                first, last = start // _DIGEST, -(-end // _DIGEST)
                for at in range(first, last, _SCAN):
                    count = min(_SCAN, last - at)
                    raw = read_padded(descriptor, count * _DIGEST, at * _DIGEST)
                    rows = np.frombuffer(raw, np.uint8).reshape(-1, _DIGEST)
                    written = np.flatnonzero(rows.any(axis=1))
                    if written.size:
                        yield (written + at).astype(np.uint32), rows[written]
        finally:
            os.close(descriptor)

    def written(self) -> Indexes:
        """Return the indexes of all written blocks, in order."""
        pieces = [indexes for indexes, _ in self.scan()]
        return np.concatenate(pieces) if pieces else np.empty(0, np.uint32)

    def discard(self, indexes: Indexes) -> None:
        """Give the space of blocks back that nobody can reach any more. `indexes` are in order."""
        # Runs of neighbours within one file are one hole.
        breaks = np.flatnonzero((np.diff(indexes) != 1) | (indexes[1:] % _SEGMENT == 0)) + 1
        for run in np.split(indexes, breaks):
            self._punch(*self._place(int(run[0])), len(run) * BLOCK)

    def remove(self) -> None:
        """Remove the layer with all its bytes."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def _place(self, index: int) -> tuple[str, int]:
        return f"{self._segments}{index // _SEGMENT}", index % _SEGMENT * BLOCK

    def _write_digest(self, index: int, digest: bytes) -> None:
        descriptor = os.open(self._sums, os.O_WRONLY)
        try:
            write_all(descriptor, digest, index * _DIGEST)
        finally:
            os.close(descriptor)

    @staticmethod
    def _punch(path: str, offset: int, length: int = BLOCK) -> None:
        try:
            descriptor = os.open(path, os.O_WRONLY)
        except FileNotFoundError:
            return
        try:
            punch(descriptor, offset, length)
        finally:
            os.close(descriptor)
