"""A reading as lines of text, aligned and bounded by the screen. Pure: the same reading gives the same lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType

from rich.cells import cell_len
from rich.text import Text

from console.live.reading import Reading, left
from console.output import COLOURS
from console.text import amount, clock, count, duration, plain, size, words
from orchestrator.ledger.glance import Glance, Row
from orchestrator.model.status import ResourceStatus

_DIM = "bright_black"
_BAR = 24
_NARROW_BAR = 12
_WIDE = 110

#: Lines that are not resources: header, bar, counts, blank lines, what is not shown, notes.
_FRAME = 9

#: What stands before a resource, and in which colour.
_MARKS: Mapping[ResourceStatus, tuple[str, str, str]] = MappingProxyType(
    {
        ResourceStatus.SUCCESS: ("✓", "+", "green"),
        ResourceStatus.WARNING: ("!", "!", "yellow"),
        ResourceStatus.FAILED: ("✗", "x", "red"),
        ResourceStatus.STOPPED: ("■", "#", "yellow"),
        ResourceStatus.SKIPPED: ("-", "-", _DIM),
        ResourceStatus.PENDING: ("·", ".", _DIM),
        ResourceStatus.WAITING_FOR_SOURCE: ("·", ".", "cyan"),
        ResourceStatus.WAITING_FOR_CAPACITY: ("·", ".", "yellow"),
    }
)
_MOVING = ("▸", ">", "cyan")


@dataclass(frozen=True, kw_only=True)
class Size:
    """The screen: columns, lines, and whether it can show more than ASCII."""

    width: int
    height: int
    unicode: bool = True

    @property
    def rows(self) -> int:
        """How many resources fit, with room for a reason and a remedy under some of them."""
        return max(3, min(40, (self.height - _FRAME) * 2 // 3))


def draw(reading: Reading, screen: Size) -> list[Text]:
    """Return the lines of a screen, none wider than it and no more than it has."""
    glance = reading.glance
    lines = [_header(glance, screen), *_bar_line(reading, screen), _counts(glance), Text()]
    budget = screen.height - len(lines) - 4
    shown = 0
    width = _widths(reading, screen)
    for row in glance.rows:
        block = [_row(row, reading, width, screen), *_words_under(row, screen)]
        if len(block) > budget:
            break
        budget -= len(block)
        shown += 1
        lines += block
    lines += _not_shown(glance, glance.rows[:shown])
    lines += _notes(reading)
    for line in lines:
        line.truncate(screen.width, overflow="ellipsis")
        line.no_wrap = True
    return lines


def _header(glance: Glance, screen: Size) -> Text:
    until = glance.ended_at or glance.at
    head = Text(f"{plain(glance.operation)}  ", style="bold")
    head.append(glance.id, style="")
    head.append(f"  {glance.mode} mode", style=_DIM)
    tail = Text(words(glance.status), style=COLOURS.get(glance.status, ""))
    tail.append(f"  {clock(until - (glance.started_at or glance.created_at))}", style="bold")
    gap = screen.width - head.cell_len - tail.cell_len
    return head.append(" " * max(gap, 2)).append(tail)


def _bar_line(reading: Reading, screen: Size) -> list[Text]:
    glance = reading.glance
    if not glance.total:
        return []
    line = bar(glance.done, glance.total, max(screen.width - 58, _NARROW_BAR), unicode=screen.unicode)
    line.append(f"  {amount(glance.done, glance.total, glance.unit)}")
    if reading.rate and not glance.status.is_final:
        line.append(f"  {_rate(reading.rate, glance.unit)}", style=_DIM)
        if (rest := left(glance.done, glance.total, reading.rate)) is not None:
            line.append(f"  about {_rounded(rest)} left", style=_DIM)
    return [line]


def bar(done: int, total: int, width: int, *, unicode: bool = True) -> Text:
    """Return a bar of fixed width; half a cell is the finest step."""
    full, half, rest = ("━", "╸", "─") if unicode else ("=", "=", "-")
    halves = min(2 * width, 2 * width * done // total) if total > 0 else 0
    filled = full * (halves // 2) + (half if halves % 2 else "")
    colour = "green" if done >= total > 0 else "cyan"
    return Text(filled, style=colour).append(rest * (width - len(filled)), style=_DIM)


def _counts(glance: Glance) -> Text:
    ended = sum(number for status, number in glance.counts.items() if status.is_final)
    line = Text(f"{ended:,} of {count(glance.resources, 'resource')} done")
    groups = {
        "failed": [ResourceStatus.FAILED],
        "warning": [ResourceStatus.WARNING],
        "stopped": [ResourceStatus.STOPPED],
        "running": [one for one in ResourceStatus if not one.is_final and one not in _MARKS],
        "waiting": [
            ResourceStatus.PENDING,
            ResourceStatus.WAITING_FOR_CAPACITY,
            ResourceStatus.WAITING_FOR_SOURCE,
        ],
    }
    for name, statuses in groups.items():
        if number := sum(glance.counts.get(one, 0) for one in statuses):
            line.append(" · ", style=_DIM).append(f"{number:,} {name}", style=COLOURS.get(name, ""))
    if glance.workers:
        line.append(" · ", style=_DIM).append(f"{count(glance.workers, 'worker')} alive")
    return line


@dataclass(frozen=True)
class _Widths:
    place: int
    status: int
    amount: int
    is_wide: bool
    has_accounts: bool


def _widths(reading: Reading, screen: Size) -> _Widths:
    rows = reading.glance.rows
    several = len({(row.account, row.region) for row in rows}) > 1
    return _Widths(
        place=max((cell_len(_place(row, reading.names, several=several)) for row in rows), default=0),
        status=max((len(_status(row)) for row in rows), default=0),
        amount=max((len(amount(row.done, row.total, row.unit)) for row in rows if _has_bar(row)), default=0),
        is_wide=screen.width >= _WIDE,
        has_accounts=several,
    )


def _place(row: Row, names: Mapping[str, str], *, several: bool) -> str:
    name = plain(row.resource_id, 48)
    return f"{plain(names.get(row.account, row.account))}/{row.region}/{name}" if several else name


def _status(row: Row) -> str:
    return words(row.status) + (f" (attempt {row.attempt})" if row.attempt > 1 else "")


def _has_bar(row: Row) -> bool:
    return row.total > 0 and row.status is ResourceStatus.RUNNING


def _row(row: Row, reading: Reading, width: _Widths, screen: Size) -> Text:
    glyph, ascii_glyph, colour = _MARKS.get(row.status, _MOVING)
    line = Text(f"{glyph if screen.unicode else ascii_glyph} ", style=colour)
    place = _place(row, reading.names, several=width.has_accounts)
    line.append(place + " " * (width.place - cell_len(place)), style="")
    line.append(f"  {_status(row):<{width.status}}", style=colour)
    if _has_bar(row):
        rate = reading.rates.get(row.ordinal)
        line.append("  ").append(
            bar(row.done, row.total, _BAR if width.is_wide else _NARROW_BAR, unicode=screen.unicode)
        )
        line.append(f"  {amount(row.done, row.total, row.unit):>{width.amount}}", style="")
        if rate:
            line.append(f"  {_rate(rate, row.unit):>11}", style=_DIM)
            if (rest := left(row.done, row.total, rate)) is not None:
                line.append(f"  {_rounded(rest)} left", style=_DIM)
    elif row.status.is_final:
        if row.started_at is not None and row.ended_at is not None:
            line.append(f"  {duration(row.ended_at - row.started_at)}", style=_DIM)
    elif row.step_since is not None:
        line.append(f"  {duration(reading.glance.at - row.step_since)}", style=_DIM)
    if row.instance_id and not row.status.is_final and (width.is_wide or not _has_bar(row)):
        line.append(f"  on {plain(row.instance_id)}", style=_DIM)
    return line


def _words_under(row: Row, screen: Size) -> list[Text]:
    """Say why, and what to do, under whoever failed or waits for a reason."""
    if not row.reason or row.status is ResourceStatus.SUCCESS:
        return []
    lines = [Text("    ").append(plain(row.reason), style="" if row.status.is_final else _DIM)]
    if row.remedy and row.status.is_final:
        arrow = "→" if screen.unicode else "->"
        lines.append(Text(f"    {arrow} ", style=_DIM).append(plain(row.remedy), style=_DIM))
    return lines


def _not_shown(glance: Glance, shown: Sequence[Row]) -> list[Text]:
    rest = dict(glance.counts)
    for row in shown:
        rest[row.status] = rest.get(row.status, 0) - 1
    parts = [f"{number:,} {words(status)}" for status, number in rest.items() if number > 0]
    return [Text(f"  and {', '.join(parts)}", style=_DIM)] if parts else []


def _notes(reading: Reading) -> list[Text]:
    glance, lines = reading.glance, [Text()]
    if reading.lost_since is not None:
        lines.append(Text("The ledger does not answer; trying again. The session goes on without us.", style="yellow"))
    elif glance.stop_at is not None and not glance.status.is_final:
        lines.append(Text("Stopping: workers and the temporary role are being removed.", style="yellow"))
    if not glance.status.is_final:
        lines.append(Text("Ctrl-C leaves; the session goes on.", style=_DIM))
    return lines


def _rate(rate: float, unit: str) -> str:
    return f"{size(rate)}/s" if unit == "bytes" else f"{rate:,.1f}/s"


def _rounded(rest: timedelta) -> str:
    """Nobody can promise seconds of an hour."""
    seconds = rest.total_seconds()
    step = 5 if seconds < 120 else 60 if seconds < 7200 else 600  # noqa: PLR2004 - two minutes, two hours
    return duration(timedelta(seconds=max(step, round(seconds / step) * step))).removesuffix(" 00 s")
