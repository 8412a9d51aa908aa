"""The states of volumes and snapshots as time passes."""

from __future__ import annotations

from support.seconds import Seconds

from localcloud.blocks.life import COMPLETED, ERROR, PENDING, SnapshotLife, VolumeLife


def test_a_volume_is_creating_for_a_while() -> None:
    """It can be used when its time has come, and at once when there is none."""
    time = Seconds()
    life = VolumeLife(2, time)

    before = life.is_creating()
    time.now += 2

    assert (before, life.is_creating(), VolumeLife(0, time).is_creating()) == (True, False, False)


def test_a_snapshot_of_a_volume_completes_by_itself() -> None:
    """Its progress follows the time that has passed."""
    time = Seconds()
    life = SnapshotLife(10, time)

    seen = []
    for _ in range(3):
        seen.append((life.status, life.progress))
        time.now += 5

    assert seen == [(PENDING, "0%"), (PENDING, "50%"), (COMPLETED, "100%")]
    assert not life.is_open()


def test_a_snapshot_without_a_time_is_completed_at_once() -> None:
    """Zero seconds are zero."""
    life = SnapshotLife(0, Seconds())

    assert (life.status, life.progress, life.message) == (COMPLETED, "100%", None)


def test_a_written_snapshot_is_open_until_it_is_completed() -> None:
    """Then it takes its time as any other one."""
    time = Seconds()
    life = SnapshotLife(10, time, timeout=600)
    life.heard(40)
    told = (life.status, life.is_open(), life.progress)

    completed = life.complete()

    after = (life.status, life.is_open(), life.progress)
    time.now += 10
    assert told == (PENDING, True, "40%")
    assert completed
    assert after == (PENDING, False, "0%")
    assert life.status == COMPLETED
    assert life.complete()


def test_a_written_snapshot_fails_when_nobody_writes() -> None:
    """Each write gives it the whole time again; once failed it cannot be completed."""
    time = Seconds()
    life = SnapshotLife(0, time, timeout=600)
    time.now += 599
    life.heard()
    time.now += 599
    still = life.status

    time.now += 1

    assert (still, life.status, life.is_open(), life.complete()) == (PENDING, ERROR, False, False)
    assert life.message == "Snapshot was not written to or completed in time."
    life.heard()
    assert life.status == ERROR


def test_a_failed_snapshot_stays_failed_when_the_clock_is_set_back() -> None:
    """Whoever saw the error must not see it undone."""
    time = Seconds()
    life = SnapshotLife(0, time, timeout=600)
    time.now += 600
    assert life.status == ERROR

    time.now -= 100

    assert life.status == ERROR
