"""A backup writes one restore point that restores exactly, or nothing that can be seen."""

from __future__ import annotations

import hashlib
import random
import threading

import pytest
from hypothesis import given, settings, strategies as st
from support.block_devices import ZEROES, Content, FakeEbs, block
from support.data_jobs import BLOCKS, GIB, Bench, volume
from support.repositories import CHAIN, fails_at

from agent.ebs import BLOCK
from agent.ebs_errors import Denied, Unreachable
from agent.jobs.backup_reading import ZERO
from agent.jobs.context import JobFailed, JobStopped
from agent.repository.layout import map_prefix, point_key
from agent.repository.lease import acquire
from agent.repository.maps import SEGMENT


def content(*indices: int, kind: str = "text") -> Content:
    """Return a volume with a block of its own at each index."""
    return {index: block(kind, index) for index in indices}


def without_zeroes(held: Content) -> Content:
    """Return what must be written to have the same bytes: no zero blocks."""
    return {index: data for index, data in held.items() if data != ZEROES}


def test_a_sparse_volume_with_first_and_last_block_restores_exactly() -> None:
    """Nothing is written between them; the figures tell what was done."""
    bench = Bench(ebs=FakeEbs({"snap-1": content(0, BLOCKS - 1)}))

    result = bench.backup("rp-1", volume("snap-1"))

    assert bench.restored("rp-1") == content(0, BLOCKS - 1)
    assert result.outcome == "success"
    figures = dict(result.detail)
    assert 0 < figures.pop("bytesStored") < BLOCK
    assert figures == {
        "restorePoint": "rp-1",
        "kind": "full",
        "volumes": [{"volumeId": "vol-1", "sizeBytes": 4 * GIB, "blocks": 2, "kind": "full", "blocksRead": 2}],
        "blocksRead": 2,
        "blocksStored": 2,
        "bytesRead": 2 * BLOCK,
    }


def test_zero_blocks_are_read_and_not_stored() -> None:
    """A block that was written with zeroes is a hole in the repository."""
    bench = Bench(ebs=FakeEbs({"snap-1": {0: ZEROES, 5: block("noise"), SEGMENT: ZEROES}}))

    result = bench.backup("rp-1", volume("snap-1"))

    assert (result.detail["blocksRead"], result.detail["blocksStored"]) == (3, 1)
    assert bench.head("rp-1").volumes[0].blocks == 1
    assert bench.restored("rp-1") == {5: block("noise")}
    assert hashlib.sha256(ZEROES).digest() == ZERO


def test_an_empty_volume_is_a_restore_point_too() -> None:
    """A volume that was never written has no map and restores to nothing."""
    bench = Bench(ebs=FakeEbs({"snap-1": {}}))

    bench.backup("rp-1", volume("snap-1"))

    assert bench.head("rp-1").volumes[0].segments == ()
    assert bench.restored("rp-1") == {}


def test_the_head_says_what_was_backed_up() -> None:
    """Volumes, their attributes, the instance's configuration, who wrote it and when the snapshots were taken."""
    bench = Bench(ebs=FakeEbs({"snap-1": content(0), "snap-2": content(1)}))

    bench.backup("rp-1", volume("snap-1"), volume("snap-2", name="vol-2", size=8 * GIB))

    head = bench.head("rp-1")
    assert [(one.volume_id, one.snapshot_id, one.size_bytes, one.device) for one in head.volumes] == [
        ("vol-1", "snap-1", 4 * GIB, "/dev/xvda"),
        ("vol-2", "snap-2", 8 * GIB, "/dev/xvda"),
    ]
    assert head.volumes[0].attributes == {"type": "gp3"}
    assert head.configuration == {"instanceType": "t3.small"}
    assert (head.kind, head.parent, head.consistency, head.writer, head.fence) == ("full", None, "crash", "i-worker", 1)
    assert head.created_at == "2026-11-23T02:00:00.000Z"


def test_equal_blocks_are_stored_once_over_all_volumes() -> None:
    """Volumes of one instance share blocks."""
    same = block("noise", 1)
    bench = Bench(ebs=FakeEbs({"snap-1": {0: same, 9: same}, "snap-2": {3: same}}))

    result = bench.backup("rp-1", volume("snap-1"), volume("snap-2", name="vol-2"))

    assert (result.detail["blocksRead"], result.detail["blocksStored"]) == (3, 1)
    assert bench.restored("rp-1", "vol-1") == {0: same, 9: same}
    assert bench.restored("rp-1", "vol-2") == {3: same}


def test_progress_ends_at_the_volumes_size() -> None:
    """Holes count as done when they are passed; progress never goes back and never beyond."""
    bench = Bench(ebs=FakeEbs({"snap-1": content(3, 700, 5000), "snap-2": {}}))

    bench.backup("rp-1", volume("snap-1"), volume("snap-2", name="vol-2", size=GIB))

    assert bench.progress[0] == (0, 5 * GIB)
    assert bench.progress[-1] == (5 * GIB, 5 * GIB)
    assert bench.progress == sorted(bench.progress)


# --- incrementals ---


def test_an_incremental_reads_only_what_changed_and_shares_the_rest() -> None:
    """Map segments of untouched ranges are the parent's; the point is whole by itself."""
    old = content(0, 1, SEGMENT, 3 * SEGMENT)
    new = {**old, 1: block("noise", 77), 4 * BLOCKS // BLOCKS: block("text", 78)}
    bench = Bench(ebs=FakeEbs({"snap-1": old, "snap-2": new}))
    bench.ebs.related.add(("snap-1", "snap-2"))
    bench.backup("rp-1", volume("snap-1"))
    bench.ebs.read_blocks.clear()

    result = bench.backup("rp-2", volume("snap-2", previous="snap-1"), parent="rp-1")

    assert sorted(bench.ebs.read_blocks) == [("snap-2", 1), ("snap-2", 4)]
    assert (result.detail["kind"], result.detail["blocksStored"]) == ("incremental", 2)
    assert bench.restored("rp-2") == new
    before = {ref.number: ref for ref in bench.head("rp-1").volumes[0].segments}
    after = {ref.number: ref for ref in bench.head("rp-2").volumes[0].segments}
    assert {number for number, ref in after.items() if before.get(number) != ref} == {0}


def test_a_point_lives_without_its_parent() -> None:
    """Any head may be deleted before any other."""
    old, new = content(0, SEGMENT), content(0, SEGMENT) | {1: block("text", 5)}
    bench = Bench(ebs=FakeEbs({"snap-1": old, "snap-2": new}))
    bench.ebs.related.add(("snap-1", "snap-2"))
    bench.backup("rp-1", volume("snap-1"))
    bench.backup("rp-2", volume("snap-2", previous="snap-1"), parent="rp-1")

    bench.objects.delete(point_key(CHAIN, "rp-1"))

    assert bench.restored("rp-2") == new


CASES = {
    "unrelated": "is not told: Unrelated",
    "old snapshot gone": "is not told: NotFound",
    "old snapshot closed": "is not told: AccessDeniedException",
    "parent gone": "the parent restore point cannot be read",
    "parent of another snapshot": "or does not hold it",
    "map of the parent gone": "map object",
    "map of the parent damaged": "the parent's map is of no use",
}


@pytest.mark.parametrize("case", CASES)
def test_where_changes_cannot_be_told_all_is_read(case: str) -> None:
    """The backup succeeds, says why it read the volume whole, and stores nothing twice."""
    old, new = content(0, 1), content(0, 1, 2)
    bench = Bench(ebs=FakeEbs({"snap-1": old, "snap-2": new}))
    bench.backup("rp-1", volume("snap-1"))
    if case != "unrelated":
        bench.ebs.related.add(("snap-1", "snap-2"))
    (name,) = [entry.key for entry in bench.objects.list(map_prefix(CHAIN))]
    if case == "old snapshot gone":
        del bench.ebs.snapshots["snap-1"]
    elif case == "old snapshot closed":
        bench.ebs.before = refused
    elif case == "parent gone":
        bench.objects.delete(point_key(CHAIN, "rp-1"))
    elif case == "map of the parent gone":
        bench.objects.delete(name)
    elif case == "map of the parent damaged":
        bench.objects.put(name, bytes(len(bench.objects.get(name))))
    previous = "snap-0" if case == "parent of another snapshot" else "snap-1"

    result = bench.backup("rp-2", volume("snap-2", previous=previous), parent="rp-1")

    assert result.detail["kind"] == "full"
    assert (result.detail["blocksRead"], result.detail["blocksStored"]) == (3, 1)
    assert CASES[case] in result.detail["volumes"][0]["readWhole"]
    assert bench.head("rp-2").parent is None
    assert bench.restored("rp-2") == new


def refused(what: str, snapshot: str, _index: int) -> None:
    """Refuse to say what has changed."""
    if what == "changed":
        raise Denied(f"{snapshot}: AccessDeniedException", code="AccessDeniedException", status=403)


def test_a_volume_that_the_parent_does_not_know_is_read_in_full_beside_the_others() -> None:
    """A disk that was added since the last backup."""
    bench = Bench(ebs=FakeEbs({"snap-1": content(0), "snap-2": content(0, 1), "snap-3": content(7)}))
    bench.ebs.related.add(("snap-1", "snap-2"))
    bench.backup("rp-1", volume("snap-1"))

    result = bench.backup("rp-2", volume("snap-2", previous="snap-1"), volume("snap-3", name="vol-new"), parent="rp-1")

    assert result.detail["kind"] == "incremental"
    assert bench.restored("rp-2") == content(0, 1)
    assert bench.restored("rp-2", "vol-new") == content(7)


kinds = st.tuples(st.sampled_from(["zero", "noise", "text"]), st.integers(0, 3))
contents = st.dictionaries(st.integers(0, 3 * SEGMENT), kinds, max_size=12)
changes = st.dictionaries(st.integers(0, 3 * SEGMENT), st.one_of(st.none(), kinds), max_size=8)


@settings(max_examples=25, deadline=None)
@given(contents, st.lists(changes, max_size=3), st.integers(1, 6))
def test_any_history_of_a_volume_restores_at_every_point(
    first: dict[int, tuple[str, int]], history: list[dict[int, tuple[str, int] | None]], threads: int
) -> None:
    """Blocks written, rewritten, zeroed and trimmed: every point, made full or incrementally, has its own bytes."""
    bench = Bench(threads=threads)
    held = {index: block(*kind) for index, kind in first.items()}
    states = [held]
    bench.ebs.snapshots["snap-0"] = held
    bench.backup("rp-0", volume("snap-0"))
    for number, change in enumerate(history, start=1):
        held = dict(held)
        for index, kind in change.items():
            if kind is None:
                held.pop(index, None)
            else:
                held[index] = block(*kind)
        states.append(held)
        bench.ebs.snapshots[f"snap-{number}"] = held
        bench.ebs.related.add((f"snap-{number - 1}", f"snap-{number}"))
        bench.backup(f"rp-{number}", volume(f"snap-{number}", previous=f"snap-{number - 1}"), parent=f"rp-{number - 1}")

    for number, state in enumerate(states):
        assert bench.restored(f"rp-{number}") == without_zeroes(state)
        assert bench.head(f"rp-{number}").volumes[0].blocks == len(without_zeroes(state))


# --- what goes wrong ---


@pytest.mark.parametrize("prefix", ["packs/", "index/", "map/", "rp/"])
def test_a_store_that_fails_leaves_no_restore_point_and_the_next_attempt_succeeds(prefix: str) -> None:
    """Whatever could not be written: before the head nothing can be seen, and what was stored is used again."""
    bench = Bench(ebs=FakeEbs({"snap-1": content(0, 1, SEGMENT)}))
    bench.backup("rp-0", volume("snap-1"))
    bench.ebs.snapshots["snap-2"] = content(2, 3, SEGMENT + 1, kind="noise")
    bench.objects.before = fails_at(prefix)

    with pytest.raises(JobFailed, match="did not answer"):
        bench.backup("rp-1", volume("snap-2"))
    bench.objects.before = lambda _what, _key: None

    assert bench.points == ["rp-0"]
    bench.backup("rp-1", volume("snap-2"))
    assert bench.restored("rp-1") == content(2, 3, SEGMENT + 1, kind="noise")


def test_what_a_failed_attempt_has_stored_is_not_stored_again() -> None:
    """The packs that reached the store are indexed at the end of the failed attempt."""
    bench = Bench(ebs=FakeEbs({"snap-1": content(0, 1)}))
    bench.objects.before = fails_at("map/")
    with pytest.raises(JobFailed):
        bench.backup("rp-1", volume("snap-1"))
    bench.objects.before = lambda _what, _key: None

    result = bench.backup("rp-1", volume("snap-1"))

    assert result.detail["blocksStored"] == 0
    assert bench.restored("rp-1") == content(0, 1)


def test_an_attempt_that_finds_its_point_written_reports_it_and_reads_nothing() -> None:
    """The worker died between head and report: the next one tells the same figures."""
    bench = Bench(ebs=FakeEbs({"snap-1": content(0, 1)}))
    first = bench.backup("rp-1", volume("snap-1"))
    bench.ebs.read_blocks.clear()
    bench.worker = "i-second"

    again = bench.backup("rp-1", volume("snap-1"))

    assert again == first
    assert bench.ebs.read_blocks == []


@pytest.mark.parametrize(
    ("error", "remedy"),
    [(Denied("GET: AccessDeniedException"), "role document"), (Unreachable("GET: ReadTimeoutError"), "subnet")],
)
def test_a_block_that_cannot_be_read_fails_the_job_with_a_remedy(error: Exception, remedy: str) -> None:
    """After the client's own attempts there is nothing to wait for."""
    bench = Bench(ebs=FakeEbs({"snap-1": content(*range(20))}))

    def before(_what: str, _snapshot: str, index: int) -> None:
        if index == 13:
            raise error

    bench.ebs.before = before

    with pytest.raises(JobFailed, match="GET") as caught:
        bench.backup("rp-1", volume("snap-1"))

    assert remedy in str(caught.value.remedy)
    assert bench.points == []


def test_a_stop_ends_the_job_and_leaves_nothing_visible() -> None:
    """Also while every reader is busy; the chain is free for the next session at once."""
    bench = Bench(ebs=FakeEbs({"snap-1": content(*range(60))}))
    reached = threading.Event()

    def before(_what: str, _snapshot: str, index: int) -> None:
        if index >= 20:
            bench.stop.set()
            reached.set()

    bench.ebs.before = before

    with pytest.raises(JobStopped):
        bench.backup("rp-1", volume("snap-1"))

    assert reached.is_set()
    assert bench.points == []
    bench.ebs.before = lambda _what, _snapshot, _index: None
    bench.stop.clear()
    bench.backup("rp-2", volume("snap-1"))
    assert bench.points == ["rp-2"]


def test_a_writer_that_was_overtaken_publishes_nothing() -> None:
    """Another writer took the chain while this one slept: the head is not written."""
    bench = Bench(ebs=FakeEbs({"snap-1": content(0)}))

    def overtake(what: str, key: str) -> None:
        if what == "put" and key.startswith("map/"):
            bench.objects.before = lambda _what, _key: None
            repository = bench.repository
            acquire(
                repository.objects,
                repository.ring,
                CHAIN,
                owner="i-other",
                pause=lambda _seconds: None,
                clock=lambda: 4e9,
            )

    bench.objects.before = overtake

    with pytest.raises(JobFailed, match="another writer has taken over"):
        bench.backup("rp-1", volume("snap-1"))
    assert bench.points == []


def test_a_damaged_parent_head_does_not_stop_the_next_backup() -> None:
    """It is made in full: the next backup repairs the chain."""
    bench = Bench(ebs=FakeEbs({"snap-1": content(0), "snap-2": content(0, 1)}))
    bench.ebs.related.add(("snap-1", "snap-2"))
    bench.backup("rp-1", volume("snap-1"))
    bench.objects.put(point_key(CHAIN, "rp-1"), b"DWS1 but no more than that, and long enough")

    result = bench.backup("rp-2", volume("snap-2", previous="snap-1"), parent="rp-1")

    assert result.detail["kind"] == "full"
    assert bench.restored("rp-2") == content(0, 1)


def test_nothing_of_the_volume_can_be_read_in_the_store() -> None:
    """Neither content, nor block ids, nor the instance's configuration lies there in clear."""
    data = block("noise", 3)
    bench = Bench(ebs=FakeEbs({"snap-1": {0: data}}))
    bench.backup("rp-1", volume("snap-1"))

    stored = b"".join(
        bytes(bench.objects.get(entry.key))
        for top in ("packs", "index", "map", "rp", "lease")
        for entry in bench.objects.list(top)
    )

    for secret in (data[:32], hashlib.sha256(data).digest(), b"t3.small", b"vol-1", b"i-worker"):
        assert secret not in stored


def test_compression_for_size_is_chosen_by_the_job() -> None:
    """`size` compresses harder than `balanced`."""
    words = [word.encode() for word in ("snapshot", "volume", "block", "pack", "worker", "agent", "lease", "chain")]
    chance = random.Random(5)  # noqa: S311 - the same text each time is the point
    text = {0: b" ".join(chance.choices(words, k=100_000))[:BLOCK]}
    stored = {}
    for compression in ("balanced", "size"):
        bench = Bench(ebs=FakeEbs({"snap-1": text}))
        stored[compression] = bench.backup("rp-1", volume("snap-1"), compression=compression).detail["bytesStored"]
        assert bench.restored("rp-1") == text

    assert stored["size"] < stored["balanced"]
