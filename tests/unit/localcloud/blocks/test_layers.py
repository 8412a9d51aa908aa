"""Layers: blocks and digests in sparse files."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from localcloud.blocks.layers import BLOCK, PER_GIB, ZERO_DIGEST, Layer
from localcloud.filepart import FilePart

#: The last block of 16 TiB, which no single file of ext4 could hold.
FARTHEST = 16 * 1024 * PER_GIB - 1


def block(number: int) -> bytes:
    """Return a block that is like no other one."""
    return number.to_bytes(8, "big") * (BLOCK // 8)


def put(layer: Layer, index: int, data: bytes) -> None:
    """Write a block with its digest."""
    layer.write(index, data, sha256(data).digest())


def get(layer: Layer, index: int) -> bytes | None:
    """Read a block; its digest must be right."""
    found = layer.open(index)
    if found is None:
        return None
    digest, part = found
    data = part if isinstance(part, bytes) else b"".join(part)
    if isinstance(part, FilePart):
        part.close()
    assert sha256(data).digest() == digest
    return data


def space(directory: Path) -> int:
    """Return the bytes that files below a directory take on the disk."""
    return sum(path.stat().st_blocks * 512 for path in directory.rglob("*") if path.is_file())


def test_a_layer_gives_back_what_was_written(tmp_path: Path) -> None:
    """Blocks are read as they were written; others were not written."""
    layer = Layer(tmp_path, 1)

    for index in (0, 7, FARTHEST):
        put(layer, index, block(index + 1))

    assert [get(layer, index) for index in (0, 7, FARTHEST)] == [block(1), block(8), block(FARTHEST + 1)]
    assert get(layer, 1) is None
    assert layer.written().tolist() == [0, 7, FARTHEST]


def test_a_sparse_layer_takes_the_space_of_its_blocks(tmp_path: Path) -> None:
    """The first and last block of 16 TiB cost two blocks and a few pages, in file space."""
    layer = Layer(tmp_path, 1)

    put(layer, 0, block(1))
    put(layer, FARTHEST, block(2))

    assert 2 * BLOCK <= space(tmp_path) < 3 * BLOCK


def test_a_block_of_zeros_is_written_but_takes_no_space(tmp_path: Path) -> None:
    """Written zeros are listed and read, and free the space of what they replace."""
    layer = Layer(tmp_path, 1)
    put(layer, 3, block(1))

    put(layer, 3, bytes(BLOCK))
    put(layer, 9, bytes(BLOCK))

    assert get(layer, 3) == get(layer, 9) == bytes(BLOCK)
    assert layer.digest(3) == ZERO_DIGEST
    assert layer.written().tolist() == [3, 9]
    assert space(tmp_path) < BLOCK


def test_the_newest_write_of_a_block_counts(tmp_path: Path) -> None:
    """Data and digest are replaced together."""
    layer = Layer(tmp_path, 1)

    put(layer, 5, block(1))
    put(layer, 5, block(2))

    assert get(layer, 5) == block(2)
    assert layer.written().tolist() == [5]


def test_scanning_yields_digests_in_order(tmp_path: Path) -> None:
    """A scan over far places gives each index with its own digest."""
    layer = Layer(tmp_path, 1)
    indexes = [0, 127, 128, 70_000, 2_097_151, 2_097_152]
    for index in reversed(indexes):
        put(layer, index, block(index))

    found = {
        int(index): row.tobytes() for piece, digests in layer.scan() for index, row in zip(piece, digests, strict=True)
    }

    assert list(found) == indexes
    assert found == {index: sha256(block(index)).digest() for index in indexes}


def test_discarding_gives_back_space_and_touches_no_neighbour(tmp_path: Path) -> None:
    """Runs become holes, across the border of two files too."""
    border = 2_097_152
    indexes = [4, 5, 6, 9, border - 1, border, border + 1]
    layer = Layer(tmp_path, 1)
    for index in indexes:
        put(layer, index, block(index))
    before = space(tmp_path)

    layer.discard(np.array([5, 6, border - 1, border], np.uint32))

    assert before - space(tmp_path) == 4 * BLOCK
    assert [get(layer, index) for index in (4, 9, border + 1)] == [block(4), block(9), block(border + 1)]


def test_a_removed_layer_says_so(tmp_path: Path) -> None:
    """Reading from a layer that is gone raises what the store waits for."""
    layer = Layer(tmp_path, 1)
    put(layer, 0, block(1))

    layer.remove()

    with pytest.raises(FileNotFoundError):
        layer.open(0)
    assert not list(tmp_path.iterdir())
