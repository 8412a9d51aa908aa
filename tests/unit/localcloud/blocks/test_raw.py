"""Raw image files, in and out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from localcloud.blocks.layers import BLOCK
from localcloud.blocks.raw import differing_blocks, export_file, import_file
from localcloud.blocks.store import Store

SIZE = 64 * 2**30


def image(path: Path, blocks: Mapping[int, bytes], size: int = SIZE) -> Path:
    """Write a sparse file that holds data at some blocks."""
    with path.open("wb") as file:
        for index, data in blocks.items():
            file.seek(index * BLOCK)
            file.write(data)
        file.truncate(size)
    return path


def block(number: int) -> bytes:
    """Return a block that is like no other one."""
    return number.to_bytes(8, "big") * (BLOCK // 8)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store(tmp_path / "blocks")


def test_an_import_writes_what_the_file_holds(store: Store, tmp_path: Path) -> None:
    """Written zeros count, holes do not; a block that is written in part counts whole."""
    source = image(tmp_path / "image", {0: block(1), 7: bytes(BLOCK), 131_071: b"end"})
    volume = store.create()

    written = import_file(store, volume, source, SIZE)

    assert written == 3
    assert volume.freeze().indexes.tolist() == [0, 7, 131_071]
    assert store.read(volume, 131_071) == b"end".ljust(BLOCK, b"\0")


def test_a_second_import_writes_what_differs(store: Store, tmp_path: Path) -> None:
    """So that a next snapshot shows what changed; what the file no longer holds becomes zeros."""
    volume = store.create()
    import_file(store, volume, image(tmp_path / "one", {0: block(1), 5: block(2), 9: block(3)}), SIZE)
    before = volume.freeze()
    second = image(tmp_path / "two", {0: block(1), 5: block(4), 6: block(5)})

    written = import_file(store, volume, second, SIZE)

    after = volume.freeze()
    assert written == 3
    assert [index for index in after.indexes.tolist() if after.layer_of(index) != before.layer_of(index)] == [5, 6, 9]
    assert not list(differing_blocks(store, volume, second, SIZE))


def test_a_file_larger_than_the_volume_is_refused(store: Store, tmp_path: Path) -> None:
    """The sentence names both sizes."""
    source = image(tmp_path / "image", {}, SIZE + 1)

    with pytest.raises(ValueError, match=f"{SIZE + 1} bytes, more than the volume's {SIZE}"):
        import_file(store, store.create(), source, SIZE)


def test_an_export_keeps_holes(store: Store, tmp_path: Path) -> None:
    """64 GiB with two blocks take the space of two blocks; an existing file is left alone."""
    volume = store.create()
    import_file(store, volume, image(tmp_path / "image", {0: block(1), 131_071: block(2)}), SIZE)

    blocks = export_file(store, volume, tmp_path / "out", SIZE)

    made = (tmp_path / "out").stat()
    assert blocks == 2
    assert made.st_size == SIZE
    assert made.st_blocks * 512 < 3 * BLOCK
    with pytest.raises(FileExistsError):
        export_file(store, volume, tmp_path / "out", SIZE)


def test_a_comparison_names_blocks_that_differ(store: Store, tmp_path: Path) -> None:
    """In data, in what only one has; written zeros equal a hole."""
    volume = store.create()
    import_file(store, volume, image(tmp_path / "image", {0: block(1), 3: block(2), 8: bytes(BLOCK)}), SIZE)
    other = image(tmp_path / "other", {0: block(1), 3: block(9), 4: block(3)}, SIZE)

    assert list(differing_blocks(store, volume, other, SIZE)) == [3, 4]


@settings(max_examples=15, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=st.lists(st.dictionaries(st.integers(0, 12), st.integers(0, 3), max_size=6), min_size=1, max_size=4))
def test_out_is_what_went_in_last(tmp_path: Path, rounds: list[dict[int, int]]) -> None:
    """Whatever a volume held before."""
    store = Store(tmp_path / "blocks")
    volume = store.create()
    source = tmp_path / "source"

    for blocks in rounds:
        image(source, {index: block(version) for index, version in blocks.items()}, 16 * BLOCK)
        import_file(store, volume, source, 16 * BLOCK)

    out = tmp_path / "out"
    out.unlink(missing_ok=True)
    export_file(store, volume, out, 16 * BLOCK)
    assert out.read_bytes() == source.read_bytes()
    assert not list(differing_blocks(store, volume, source, 16 * BLOCK))
    store.clear()
