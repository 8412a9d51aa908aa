"""Raw image files: taken in as the content of a volume, written out, compared. Sparse in, sparse out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from localcloud.blocks.layers import BLOCK
from localcloud.blocks.sparse import data_ranges, read_padded, write_all
from localcloud.blocks.store import Content, Store


def import_file(store: Store, content: Content, file: Path, size: int) -> int:
    """Make a raw image file the content; return how many blocks had to be written.

    A block counts as written when the file holds data there, be it zeros. Blocks that are the same already are left
    alone, so that a next snapshot shows what changed; written blocks where the file has a hole become zeros. Raises
    OSError; ValueError when the file is larger than `size` bytes.
    """
    written = 0
    with file.open("rb") as source:
        length = os.fstat(source.fileno()).st_size
        if length > size:
            raise ValueError(f"file {str(file)!r} has {length} bytes, more than the volume's {size}")
        before = content.freeze()
        missing = set(before.indexes.tolist())
        for index in _written_blocks(source.fileno(), length):
            missing.discard(index)
            data = read_padded(source.fileno(), BLOCK, index * BLOCK)
            written += _write(store, content, index, data)
    for index in sorted(missing):
        written += _write(store, content, index, bytes(BLOCK))
    return written


def _write(store: Store, content: Content, index: int, data: bytes) -> int:
    digest = sha256(data).digest()
    if store.digest(content, index) == digest:
        return 0
    content.write(index, data, digest)
    return 1


def export_file(store: Store, content: Content, file: Path, size: int) -> int:
    """Write the content into a raw image file of `size` bytes, with holes where nothing was written; return its blocks.

    Raises OSError, FileExistsError when the file is there already.
    """
    blocks = content.freeze().indexes.tolist()
    with file.open("xb") as target:
        os.ftruncate(target.fileno(), size)
        for index in blocks:
            write_all(target.fileno(), store.read(content, index), index * BLOCK)
    return len(blocks)


def differing_blocks(store: Store, content: Content, file: Path, size: int) -> Iterator[int]:
    """Yield the indexes of blocks whose bytes differ from a raw image file's, in order.

    A file that is shorter or longer than `size` differs in what one has and the other has not, unless that is zeros.
    """
    with file.open("rb") as source:
        length = os.fstat(source.fileno()).st_size
        blocks = set(content.freeze().indexes.tolist()) | set(_written_blocks(source.fileno(), length))
        for index in sorted(blocks):
            held = store.read(content, index) if index * BLOCK < size else bytes(BLOCK)
            if held != read_padded(source.fileno(), BLOCK, index * BLOCK):
                yield index


def _written_blocks(descriptor: int, length: int) -> Iterator[int]:
    following = 0
    for start, end in data_ranges(descriptor, length):
        for index in range(max(start // BLOCK, following), -(-end // BLOCK)):
            yield index
            following = index + 1
