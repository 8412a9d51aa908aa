"""A restore writes exactly the blocks of the point, or fails before it completes a snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event

import pytest
from support.block_devices import FakeEbs, block
from support.data_jobs import GIB, Bench, volume
from support.repositories import CHAIN, flip
from zstandard import ZstdDecompressor

from agent.crew import Crew
from agent.ebs import BLOCK, Page
from agent.ebs_errors import NotFound, Permanent
from agent.jobs.context import JobFailed, JobStopped
from agent.protocol import RestoreVolume
from agent.repository.forward import Place, encode_forwards
from agent.repository.known import KnownBlocks
from agent.repository.layout import FORWARDS, time_id
from agent.repository.pack import read_table
from agent.repository.reader import load_pack
from agent.repository.writer import Writer


@pytest.fixture
def bench() -> Bench:
    """A bench with one restore point of two volumes."""
    one = {index: block("noise", index) for index in range(40)}
    bench = Bench(ebs=FakeEbs({"snap-1": one, "snap-2": {7: block("text", 7)}}))
    bench.backup("rp-1", volume("snap-1"), volume("snap-2", name="vol-2"))
    bench.progress.clear()
    return bench


def target(name: str = "vol-1", snapshot: str = "snap-new", size: int = 4 * GIB) -> RestoreVolume:
    """Return a volume of a restore job."""
    return RestoreVolume(volume_id=name, snapshot_id=snapshot, size_bytes=size)


def test_chosen_volumes_are_restored_and_counted(bench: Bench) -> None:
    """The result tells each volume's snapshot and blocks; progress ends at all bytes."""
    result = bench.restore("rp-1", target("vol-2", "snap-a"), target("vol-1", "snap-b"))

    assert result.detail == {
        "restorePoint": "rp-1",
        "volumes": [
            {"volumeId": "vol-2", "snapshotId": "snap-a", "blocksWritten": 1},
            {"volumeId": "vol-1", "snapshotId": "snap-b", "blocksWritten": 40},
        ],
        "bytesWritten": 41 * BLOCK,
    }
    assert bench.ebs.snapshots["snap-b"] == bench.ebs.snapshots["snap-1"]
    assert bench.progress[-1] == (41 * BLOCK, 41 * BLOCK)


def test_each_pack_is_read_once(bench: Bench) -> None:
    """However many blocks of it are needed, and however they lie in the volume."""
    bench.objects.read.clear()

    bench.restore("rp-1", target())

    packs = [key for key in bench.objects.read if key.startswith("packs/")]
    assert len(packs) == len(set(packs)) > 0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (target("vol-9"), "holds no volume vol-9; it holds vol-1, vol-2"),
        (target(size=GIB), "snap-new is of 1073741824 bytes, volume vol-1 of 4294967296"),
    ],
)
def test_a_target_that_does_not_fit_is_refused_before_anything_is_written(
    bench: Bench, wrong: RestoreVolume, said: str
) -> None:
    """With what the restore point holds."""
    with pytest.raises(JobFailed, match=said):
        bench.restore("rp-1", target("vol-2", "snap-a"), wrong)
    assert "snap-a" not in bench.ebs.snapshots


def test_a_point_that_is_not_there_is_named(bench: Bench) -> None:
    """By its key."""
    with pytest.raises(JobFailed, match="rp-9 is not in the repository"):
        bench.restore("rp-9", target())


@pytest.mark.parametrize("prefix", ["packs/", "map/", "rp/"])
def test_a_flipped_bit_anywhere_fails_the_restore_and_names_the_object(bench: Bench, prefix: str) -> None:
    """No snapshot is completed from damaged data."""
    key = bench.objects.keys(prefix.rstrip("/"))[0]
    bench.objects.replace(key, lambda content: flip(content, len(content) // 2))

    with pytest.raises(JobFailed, match=rf"{key}\S* is damaged"):
        bench.restore("rp-1", target())
    assert bench.ebs.completed == {}


def test_map_objects_of_two_points_cannot_be_swapped(bench: Bench) -> None:
    """A head finds its own map or none."""
    bench.ebs.snapshots["snap-3"] = {1: block("text", 99)}
    bench.backup("rp-2", volume("snap-3"))
    first, second = bench.objects.keys("map")
    bench.objects.swap(first, second)

    with pytest.raises(JobFailed, match=r"map/.* is damaged"):
        bench.restore("rp-2", target())


def test_heads_cannot_be_swapped(bench: Bench) -> None:
    """An older point cannot be passed off as a newer one."""
    bench.backup("rp-2", volume("snap-2"))
    first, second = bench.objects.keys("rp")
    bench.objects.swap(first, second)

    with pytest.raises(JobFailed, match=r"rp/.*rp-2 is damaged"):
        bench.restore("rp-2", target())


def test_blobs_that_were_repacked_are_found_through_forwarding(bench: Bench) -> None:
    """Twice moved, spread over packs, and the old packs gone: maps and heads need no change."""
    repository = bench.repository
    key_id, data_key = repository.ring.current()
    for _ in range(2):
        moves: dict[Place, Place] = {}
        for key in bench.objects.keys("packs"):
            pack_id = bytes.fromhex(key.rpartition("/")[2])
            table = read_table(pack_id, bench.objects.get(key), repository.ring.find)
            with Crew(Event()) as crew:
                writer = Writer(repository, CHAIN, crew, known=KnownBlocks(1), pack_size=8 * BLOCK)
                for slot in range(table.slots):
                    pack = load_pack(repository, pack_id, [slot])
                    data = pack.open(slot, table.block_id(slot)[:4], ZstdDecompressor())
                    moves[pack_id, slot] = writer.store(*data)
                writer.finish()
            bench.objects.delete(key)
        place = f"{FORWARDS}/{time_id()}"
        bench.objects.create(place, encode_forwards(moves, place=place, key_id=key_id, data_key=data_key))

    assert bench.restored("rp-1") == bench.ebs.snapshots["snap-1"]
    assert bench.restored("rp-1", "vol-2") == bench.ebs.snapshots["snap-2"]


def test_a_pack_that_went_nowhere_is_lost_data_and_said_so(bench: Bench) -> None:
    """With the pack and the way to find out more."""
    bench.objects.delete(bench.objects.keys("packs")[0])

    with pytest.raises(JobFailed, match=r"packs/.* was not moved anywhere") as caught:
        bench.restore("rp-1", target())
    assert "health check" in str(caught.value.remedy)


def test_a_snapshot_that_cannot_be_written_fails_the_job(bench: Bench) -> None:
    """And nothing is completed."""

    def before(what: str, snapshot: str, index: int) -> None:
        if (what, index) == ("write", 20):
            raise NotFound(f"PUT /snapshots/{snapshot}/blocks/{index}: ResourceNotFoundException")

    bench.ebs.before = before

    with pytest.raises(JobFailed, match="ResourceNotFoundException"):
        bench.restore("rp-1", target())
    assert bench.ebs.completed == {}


def test_a_stop_ends_the_restore(bench: Bench) -> None:
    """Before the snapshot is completed."""

    def before(_what: str, _snapshot: str, index: int) -> None:
        if index >= 10:
            bench.stop.set()

    bench.ebs.before = before

    with pytest.raises(JobStopped):
        bench.restore("rp-1", target())
    assert bench.ebs.completed == {}


def test_what_was_restored_is_read_back_and_compared(bench: Bench) -> None:
    """Every block once; progress counts the second round as well."""
    result = bench.restore("rp-1", target("vol-1", "snap-a"), target("vol-2", "snap-b"), read_back=True)

    assert result.detail["blocksCompared"] == 41
    assert sorted(bench.ebs.read_blocks[-41:]) == sorted([*(("snap-a", index) for index in range(40)), ("snap-b", 7)])
    assert bench.progress[-1] == (82 * BLOCK, 82 * BLOCK)


@pytest.mark.parametrize(
    ("lost", "said"), [(False, r"block 5 \(offset 2621440\) differs"), (True, "1 of 40 blocks are")]
)
def test_a_block_that_comes_back_differently_is_named(bench: Bench, said: str, *, lost: bool) -> None:
    """Whether it is another one or none at all."""
    complete = bench.ebs.complete

    def spoil(snapshot: str, blocks: int, linear: bytes | None) -> str:
        status = complete(snapshot, blocks, linear)
        held = bench.ebs.snapshots[snapshot]
        held[5] = block("text", 99)
        if lost:
            del held[5]
        return status

    bench.ebs.complete = spoil  # type: ignore[method-assign]  # what AWS would do to us

    with pytest.raises(JobFailed, match=said):
        bench.restore("rp-1", target(), read_back=True)


def test_a_snapshot_that_cannot_be_read_yet_is_waited_for(bench: Bench) -> None:
    """It is pending for a while after it was completed."""
    blocks, refused = bench.ebs.blocks, iter([True, False])

    def later(snapshot: str, start: int = 0) -> Iterator[Page]:
        if next(refused, False):
            raise Permanent("pending", code="ValidationException", reason="INVALID_SNAPSHOT_ID")
        yield from blocks(snapshot, start)

    bench.ebs.blocks = later  # type: ignore[method-assign]  # as above

    assert bench.restore("rp-1", target(), read_back=True).detail["blocksCompared"] == 40
