"""A health check finds whatever is wrong with a repository and names it; the next backup mends what it can."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import pytest
from obstore.store import MemoryStore
from support.block_devices import Content, FakeEbs, block
from support.data_jobs import GIB, Bench, volume
from support.repositories import CHAIN, Watched, flip

from agent.ebs import BLOCK
from agent.jobs.context import JobFailed
from agent.repository.damage import is_damaged, read_damage
from agent.repository.head import encode_head
from agent.repository.index import decode_index
from agent.repository.layout import damage_key, pack_key, point_key
from agent.repository.marks import read_marks
from agent.repository.reader import by_pack, load_table

INSTALL = "blue"
FIRST: Content = {0: block("noise", 1), 1: block("text", 2), 3000: block("noise", 3)}
SECOND: Content = {**FIRST, 1: block("noise", 4)}
#: A volume of which `FIRST` uses so little that its pack is packed anew.
ZEROTH: Content = {**{index: block("noise", 100 + index) for index in range(9)}, 0: FIRST[0]}
#: A volume that nothing has in common with the others: garbage once its point is gone.
THIRD: Content = {7: block("noise", 7)}
OBJECTS = ("repo.json", "owner.json", "keys", "packs", "index", "map", "rp", "lease", "gc", "forward")


def made() -> Bench:
    """Return a small repository with objects of every kind, and two points that share blocks: `rp-1` and `rp-2`."""
    bench = Bench(ebs=FakeEbs({"snap-0": ZEROTH, "snap-1": FIRST, "snap-2": SECOND, "snap-3": THIRD}), install=INSTALL)
    bench.ebs.related.add(("snap-1", "snap-2"))
    bench.backup("rp-0", volume("snap-0"))
    bench.backup("rp-1", volume("snap-1"))
    bench.retain("rp-0")
    bench.retain()
    bench.backup("rp-2", volume("snap-2", previous="snap-1"), parent="rp-1")
    bench.backup("rp-3", volume("snap-3"))
    bench.retain("rp-3")
    return bench


@pytest.fixture(scope="module")
def pristine() -> Bench:
    """The repository of all tests here; each works on a copy."""
    return made()


@pytest.fixture
def bench(pristine: Bench) -> Bench:
    """A copy."""
    objects = Watched(MemoryStore())
    for key in all_keys(pristine):
        objects.put(key, bytes(pristine.objects.get(key)))
    ebs = FakeEbs(deepcopy(pristine.ebs.snapshots))
    ebs.related = set(pristine.ebs.related)
    return Bench(objects=objects, keys=pristine.keys, ebs=ebs, install=INSTALL)


def all_keys(bench: Bench) -> list[str]:
    """Return every object of a repository."""
    return [key for name in OBJECTS for key in ([name] if name.endswith(".json") else bench.objects.keys(name))]


def garbage(bench: Bench) -> set[str]:
    """Return what is marked for deletion: no point needs it, so no check reads it."""
    return {
        key
        for mark in read_marks(bench.repository)
        for key in (*mark.objects, *(pack_key(pack) for pack in mark.packs))
    }


def found(bench: Bench) -> str:
    """Check both points; return all that is said to be wrong, empty when all is well."""
    said = []
    for point in ("rp-1", "rp-2"):
        try:
            result = bench.check(point)
        except JobFailed as error:
            said.append(error.reason)
            continue
        if result.outcome != "success":
            said.append(f"{result.reason} {result.detail}")
    return " ".join(said)


def test_a_repository_without_a_fault_is_well(bench: Bench) -> None:
    """Every block and every piece of metadata is read; there is something of every kind to be read."""
    assert {key.partition("/")[0] for key in all_keys(bench)} == set(OBJECTS)

    result = bench.check("rp-1")

    assert result.outcome == "success"
    assert (result.detail["blocksVerified"], result.detail["blocksDamaged"], result.detail["isDamaged"]) == (
        3,
        0,
        False,
    )
    assert found(bench) == ""
    assert bench.objects.keys("damage") == []


DEEDS: dict[str, Callable[[bytearray], None]] = {
    "flip in front": lambda held: flip(held, len(held) // 3),
    "flip at the end": lambda held: flip(held, -40 if len(held) > 40 else -3),
    "truncate": lambda held: held.__delitem__(slice(-7, None)),
    "halve": lambda held: held.__delitem__(slice(len(held) // 2, None)),
    "empty": bytearray.clear,
}


@pytest.mark.parametrize("deed", DEEDS)
def test_every_object_damaged_in_turn_is_found_and_named(pristine: Bench, bench: Bench, deed: str) -> None:
    """And no restore gives a wrong byte: it fails, or what was damaged was not needed for it."""
    for key in all_keys(pristine):
        bench.objects.replace(key, DEEDS[deed])

        said = found(bench)

        assert (said == "") if key in garbage(pristine) else named_by(key, said), f"{key}: {said!r}"
        assert_no_wrong_byte(bench)
        heal(pristine, bench)


def test_every_object_deleted_in_turn_is_found_and_named(pristine: Bench, bench: Bench) -> None:
    """But for what nothing needs and nobody could miss: leases of nobody, marks, whose repository it is."""
    for key in all_keys(pristine):
        bench.objects.delete(key)

        said = found(bench)

        if key.partition("/")[0] in ("lease", "gc", "owner.json") or key in garbage(pristine):
            assert said == "", key
        elif key.startswith("index"):
            assert ("not listed in the index, which is mended" in said) is lists_what_is_needed(pristine, key)
            assert found(bench) == ""
        elif key.startswith("forward"):
            assert "packs/" in said, "what it led to is lost"
        else:
            assert named_by(key, said), f"{key}: {said!r}"
        assert_no_wrong_byte(bench)
        heal(pristine, bench)


def lists_what_is_needed(bench: Bench, key: str) -> bool:
    """Whether an index segment lists a pack that is not garbage."""
    tables = decode_index(bench.objects.get(key), place=key, find_key=bench.repository.ring.find)
    return any(pack_key(table.pack_id) not in garbage(bench) for table in tables)


@pytest.mark.parametrize("kind", [one for one in OBJECTS if not one.endswith(".json")])
def test_objects_of_a_kind_that_are_swapped_are_found_and_named(pristine: Bench, bench: Bench, kind: str) -> None:
    """With another of their kind, and with one of another kind."""
    own = [key for key in pristine.objects.keys(kind) if key not in garbage(pristine)]
    others = [*own[1:], *pristine.objects.keys("index")]

    bench.objects.swap(own[0], next(key for key in others if key != own[0]))

    said = found(bench)
    assert named_by(own[0], said), said
    assert_no_wrong_byte(bench)


def named_by(key: str, said: str) -> bool:
    """Whether an object is named; a key by its id, since the keys themselves are not told."""
    if key == "repo.json":
        # Another repository id opens no key: that is what is noticed.
        return "repo.json" in said or "cannot be used" in said
    if key.startswith("keys/"):
        return key in said or "keys/" in said or "cannot be used" in said
    return key in said


def assert_no_wrong_byte(bench: Bench) -> None:
    """A restore fails, or gives exactly what was backed up."""
    for point, wanted in (("rp-1", FIRST), ("rp-2", SECOND)):
        try:
            got = bench.restored(point)
        except JobFailed:
            continue
        assert got == wanted


def heal(pristine: Bench, bench: Bench) -> None:
    """Put everything back as it was, and forget what was found."""
    for key in bench.objects.keys("damage"):
        bench.objects.delete(key)
    for key in set(all_keys(bench)) - set(all_keys(pristine)):
        bench.objects.delete(key)
    for key in all_keys(pristine):
        bench.objects.put(key, bytes(pristine.objects.get(key)))


# --- what is said and written down ---


def pack_of(bench: Bench, point: str, index: int) -> tuple[bytes, int]:
    """Return where a block of a point is, as its map says."""
    (held,) = bench.head(point).volumes
    return next(
        (one.pack_id, int(slot))
        for one in by_pack(bench.repository, CHAIN, held)
        for slot, at in zip(one.slots, one.indices, strict=True)
        if at == index
    )


def simple() -> Bench:
    """Return a repository with one point of three blocks in one pack."""
    bench = Bench(ebs=FakeEbs({"snap-1": FIRST, "snap-2": FIRST, "snap-3": SECOND}))
    bench.ebs.related |= {("snap-1", "snap-2"), ("snap-2", "snap-3"), ("snap-1", "snap-3")}
    bench.backup("rp-1", volume("snap-1"))
    return bench


def hurt(bench: Bench, point: str, index: int) -> str:
    """Flip a bit of a block; return its pack's key."""
    pack, slot = pack_of(bench, point, index)
    begin = int(bench_table_offset(bench, pack, slot))
    bench.objects.replace(pack_key(pack), lambda held: flip(held, begin + 20))
    return pack_key(pack)


def bench_table_offset(bench: Bench, pack: bytes, slot: int) -> int:
    """Return where a blob begins."""
    return int(load_table(bench.repository, pack).offsets[slot])


def test_a_flipped_bit_names_point_volume_and_offset() -> None:
    """In the result and in the record beside the head."""
    bench = simple()
    key = hurt(bench, "rp-1", 3000)

    result = bench.check("rp-1")

    assert result.outcome == "warning"
    assert "restore point rp-1 is damaged: 1 blocks" in str(result.reason)
    (bad,) = result.detail["blocks"]
    assert (bad["volumeId"], bad["offset"]) == ("vol-1", 3000 * BLOCK)
    assert key in bad["reason"]
    record = read_damage(bench.repository, CHAIN, "rp-1")
    assert record is not None
    assert [(one.volume, one.index) for one in record.blocks] == [("vol-1", 3000)]
    with pytest.raises(JobFailed, match="packs/"):
        bench.restored("rp-1")


def test_the_next_backup_mends_what_was_lost() -> None:
    """It does not trust the bad place, stores the block anew, and every point that needs it is well again."""
    bench = simple()
    bench.backup("rp-2", volume("snap-2", previous="snap-1"), parent="rp-1")
    hurt(bench, "rp-1", 3000)
    assert bench.check("rp-1").outcome == "warning"

    result = bench.backup("rp-3", volume("snap-3", previous="snap-2"), parent="rp-2")

    assert (result.detail["kind"], result.detail["mended"]) == ("full", ["rp-1"])
    assert "are lost, and looked for" in result.detail["volumes"][0]["readWhole"]
    assert result.detail["blocksStored"] == 2, "the lost one, and the one that has changed"
    for point, wanted in (("rp-1", FIRST), ("rp-2", FIRST), ("rp-3", SECOND)):
        assert bench.restored(point) == wanted
        assert bench.check(point).outcome == "success"
    assert not is_damaged(bench.repository, CHAIN, "rp-1")
    for _ in range(3):
        bench.retain("rp-2")
    assert bench.restored("rp-1") == FIRST


def test_a_whole_lost_pack_is_mended_too() -> None:
    """The index still knows which blocks were in it."""
    bench = simple()
    bench.objects.delete(hurt(bench, "rp-1", 0))
    assert bench.check("rp-1").detail["blocksDamaged"] == 3

    assert bench.backup("rp-2", volume("snap-2")).detail["mended"] == ["rp-1"]

    assert bench.restored("rp-1") == FIRST
    assert bench.check("rp-1").outcome == "success"


def test_what_no_volume_holds_any_more_stays_lost_and_is_looked_for_once() -> None:
    """The backup after the next one is incremental again; the point stays damaged."""
    bench = simple()
    hurt(bench, "rp-1", 1)
    bench.check("rp-1")
    bench.ebs.snapshots["snap-4"] = SECOND
    bench.ebs.related.add(("snap-3", "snap-4"))

    first = bench.backup("rp-3", volume("snap-3", previous="snap-1"), parent="rp-1")
    second = bench.backup("rp-4", volume("snap-4", previous="snap-3"), parent="rp-3")

    assert (first.detail["kind"], second.detail["kind"]) == ("full", "incremental")
    assert "mended" not in first.detail
    assert is_damaged(bench.repository, CHAIN, "rp-1")
    assert bench.restored("rp-4") == SECOND


def test_a_sample_looks_at_every_place_and_reads_some_packs() -> None:
    """It finds a lost pack whatever it reads, and never says that a damaged point is well."""
    bench = simple()
    pack = hurt(bench, "rp-1", 0)
    whole = bytes(bench.objects.get(pack))
    assert bench.check("rp-1").outcome == "warning"

    sampled = bench.check("rp-1", sample=0)

    assert (sampled.outcome, sampled.detail["isComplete"]) == ("success", False)
    assert is_damaged(bench.repository, CHAIN, "rp-1")
    bench.objects.delete(pack)
    assert bench.check("rp-1", sample=0).detail["blocksDamaged"] == 3
    bench.objects.put(pack, whole)


def test_a_head_whose_count_is_wrong_is_named() -> None:
    """A block that a map lost would otherwise restore as zeroes."""
    bench = simple()
    head, key = bench.head("rp-1"), point_key(CHAIN, "rp-1")
    wrong = replace(head, volumes=tuple(replace(one, blocks=one.blocks + 1) for one in head.volumes))
    key_id, data_key = bench.repository.ring.current()
    bench.objects.put(key, encode_head(wrong, place=key, key_id=key_id, data_key=data_key))

    result = bench.check("rp-1")

    assert result.outcome == "warning"
    assert f"{key}: counts 4 blocks of vol-1, its maps hold 3" in str(result.reason)


def test_a_point_of_another_installation_is_left_alone() -> None:
    """Retention, check and backup of a second installation are refused and change nothing; reading is free."""
    bench = made()
    before = {key: bytes(bench.objects.get(key)) for key in all_keys(bench)}
    bench.install = "green"
    bench.ebs.snapshots["snap-5"] = SECOND

    for deed in (
        lambda: bench.retain("rp-1"),
        lambda: bench.check("rp-1"),
        lambda: bench.backup("rp-5", volume("snap-5", size=4 * GIB)),
    ):
        with pytest.raises(JobFailed, match="belongs to installation blue, this is green"):
            deed()

    assert {key: bytes(bench.objects.get(key)) for key in all_keys(bench)} == before
    assert bench.restored("rp-1") == FIRST
    assert damage_key(CHAIN, "rp-1") not in bench.objects.keys("damage")
