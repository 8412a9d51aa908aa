"""Content of seeded volumes: equal for equal seeds, and of every kind."""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path
from random import Random

from localcloud.seed.content import BLOCK, make_tree, mixed_blocks, sparse_blocks, text


def dice(seed: str = "one") -> Random:
    """Return a generator whose numbers are content, not secrets."""
    return Random(seed)  # noqa: S311


def test_mixed_blocks_are_of_every_kind() -> None:
    """Twins, written zeros, compressible and incompressible blocks all occur, in ascending order."""
    blocks = list(mixed_blocks(dice(), 2047))

    indexes = [index for index, _ in blocks]
    sizes = [len(zlib.compress(block, 1)) for _, block in blocks]
    digests = [hashlib.sha256(block).digest() for _, block in blocks]
    assert indexes == sorted(set(indexes))
    assert indexes[-1] <= 2047
    assert all(len(block) == BLOCK for _, block in blocks)
    assert sum(not any(block) for _, block in blocks) == 4
    assert sum(size > BLOCK * 0.99 for size in sizes) >= 12
    assert sum(BLOCK * 0.01 < size < BLOCK * 0.5 for size in sizes) >= 12
    assert len(digests) - len(set(digests)) >= 5 + 3


def test_equal_seeds_make_equal_blocks_and_others_do_not() -> None:
    """Content depends on the seed alone."""
    assert list(mixed_blocks(dice(), 2047)) == list(mixed_blocks(dice(), 2047))
    assert list(mixed_blocks(dice(), 2047)) != list(mixed_blocks(dice("two"), 2047))


def test_a_sparse_volume_has_its_first_and_last_block() -> None:
    """Nothing lies between the ends."""
    assert [index for index, _ in sparse_blocks(dice(), 2047)] == [0, 2047]


def test_text_has_the_size_that_was_asked_for() -> None:
    """Every size is met exactly, the empty one too."""
    for size in (0, 1, 79, 5000, 300_000):
        assert len(text(dice(), size)) == size


def test_a_tree_holds_what_file_restores_are_tested_with(tmp_path: Path) -> None:
    """Modes, owners, links, empty, sparse, long and non-ASCII names, all with times of their own."""
    owned = {one.path: one for one in make_tree(dice(), tmp_path, "web-1")}

    assert (tmp_path / "etc/hostname").read_text() == "web-1\n"
    assert (tmp_path / "etc/shadow").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "tmp").stat().st_mode & 0o7777 == 0o1777
    assert (tmp_path / "vmlinuz").readlink() == Path("boot/vmlinuz")
    assert (tmp_path / "srv/data/empty").stat().st_size == 0
    sparse = (tmp_path / "srv/data/sparse.img").stat()
    assert sparse.st_blocks * 512 < sparse.st_size // 10
    assert (tmp_path / "home/user/Grüße aus Köln.txt").read_text() == "Viele Grüße\n"
    assert owned["srv/data/orders.db"].uid == 1000
    assert (owned["etc/shadow"].uid, owned["etc/shadow"].gid) == (0, 42)
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")} == set(owned)
    for path, one in owned.items():
        assert (tmp_path / path).lstat().st_mtime == one.changed


def test_equal_seeds_make_equal_trees(tmp_path: Path) -> None:
    """Two trees of one seed hold the same files, owners and times."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()

    first = make_tree(dice(), tmp_path / "a", "web-1")
    second = make_tree(dice(), tmp_path / "b", "web-1")

    assert first == second
    for one in first:
        a, b = tmp_path / "a" / one.path, tmp_path / "b" / one.path
        if a.is_file() and not a.is_symlink():
            assert a.read_bytes() == b.read_bytes()
