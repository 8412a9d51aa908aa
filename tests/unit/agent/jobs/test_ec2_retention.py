"""Retention deletes what is due and what nothing needs any more, never anything else, whoever works beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.block_devices import Content, FakeEbs, block
from support.data_jobs import Bench, volume
from support.repositories import CHAIN

from agent.jobs.context import JobFailed
from agent.protocol import ResourceRef
from agent.repository.errors import Unreachable
from agent.repository.layout import pack_key, point_key
from agent.repository.lease import COLLECTOR, acquire, highest
from agent.repository.reader import by_pack


def content(first: int, count: int = 3) -> Content:
    """Return a volume with blocks of its own from an index on."""
    return {index: block("noise", index) for index in range(first, first + count)}


def bench_with(*points: Content) -> Bench:
    """Return a bench with one full backup of each content: `rp-1`, `rp-2`, ..."""
    bench = Bench(ebs=FakeEbs({f"snap-{number}": held for number, held in enumerate(points, 1)}))
    for number in range(1, len(points) + 1):
        bench.backup(f"rp-{number}", volume(f"snap-{number}"))
    return bench


def packs(bench: Bench) -> set[str]:
    """Return the packs that are in the store."""
    return set(bench.objects.keys("packs"))


def test_what_a_deleted_point_alone_needed_is_marked_and_then_deleted() -> None:
    """In two runs: the first one deletes the point and marks, the second one deletes packs, map and index rows."""
    bench = bench_with(content(0), content(10))
    before = packs(bench)

    first = bench.retain("rp-1")

    assert first.outcome == "success"
    assert (first.detail["due"], first.detail["deleted"], first.detail["bytesFreed"]) == (1, 1, 0)
    assert bench.points == ["rp-2"]
    assert packs(bench) == before
    second = bench.retain()
    assert second.detail["bytesFreed"] > 0
    assert len(packs(bench)) == len(before) - 1
    assert len(bench.objects.keys("map")) == 1
    assert len(bench.objects.keys("index")) == 1
    assert bench.objects.keys("gc") == []
    assert bench.restored("rp-2") == content(10)


def test_nothing_that_a_point_still_needs_is_deleted() -> None:
    """Blocks are shared by both points; one is deleted, and again and again nothing happens to the other."""
    bench = bench_with(content(0, 4), content(2, 4))

    bench.retain("rp-1")
    for _ in range(3):
        bench.retain()

    assert bench.restored("rp-2") == content(2, 4)
    assert bench.check("rp-2").outcome == "success"


def test_the_grace_time_is_waited_for() -> None:
    """Garbage of a moment ago is neither marked nor deleted."""
    bench = bench_with(content(0), content(10))
    before = packs(bench)
    bench.retain("rp-1", grace=3600)
    bench.retain()  # marks, as if the grace time had passed for what was written

    result = bench.retain(grace=3600)

    assert result.detail["bytesFreed"] == 0
    assert packs(bench) == before


def test_the_last_good_point_stays_whatever_is_due() -> None:
    """Also when newer ones are known to be damaged; due and none deleted is a failure, not a success."""
    bench = bench_with(content(0), content(10))
    for pack in packs_of(bench, "rp-2"):
        bench.objects.delete(pack_key(pack))
    assert bench.check("rp-2").outcome == "warning"

    with pytest.raises(JobFailed, match="rp-1 is the last good one"):
        bench.retain("rp-1")

    assert bench.points == ["rp-1", "rp-2"]
    both = bench.retain("rp-1", "rp-2")
    assert (both.outcome, both.detail["points"], both.detail["spared"]) == ("warning", ["rp-2"], ["rp-1"])
    assert bench.restored("rp-1") == content(0)


def packs_of(bench: Bench, point: str) -> set[bytes]:
    """Return the packs that a point needs."""
    head = bench.head(point)
    return {one.pack_id for held in head.volumes for one in by_pack(bench.repository, CHAIN, held)}


def test_what_object_lock_keeps_is_left_for_later() -> None:
    """Points and packs that are younger than the lock are not touched, and that is no failure."""
    bench = bench_with(content(0), content(10))
    before = packs(bench)

    result = bench.retain("rp-1", locked=3600)

    assert (result.outcome, result.detail["locked"], result.detail["deleted"]) == ("success", ["rp-1"], 0)
    bench.retain("rp-1")
    bench.retain(locked=3600)
    bench.retain(locked=3600)
    assert packs(bench) == before


def test_a_point_that_is_gone_already_counts_as_deleted() -> None:
    """An earlier attempt died before it could say so."""
    bench = bench_with(content(0), content(10))
    bench.objects.delete(point_key(CHAIN, "rp-1"))

    assert bench.retain("rp-1").detail["points"] == ["rp-1"]


def test_sparse_packs_are_packed_anew_and_every_point_still_restores() -> None:
    """Most of a pack is garbage: the rest moves, readers follow, the old pack goes."""
    bench = bench_with(content(0, 8), {index: block("noise", index) for index in (1, 6)})
    (old,) = packs(bench)

    bench.retain("rp-1")
    assert bench.restored("rp-2") == {index: block("noise", index) for index in (1, 6)}
    bench.retain()

    assert old not in packs(bench)
    assert len(packs(bench)) == 1
    assert bench.restored("rp-2") == {index: block("noise", index) for index in (1, 6)}
    assert bench.check("rp-2").outcome == "success"
    bench.ebs.snapshots["snap-3"] = content(0, 8)
    assert bench.backup("rp-3", volume("snap-3")).detail["blocksStored"] == 6
    assert bench.restored("rp-3") == content(0, 8)


def test_forwardings_go_when_nothing_needs_them() -> None:
    """With the points that they were written for."""
    bench = bench_with(content(0, 8), {1: block("noise", 1)})
    bench.retain("rp-1")
    assert len(bench.objects.keys("forward")) == 1
    bench.ebs.snapshots["snap-3"] = content(20)
    bench.backup("rp-3", volume("snap-3"))

    bench.retain("rp-2")
    bench.retain()
    bench.retain()

    assert bench.objects.keys("forward") == []
    assert len(packs(bench)) == 1
    assert bench.restored("rp-3") == content(20)


def test_a_backup_that_uses_what_is_marked_meanwhile_loses_nothing() -> None:
    """It has read the index before the mark was written: the mark waits for it, and lets go of what it needs."""
    bench = bench_with(content(0), content(10))
    other = another(bench)
    runs: list[int] = []

    def meanwhile(what: str, _snapshot: str, _index: int) -> None:
        if what == "read" and not runs:
            runs.append(1)
            # `rp-1` goes, and with it all that says that its blocks are needed; the backup counts on them already.
            bench.objects.delete(point_key(CHAIN, "rp-1"))
            runs.extend(bench.retain().detail["bytesFreed"] for _ in range(3))

    other.ebs.before = meanwhile
    result = other.backup("rp-9", volume("snap-9"))

    assert result.detail["blocksStored"] == 0, "everything was known"
    assert runs[1:] == [0, 0, 0]
    for _ in range(3):
        bench.retain()
    assert other.restored("rp-9") == content(0)


def test_a_backup_that_begins_after_the_mark_does_not_use_what_is_marked() -> None:
    """It stores it anew, though the packs are still there."""
    bench = bench_with(content(0), content(10))
    bench.retain("rp-1")
    other = another(bench)

    assert other.backup("rp-9", volume("snap-9")).detail["blocksStored"] == 3
    bench.retain()

    assert other.restored("rp-9") == content(0)


ANOTHER = ResourceRef(account="333333333333", region="eu-west-1", id="i-another")


def another(bench: Bench) -> Bench:
    """Return another worker that backs up another resource, of the first one's content, into the same repository."""
    held = bench.ebs.snapshots["snap-1"]
    return Bench(
        objects=bench.objects, keys=bench.keys, ebs=FakeEbs({"snap-9": held}), worker="i-other", resource=ANOTHER
    )


PHASES = {
    "before it deletes a point": ("delete", "rp/"),
    "before it writes a mark": ("put", "gc/"),
    "before it says who is at work": ("put again", "gc/"),
    "before it deletes a pack": ("delete", "packs/"),
    "before it deletes a map": ("delete", "map/"),
    "before it removes a mark": ("delete", "gc/"),
    "before it writes a pack anew": ("put", "packs/"),
    "before it says where blobs went": ("put", "forward/"),
    "before it writes the index anew": ("put", "index/"),
    "before it removes the old index": ("delete", "index/"),
}


@pytest.mark.parametrize("phase", PHASES)
def test_a_worker_may_die_in_any_phase_and_the_next_one_goes_on(phase: str) -> None:
    """Nothing that is needed is lost, and in the end nothing is left that nobody needs."""
    wanted = {index: block("noise", index) for index in (1, 6)}
    bench = bench_with(content(0, 8), wanted, content(30, 2))
    died: list[str] = []
    bench.objects.before = dies_at(*PHASES[phase], died)

    for number in range(4):
        bench.worker = f"i-retention-{number}"
        try:
            bench.retain("rp-1", "rp-3") if number < 2 else bench.retain(
                ended_workers=("i-retention-0", "i-retention-1")
            )
        except JobFailed:
            bench.objects.before = lambda _what, _key: None
            assert bench.restored("rp-2") == wanted
            kill(bench)

    assert died, "the phase was reached"
    bench.objects.before = lambda _what, _key: None
    for _ in range(3):
        bench.retain()
    assert bench.points == ["rp-2"]
    assert bench.restored("rp-2") == wanted
    assert len(packs(bench)) == 1
    assert len(bench.objects.keys("map")) == 1
    assert bench.objects.keys("gc") == []


def dies_at(what: str, prefix: str, died: list[str]) -> Callable[[str, str], None]:
    """Return a `Watched.before` that fails once: at the first such deed, or at the second one with `again`."""
    seen: list[str] = []

    def before(deed: str, key: str) -> None:
        if deed == what.removesuffix(" again") and key.startswith(prefix) and not died:
            seen.append(key)
            if len(seen) > what.endswith(" again"):
                died.append(key)
                raise Unreachable(f"{key}: the repository's store did not answer (test)")

    return before


def kill(bench: Bench) -> None:
    """Let the collector's lease look as a killed worker leaves it: neither given back nor over."""
    held = highest(bench.objects, bench.repository.ring, COLLECTOR)
    if held is not None and held.until == 0:
        acquire(bench.objects, bench.repository.ring, COLLECTOR, owner=bench.worker, pause=lambda _seconds: None)


def test_a_second_collector_leaves_it_to_the_first() -> None:
    """Its points are deleted all the same."""
    bench = bench_with(content(0), content(10))
    acquire(bench.objects, bench.repository.ring, COLLECTOR, owner="i-first", pause=lambda _seconds: None)

    result = bench.retain("rp-1")

    assert (result.outcome, result.detail["deleted"], "collected" in result.detail) == ("success", 1, False)


def test_a_collection_that_has_just_been_is_not_repeated() -> None:
    """The hundred workers of a session do not each read the whole repository."""
    bench = bench_with(content(0), content(10), content(20))

    assert "collected" in bench.retain("rp-1", rest=3600).detail
    assert "collected" not in bench.retain("rp-2", rest=3600).detail
    assert "collected" in bench.retain().detail


@pytest.mark.parametrize("prefix", ["rp", "map"])
def test_who_cannot_read_what_is_needed_collects_nothing(prefix: str) -> None:
    """A damaged head or map might need anything: what is due goes, the object is named, no pack is touched."""
    bench = bench_with(content(0), content(10))
    before = packs(bench)
    key = point_key(CHAIN, "rp-2") if prefix == "rp" else max(bench.objects.keys("map"))
    bench.objects.replace(key, lambda held: held.__setitem__(-1, held[-1] ^ 1))
    bench.ebs.snapshots["snap-3"] = content(20)
    bench.backup("rp-3", volume("snap-3"))

    result = bench.retain("rp-1")

    assert result.outcome == "warning"
    assert key in str(result.reason)
    assert packs(bench) >= before
    assert bench.retain().outcome == "warning"
    assert packs(bench) >= before


def test_a_chain_of_sixty_points_goes_while_a_backup_runs() -> None:
    """Incrementals upon each other: the newest one stays whole, and so does what runs beside."""
    states = [content(0, 6)]
    for number in range(1, 60):
        states.append({**states[-1], number % 6: block("noise", 1000 + number)})
    bench = Bench(ebs=FakeEbs({f"snap-{number}": held for number, held in enumerate(states)}))
    bench.backup("rp-00", volume("snap-0"))
    for number in range(1, 60):
        bench.ebs.related.add((f"snap-{number - 1}", f"snap-{number}"))
        changed = volume(f"snap-{number}", previous=f"snap-{number - 1}")
        bench.backup(f"rp-{number:02d}", changed, parent=f"rp-{number - 1:02d}")
    other = another(bench)
    other.ebs.snapshots["snap-9"] = states[30]
    done: list[Any] = []

    def meanwhile(what: str, _snapshot: str, _index: int) -> None:
        if what == "read" and not done:
            done.extend(bench.retain(*(f"rp-{number:02d}" for number in range(59))).detail["points"])
            for _ in range(2):
                bench.retain()

    other.ebs.before = meanwhile
    other.backup("rp-99", volume("snap-9"))

    assert len(done) == 59
    assert bench.points == ["rp-59"]
    for _ in range(3):
        bench.retain()
    assert bench.restored("rp-59") == states[59]
    assert other.restored("rp-99") == states[30]
    assert len(packs(bench)) <= 12, "six blocks of each"
    assert len(bench.objects.keys("map")) == 2
