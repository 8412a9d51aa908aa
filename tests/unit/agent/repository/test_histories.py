"""Random histories: whatever is written, backed up, archived, deleted, damaged and mended, by workers that die.

What is listed restores byte for byte, unless it was damaged: then it fails and says so. What was archived restores,
whatever became of its original. In the end nothing is left that no point needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from threading import Event

from hypothesis import HealthCheck, Phase, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.archiving import ArchiveBench
from support.block_devices import Content, FakeEbs, block
from support.data_jobs import volume
from support.repositories import flip

from agent.crew import Crew
from agent.jobs.context import JobFailed
from agent.protocol import ResourceRef
from agent.repository.errors import Unreachable
from agent.repository.layout import pack_key
from agent.repository.maps import SEGMENT
from agent.repository.reader import load_table
from agent.repository.repack import is_sparse
from agent.repository.scan import scan

#: Blocks of the volume that histories write; two of them in segments of their own.
INDICES = (0, 1, 2, 3, SEGMENT, 3 * SEGMENT + 5)
#: Few kinds of content, so that blocks are shared between points and resources.
SEEDS = st.integers(0, 5)
WHICH = st.integers(0, 1)
RESOURCES = [ResourceRef(account="222222222222", region="eu-west-1", id=name) for name in ("i-0a1b2c3d", "i-1b2c3d4e")]


@cache
def content(seed: int) -> bytes:
    """Return the content of a block; one of them is zeroes."""
    return block("zero") if seed == 0 else block("noise" if seed % 2 else "text", seed)


def without_zeroes(held: Content) -> Content:
    """Return what a restore writes."""
    return {index: data for index, data in held.items() if data != content(0)}


class History(RuleBasedStateMachine):
    """Two resources that are backed up into one repository, and a model of what their points hold."""

    @initialize()
    def begin(self) -> None:
        """Begin with an empty repository."""
        first = ArchiveBench(ebs=FakeEbs({}), resource=RESOURCES[0], threads=2)
        second = replace(first, resource=RESOURCES[1])
        self.benches = [first, second]
        self.volumes: list[Content] = [{}, {}]
        self.points: list[dict[str, Content]] = [{}, {}]
        self.archived: list[dict[str, Content]] = [{}, {}]
        self.damaged: set[str] = set()
        # A flipped bit may wait where no point needs it, until a backup finds the same block there.
        self.is_hurt = False
        self.number = 0
        self.ended: list[str] = []

    def bench(self, which: int) -> ArchiveBench:
        """Return a resource's bench with a worker that was never there before."""
        self.number += 1
        bench = self.benches[which]
        bench.worker = f"i-{self.number:04d}"
        bench.ended = tuple(self.ended)
        self.ended.append(bench.worker)
        return bench

    # --- what happens ---

    @rule(which=WHICH, index=st.sampled_from(INDICES), seed=SEEDS)
    def write(self, which: int, index: int, seed: int) -> None:
        """Write a block of a volume."""
        self.volumes[which] = {**self.volumes[which], index: content(seed)}

    @rule(which=WHICH, is_incremental=st.booleans())
    def backup(self, which: int, is_incremental: bool) -> None:  # noqa: FBT001 - drawn
        """Back a resource up, against its newest point if there is one."""
        self._back_up(self.bench(which), which, is_incremental=is_incremental)

    @rule(which=WHICH, deed=st.integers(0, 8))
    def backup_that_dies(self, which: int, deed: int) -> None:
        """Back up with a worker that dies at one of its first writes, and leaves everything as it is."""
        bench = self.bench(which)
        bench.objects.before = dies_after(deed, "put")
        try:
            self._back_up(bench, which, is_incremental=True)
        except JobFailed:
            pass
        finally:
            bench.objects.before = lambda _what, _key: None
        self._look_for_damage()

    @rule(which=WHICH, keep=st.integers(0, 2))
    def backup_beside_retention(self, which: int, keep: int) -> None:
        """Let the other resource's retention run three times in the middle of a backup."""
        bench, done = self.bench(which), []

        def meanwhile(what: str, _snapshot: str, _index: int) -> None:
            if what == "read" and not done:
                done.append(True)
                for _ in range(3):
                    # The backup under way has not ended, whoever else has.
                    self.ended.remove(bench.worker)
                    self._retain(1 - which, keep)
                    self.ended.append(bench.worker)

        bench.ebs.before = meanwhile
        try:
            self._back_up(bench, which, is_incremental=False)
        finally:
            bench.ebs.before = lambda _what, _snapshot, _index: None

    @rule(which=WHICH, keep=st.integers(0, 2))
    def retain(self, which: int, keep: int) -> None:
        """Delete all but the newest points of a resource, and collect."""
        self._retain(which, keep)

    @rule(which=WHICH, deed=st.integers(0, 8), what=st.sampled_from(["put", "delete"]))
    def retention_that_dies(self, which: int, deed: int, what: str) -> None:
        """Collect with a worker that dies at some deed."""
        bench = self.bench(which)
        bench.objects.before = dies_after(deed, what)
        try:
            bench.retain()
        except JobFailed:
            pass
        finally:
            bench.objects.before = lambda _what, _key: None

    @precondition(lambda self: any(self.points))
    @rule(choice=st.integers(0, 1000), deed=st.one_of(st.none(), st.integers(0, 8)))
    def archive(self, choice: int, deed: int | None) -> None:
        """Archive some point, now and then with a worker that dies at one of its first writes."""
        which, point = self._some_point(choice)
        bench = self.bench(which)
        copy = f"ra-{self.number:04d}"
        if deed is not None:
            bench.vault.before = dies_after(deed, "put")
        try:
            bench.to_archive(point, copy)
        except JobFailed:
            assert deed is not None or point in self.damaged
        else:
            self.archived[which][copy] = self.points[which][point]
        finally:
            bench.vault.before = lambda _what, _key: None

    @precondition(lambda self: self.benches[0].objects.keys("packs"))
    @rule(choice=st.integers(0, 1000))
    def damage(self, choice: int) -> None:
        """Flip a bit in some pack; a check of every point says which ones that concerns."""
        # By their age: names are chance, and a history that fails has to fail again.
        packs = sorted(self.benches[0].objects.list("packs"), key=lambda one: one.modified)
        self.benches[0].objects.replace(packs[choice % len(packs)].key, lambda held: flip(held, choice % len(held)))
        self.is_hurt = True
        self._look_for_damage()

    # --- what must hold ---

    @invariant()
    def every_point_restores(self) -> None:
        """Byte for byte; one that is damaged fails, and is never restored wrongly."""
        for which, bench in enumerate(self.benches):
            assert set(bench.points if bench.objects.keys("keys") else []) == set(self.points[which])
            assert set(bench.archived if bench.vault.keys("keys") else []) == set(self.archived[which])
        if self.number % 4 == 0:
            self._restore_all()

    def teardown(self) -> None:
        """Collect until nothing changes: what is left is needed."""
        if not hasattr(self, "benches") or not self.benches[0].objects.keys("keys"):
            return
        self._restore_all()
        for _ in range(4):
            self.bench(0).retain()
        self._restore_all()
        bench = self.benches[0]
        with Crew(Event()) as crew:
            found = scan(bench.repository, crew)
        assert bench.objects.keys("gc") == []
        assert found.loose_maps == {}
        assert found.idle_forwards == {}
        for key in bench.objects.keys("packs"):
            bits = found.live.find(bytes.fromhex(key.rpartition("/")[2]))
            assert bits is not None, key
            assert bits.any(), key
            if not self.damaged:
                assert not is_sparse(load_table(bench.repository, bytes.fromhex(key.rpartition("/")[2])), bits), key
        for pack_id, bits in found.live:
            assert not bits.any() or self.damaged or pack_key(pack_id) in bench.objects.keys("packs")

    # --- deeds ---

    def _back_up(self, bench: ArchiveBench, which: int, *, is_incremental: bool) -> None:
        point, snapshot = f"rp-{self.number:04d}", f"snap-{self.number:04d}"
        held = dict(self.volumes[which])
        bench.ebs.snapshots[snapshot] = held
        parent = max(self.points[which], default=None) if is_incremental else None
        previous = None if parent is None else parent.replace("rp-", "snap-")
        if previous is not None:
            bench.ebs.related.add((previous, snapshot))
        result = bench.backup(point, volume(snapshot, previous=previous), parent=parent)
        self.points[which][point] = held
        assert set(result.detail.get("mended", [])) <= self.damaged
        self._look_for_damage()

    def _retain(self, which: int, keep: int) -> None:
        ordered = sorted(self.points[which])
        due = ordered[: len(ordered) - keep]
        good = [one for one in ordered if one not in self.damaged]
        try:
            gone = self.bench(which).retain(*due).detail["points"]
        except JobFailed:
            gone = []  # the last good one was due
        for point in gone:
            del self.points[which][point]
            self.damaged.discard(point)
        if good:
            assert good[-1] in self.points[which], "the newest good point stays"

    def _some_point(self, choice: int) -> tuple[int, str]:
        every = [(which, point) for which in (0, 1) for point in sorted(self.points[which])]
        return every[choice % len(every)]

    def _look_for_damage(self) -> None:
        if not self.is_hurt:
            return
        self.damaged = set()
        for which in (0, 1):
            for point in self.points[which]:
                result = self.bench(which).check(point)
                if result.detail["isDamaged"]:
                    self.damaged.add(point)

    def _restore_all(self) -> None:
        for which, bench in enumerate(self.benches):
            for point, held in self.points[which].items():
                try:
                    got = bench.restored(point)
                except JobFailed:
                    assert point in self.damaged
                else:
                    assert got == without_zeroes(held)
            bench.vault.retrieved = bench.vault.packs
            for copy, held in self.archived[which].items():
                assert bench.restored_from_archive(copy) == without_zeroes(held)


def dies_after(deeds: int, what: str) -> Callable[[str, str], None]:
    """Return a `Watched.before` by which a worker does so many deeds of a kind and then nothing more."""
    done: list[str] = []

    def before(deed: str, key: str) -> None:
        if len(done) > deeds and deed in ("put", "delete"):
            raise Unreachable(f"{key}: the worker is dead (test)")
        if deed == what:
            done.append(key)

    return before


TestHistories = History.TestCase
TestHistories.settings = settings(
    max_examples=20,
    stateful_step_count=14,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
