"""An archived point is whole by itself, in large packs of its own; a job that fails leaves none."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.archiving import ArchiveBench
from support.block_devices import FakeEbs, block
from support.data_jobs import volume
from support.repositories import CHAIN, fails_at, flip

from agent.ebs import BLOCK
from agent.jobs.context import JobFailed, JobStopped
from agent.repository.archive import Part

NOISE = {index: block("noise", index) for index in range(40)}
#: Blocks that occur twice, in two segments, beside one that compresses.
SECOND = {0: NOISE[3], 7: block("text", 7), 2048: NOISE[3], 2049: block("noise", 99)}


@pytest.fixture
def bench() -> ArchiveBench:
    """A bench with one restore point of two volumes."""
    bench = ArchiveBench(ebs=FakeEbs({"snap-1": NOISE, "snap-2": SECOND}))
    bench.backup("rp-1", volume("snap-1"), volume("snap-2", name="vol-2"))
    bench.progress.clear()
    return bench


def retrieve(bench: ArchiveBench, point: str, name: str) -> set[str]:
    """Retrieve the packs of one volume as their names tell; return their keys."""
    part = Part(chain=CHAIN, point=point, volume=name)
    names = {f"{part.folder}/{pack_id.hex()}" for pack_id, _ in part.packs(bench.archive)}
    bench.vault.retrieved |= names
    return names


def test_what_was_archived_is_restored_without_the_repository(bench: ArchiveBench) -> None:
    """Byte for byte, from packs that belong to the volume alone, after the repository has lost everything."""
    result = bench.to_archive("rp-1", "rp-a")
    for key in bench.objects.keys("rp") + bench.objects.keys("packs") + bench.objects.keys("map"):
        bench.objects.delete(key)

    packs = retrieve(bench, "rp-a", "vol-1")

    assert bench.restored_from_archive("rp-a") == NOISE
    with pytest.raises(JobFailed, match="is not retrieved"):
        bench.restored_from_archive("rp-a", "vol-2")
    others = retrieve(bench, "rp-a", "vol-2")
    assert bench.restored_from_archive("rp-a", "vol-2") == SECOND
    assert not packs & others
    assert packs | others == bench.vault.packs
    figures = result.detail["packs"]
    assert {name: one["count"] for name, one in figures.items()} == {"vol-1": len(packs), "vol-2": len(others)}
    assert len(packs) == 6, "forty blocks of noise, seven in a pack of 4 MiB"


def test_only_packs_are_in_the_archive_class(bench: ArchiveBench) -> None:
    """Listing points, planning, and going on after a death need no retrieval."""
    bench.to_archive("rp-1", "rp-a")

    assert set(bench.vault.classes) == bench.vault.packs
    assert set(bench.vault.classes.values()) == {"DEEP_ARCHIVE"}


def test_a_copy_tells_what_it_is_of(bench: ArchiveBench) -> None:
    """Of which moment, of which volumes and configuration: as the original; the result says how much."""
    result = bench.to_archive("rp-1", "rp-a")

    head, original = bench.copy("rp-a"), bench.head("rp-1")
    assert (head.kind, head.parent, head.created_at) == ("archived", None, original.created_at)
    assert head.configuration == original.configuration
    assert [(one.volume_id, one.blocks) for one in head.volumes] == [("vol-1", 40), ("vol-2", 4)]
    assert result.detail["source"] == "rp-1"
    assert result.detail["bytesRead"] == 44 * BLOCK
    assert result.detail["bytesStored"] < 43 * BLOCK, "a block that occurs twice is stored once"
    assert bench.progress[-1] == (44 * BLOCK, 44 * BLOCK)
    assert result.detail == head.figures


def test_a_job_that_was_done_already_is_not_done_again(bench: ArchiveBench) -> None:
    """Its answer may have been lost."""
    first = bench.to_archive("rp-1", "rp-a")
    before = bench.vault.packs

    again = bench.to_archive("rp-1", "rp-a")

    assert (again, bench.vault.packs, bench.archived) == (first, before, ["rp-a"])


@pytest.mark.parametrize("prefix", ["packs", "index", "map", "rp"])
def test_an_attempt_that_dies_leaves_no_point_and_the_next_one_goes_on(bench: ArchiveBench, prefix: str) -> None:
    """Wherever it dies; what is stored is not stored again, and no pack is without use."""
    bench.vault.before = after(4 if prefix in ("packs", "index") else 0, fails_at(prefix))
    with pytest.raises(JobFailed, match="did not answer"):
        bench.to_archive("rp-1", "rp-a")
    assert bench.archived == []
    stored = bench.vault.packs
    bench.vault.before = lambda _what, _key: None
    bench.vault.written.clear()

    result = bench.to_archive("rp-1", "rp-a")

    assert stored <= bench.vault.packs, "an archive is not deleted from"
    assert not stored & set(bench.vault.written)
    assert sum(one["count"] for one in result.detail["packs"].values()) == len(bench.vault.packs)
    retrieve(bench, "rp-a", "vol-1")
    retrieve(bench, "rp-a", "vol-2")
    assert bench.restored_from_archive("rp-a") == NOISE
    assert bench.restored_from_archive("rp-a", "vol-2") == SECOND


def after(count: int, before: Callable[[str, str], None]) -> Callable[[str, str], None]:
    """Return a `Watched.before` that lets some packs through first."""
    seen: list[str] = []

    def counted(what: str, key: str) -> None:
        if what == "put" and key.startswith("packs"):
            seen.append(key)
        if len(seen) >= count:
            before(what, key)

    return counted


def test_two_copies_share_nothing(bench: ArchiveBench) -> None:
    """So either may be deleted, or expire, without the other."""
    bench.to_archive("rp-1", "rp-a")
    first = bench.vault.packs
    bench.to_archive("rp-1", "rp-b")
    for key in first:
        bench.vault.delete(key)

    retrieve(bench, "rp-b", "vol-1")

    assert bench.restored_from_archive("rp-b") == NOISE


def test_a_pack_with_many_blobs_is_read_in_parts(bench: ArchiveBench) -> None:
    """More slots than a usual pack has, more bytes than shall be in memory: read whole it never is."""
    many = {index: block("text", index) for index in range(1100)} | {
        2000 + index: block("noise", index) for index in range(40)
    }
    bench.ebs.snapshots["snap-3"] = many
    bench.backup("rp-3", volume("snap-3"))
    bench.to_archive("rp-3", "rp-a", pack_bytes=64 * 1024 * 1024)
    packs = retrieve(bench, "rp-a", "vol-1")

    restored = bench.restored_from_archive("rp-a")

    assert restored == many
    assert len(packs) == 1


def test_a_damaged_block_is_not_archived(bench: ArchiveBench) -> None:
    """The job names the pack; no point is listed."""
    for key in bench.objects.keys("packs"):
        bench.objects.replace(key, lambda content: flip(content, 20))

    with pytest.raises(JobFailed, match="is damaged in slot 0"):
        bench.to_archive("rp-1", "rp-a")

    assert bench.archived == []


def test_a_damaged_archive_gives_no_wrong_byte(bench: ArchiveBench) -> None:
    """A flipped bit in a pack is found by whoever reads it, and named."""
    bench.to_archive("rp-1", "rp-a")
    damaged = min(retrieve(bench, "rp-a", "vol-1"))
    bench.vault.replace(damaged, lambda content: flip(content, 20))

    with pytest.raises(JobFailed, match=f"{damaged} is damaged in slot 0"):
        bench.restored_from_archive("rp-a")


def test_a_stop_ends_the_copy(bench: ArchiveBench) -> None:
    """And leaves no point."""
    bench.vault.before = lambda what, _key: bench.stop.set() if what == "put" else None

    with pytest.raises(JobStopped):
        bench.to_archive("rp-1", "rp-a")

    assert bench.archived == []


def test_an_original_that_is_gone_is_said(bench: ArchiveBench) -> None:
    """By its key."""
    with pytest.raises(JobFailed, match="rp/222222222222/eu-west-1/i-0a1b2c3d/rp-9 is not in the repository"):
        bench.to_archive("rp-9", "rp-a")
