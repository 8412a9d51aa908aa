"""The picture: aligned, bounded by the screen, urgent first, in plain words."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from rich.cells import cell_len
from support.clock import BEGINNING
from support.desk import REGION, A, B

from console.live.reading import Reading
from console.live.screen import Size, bar, draw
from orchestrator.ledger.glance import Glance, Row
from orchestrator.model.status import ResourceStatus, SessionStatus

GIB = 2**30


def row(ordinal: int, status: str, **values: Any) -> Row:
    """Return a resource as a glance shows it."""
    return Row(
        **{
            "ordinal": ordinal,
            "account": A,
            "region": REGION,
            "resource_id": f"i-{ordinal:017x}",
            "status": ResourceStatus(status),
            "reason": None,
            "remedy": None,
            "attempt": 1,
            "done": 0,
            "total": 10 * GIB,
            "unit": "bytes",
            "instance_id": None,
            "started_at": BEGINNING,
            "ended_at": None,
            "step_since": BEGINNING,
            **values,
        }
    )


def reading(*rows: Row, counts: dict[str, int] | None = None, rate: float | None = None, **values: Any) -> Reading:
    """Return a reading of a session that has run for 65 seconds."""
    counted: dict[ResourceStatus, int] = {}
    for one in rows:
        counted[one.status] = counted.get(one.status, 0) + 1
    given = {ResourceStatus(name): number for name, number in (counts or {}).items()}
    seen = Glance(
        **{
            "at": BEGINNING + timedelta(seconds=65),
            "id": "s-01",
            "operation": "ec2-backup",
            "mode": "backup",
            "status": SessionStatus.RUNNING,
            "reason": None,
            "created_at": BEGINNING,
            "started_at": BEGINNING,
            "stop_at": None,
            "ended_at": None,
            "counts": given or counted,
            "done": sum(one.done for one in rows),
            "total": sum(one.total for one in rows),
            "unit": "bytes",
            "unheard": sum(one.done == 0 and not one.status.is_final for one in rows),
            "workers": sum(one.instance_id is not None for one in rows),
            "rows": rows,
            **values,
        }
    )
    rates = {one.ordinal: 100.0 * 2**20 for one in rows if one.done}
    return Reading(glance=seen, rate=rate, rates=rates, names={A: "production-a", B: "production-b"})


def text(seen: Reading, width: int = 120, height: int = 40, *, unicode: bool = True) -> list[str]:
    """Return the picture as plain lines."""
    return [line.plain for line in draw(seen, Size(width=width, height=height, unicode=unicode))]


def test_the_whole_picture() -> None:
    """Header, bar, counts, one line a resource, reason and remedy, what to press."""
    seen = reading(
        row(0, "running", done=4 * GIB, instance_id="i-0w"),
        row(1, "failed", reason="no right", remedy="Give it", ended_at=BEGINNING + timedelta(seconds=7)),
        row(2, "waiting-for-capacity", reason="8 workers is the limit"),
        row(3, "booting", instance_id="i-0v", step_since=BEGINNING + timedelta(seconds=60)),
        rate=200.0 * 2**20,
    )

    lines = [line.rstrip() for line in text(seen, 110)]

    assert lines == [
        f"ec2-backup  s-01  backup mode{'running  0:01:05':>81}",
        f"{'━' * 5}{'─' * 45}  4.0 of 40.0 GiB  200.0 MiB/s  at most 3 min left",
        "1 of 4 resources done · 1 failed · 2 running · 1 waiting · 2 workers alive",
        "",
        "▸ i-00000000000000000  running  ━━━━╸───────  4.0/10.0 GiB  100.0 MiB/s  1 min left       on i-0w",
        "✗ i-00000000000000001  failed                7 s",
        "    no right",
        "    → Give it",
        "· i-00000000000000002  waiting for capacity  1 min 05 s  8 workers is the limit",
        "▸ i-00000000000000003  booting               5 s  on i-0v",
        "",
        "Ctrl-C leaves; the session goes on.",
    ]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
@pytest.mark.parametrize("height", [12, 24, 60])
def test_nothing_is_wider_or_higher_than_the_screen(width: int, height: int) -> None:
    """Whatever the screen and however many resources; what is not shown is counted."""
    long = "why " * 100
    rows = [
        row(
            number,
            status,
            done=GIB if status == "running" else 0,
            reason=long,
            remedy=long,
            instance_id="i-0" + "f" * 16,
        )
        for number, status in enumerate(["failed", "running", "waiting-for-capacity", "pending"] * 10)
    ]
    seen = reading(*rows, counts={"failed": 10, "running": 10, "waiting-for-capacity": 10, "pending": 9970})

    lines = text(seen, width, height)

    assert max(cell_len(line) for line in lines) <= width
    assert len(lines) <= height
    assert any("pending" in line and line.startswith("  and ") for line in lines)


def test_accounts_are_named_only_when_there_are_several() -> None:
    """A column that says the same everywhere says nothing."""
    one, two = row(0, "pending"), row(1, "pending", account=B)

    assert not any("production-a" in line for line in text(reading(one)))
    lines = text(reading(one, two))
    assert any(line.startswith(f"· production-a/{REGION}/i-") for line in lines)
    assert any(line.startswith(f"· production-b/{REGION}/i-") for line in lines)


def test_hostile_names_do_not_leave_their_line() -> None:
    """Controls are written out, long names are cut."""
    lines = text(reading(row(0, "failed", resource_id="i-\x1b[2J" + "x" * 300, reason="a\nb\x9b", remedy="[bold]c")))

    assert all(line.isprintable() for line in lines)
    assert any(r"i-\x1b[2J" in line for line in lines)
    assert any(r"a\nb\x9b" in line for line in lines)
    assert any("[bold]c" in line for line in lines)


def test_a_screen_without_unicode_gets_ascii() -> None:
    """No question marks where glyphs were meant."""
    lines = text(reading(row(0, "running", done=GIB), row(1, "failed", reason="x", remedy="y")), unicode=False)

    assert all(line.replace("·", "").isascii() for line in lines)


def test_a_ledger_that_is_away_and_a_stop_are_said() -> None:
    """In the picture, under the resources."""
    seen = reading(row(0, "running"))
    stopping = reading(row(0, "running"), status=SessionStatus.STOPPING, stop_at=BEGINNING)

    assert any("ledger does not answer" in line for line in text(replace(seen, lost_since=BEGINNING)))
    assert any(line.startswith("Stopping") for line in text(stopping))


def test_attempts_are_shown_from_the_second_on() -> None:
    """A retry should not look like a beginning."""
    lines = text(reading(row(0, "booting", attempt=2)))

    assert any("booting (attempt 2)" in line for line in lines)


def test_a_bar_has_its_width_whatever_it_shows() -> None:
    """Also with nothing to do and with more done than planned."""
    assert bar(0, 0, 10).plain == "─" * 10
    assert bar(5, 10, 10).plain == "━" * 5 + "─" * 5
    assert bar(11, 20, 10).plain == "━" * 5 + "╸" + "─" * 4
    assert bar(30, 20, 10).plain == "━" * 10
    assert bar(1, 2, 10, unicode=False).plain == "=====-----"


def test_the_rest_is_a_guess_once_every_worker_has_told() -> None:
    """Before that it is a limit: plans count whole volumes, workers what is in use."""
    told, untold = row(0, "running", done=5 * GIB), row(1, "running")

    assert "about 25 s left" in text(reading(told, rate=200.0 * 2**20))[1]
    assert "at most" in text(reading(told, untold, rate=200.0 * 2**20))[1]
