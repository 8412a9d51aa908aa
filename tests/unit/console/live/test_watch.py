"""Watching from the first look to the end: each change once, in order, and the truth at the end."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from support.clock import FakeClock
from support.desk import Desk, instances
from support.ledgers import Databases

from console.live.reading import Reader, Reading
from console.live.watch import Pace, watch
from orchestrator.errors import LedgerUnavailable


class Scene:
    """Time and deeds: at each pause of the watcher the next deed is done and time passes."""

    def __init__(self, desk: Desk) -> None:
        """Take the desk; its clock is a fake one."""
        self.clock = FakeClock()
        desk.ledger.clock = self.clock
        self._now = 0.0
        self._deeds: list[Callable[[], object]] = []
        self.pauses: list[float] = []

    def then(self, deed: Callable[[], object]) -> None:
        """Do this at the next pause that nothing else is done at."""
        self._deeds.append(deed)

    def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self._now += seconds
        self.clock.pass_by(timedelta(seconds=seconds))
        if self._deeds:
            self._deeds.pop(0)()

    @property
    def pace(self) -> Pace:
        """How time passes for the watcher."""
        return Pace(now=lambda: self._now, pause=self._pause)


@pytest.fixture
def desk(all_databases: Databases) -> Iterator[Desk]:
    """A migrated ledger."""
    with all_databases.migrated("sqlite") as url:
        made = Desk(url=url)
        yield made
        made.ledger.close()


def played(desk: Desk, scene: Scene) -> str:
    """Return a session of two resources whose life the scene plays: one fails, one succeeds."""
    session = desk.session(*instances(2))
    scene.then(lambda: desk.begin(session))
    scene.then(lambda: desk.move(session, "running", 0, 1, total=100))
    scene.then(lambda: desk.move(session, "failed", 1, reason="no right", remedy="Give it"))
    scene.then(lambda: desk.move(session, "running", 0, done=50))
    scene.then(lambda: scene.clock.pass_by(timedelta(seconds=31)))
    scene.then(lambda: desk.move(session, "success", 0, done=100))
    scene.then(lambda: desk.end(session, "warning"))
    return session


def test_a_pipe_gets_a_line_for_each_change_and_the_summary(desk: Desk) -> None:
    """Times in front, reasons with remedies, no bars."""
    desk.register()
    scene, stream = Scene(desk), io.StringIO()
    session = played(desk, scene)

    ended = watch(desk.ledger, session, stream=stream, pace=scene.pace)

    lines = stream.getvalue().splitlines()
    first, second = (f"production-a/eu-west-1/{one}" for one in instances(2))
    assert [line.partition("  ")[2] for line in lines[:8]] == [
        f"session {session}  pending (ec2-backup, backup mode, 2 resources)",
        f"session {session}  running (ec2-backup, backup mode, 2 resources)",
        f"{first}  running",
        f"{second}  running",
        f"{second}  failed: no right -> Give it",
        "progress  1 of 2 done, 50 of 100 B, 50 B/s, about 1 s left",
        f"{first}  success",
        f"session {session}  warning (ec2-backup, backup mode, 2 resources)",
    ]
    assert all(line[2] == line[5] == ":" for line in lines[:8])
    assert lines[8] == f"! warning  ec2-backup {session}"
    assert "receipt: nothing was made" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()
    assert ended.record is not None
    assert ended.record["status"] == "warning"


def test_json_lines_are_documents_of_their_own(desk: Desk) -> None:
    """Each with schemaVersion and type; the last one is the end with its counts."""
    scene, stream = Scene(desk), io.StringIO()
    session = played(desk, scene)

    watch(desk.ledger, session, stream=stream, as_json=True, pace=scene.pace)

    found: list[dict[str, Any]] = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert all(one["schemaVersion"] == 1 and one["at"] for one in found)
    assert [one["type"] for one in found] == [
        "session", "session", "resource", "resource", "resource", "progress", "resource", "session", "end",
    ]  # fmt: skip
    assert found[4]["resource"]["reason"] == "no right"
    assert found[4]["sessionId"] == session
    assert found[-1]["session"]["counts"]["failed"] == 1
    assert found[-1]["receipt"] == {"created": 0, "removed": 0, "kept": 0, "remaining": 0}


def test_a_ledger_that_restarts_is_said_and_survived(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line when it goes, one when it is back, and nothing is missed."""
    scene, stream = Scene(desk), io.StringIO()
    session = desk.session(*instances(1))
    alive = desk.ledger.read

    def away() -> None:
        raise LedgerUnavailable("away")

    scene.then(lambda: desk.begin(session))
    scene.then(lambda: monkeypatch.setattr(desk.ledger, "read", away))
    scene.then(lambda: None)
    scene.then(lambda: monkeypatch.setattr(desk.ledger, "read", alive))
    scene.then(lambda: desk.move(session, "success", 0))
    scene.then(lambda: desk.end(session, "success"))

    watch(desk.ledger, session, stream=stream, as_json=True, pace=scene.pace)

    kinds = [json.loads(line)["type"] for line in stream.getvalue().splitlines()]
    assert kinds == ["session", "session", "ledger-lost", "ledger-back", "resource", "session", "end"]


def test_time_runs_out_to_the_second(desk: Desk) -> None:
    """The last pause is only as long as what is left; the session stays as it is."""
    scene, stream = Scene(desk), io.StringIO()
    session = desk.session(*instances(1))

    ended = watch(desk.ledger, session, stream=stream, timeout=0.6, pace=scene.pace)

    assert ended.record is None
    assert sum(scene.pauses) == pytest.approx(0.6)
    assert max(scene.pauses) == pytest.approx(0.25)


def test_looks_take_a_twentieth_of_the_time_however_slow_the_ledger(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large session is looked at less often, never less than every two seconds."""
    session = desk.session(*instances(1))
    costs = [0.0, 0.05, 10.0]
    now = 0.0
    pauses: list[float] = []
    look = Reader.read

    def slow(reader: Reader, rows: int) -> Reading:
        nonlocal now
        now += costs[len(pauses)] if len(pauses) < len(costs) else 0.0
        return look(reader, rows)

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == len(costs):
            desk.end(session, "stopped")

    monkeypatch.setattr(Reader, "read", slow)
    watch(desk.ledger, session, stream=io.StringIO(), pace=Pace(now=lambda: now, pause=pause))

    assert pauses == pytest.approx([0.25, 1.0, 2.0])
