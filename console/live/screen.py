"""A reading as lines of text, aligned and bounded by the screen. Pure: the same reading gives the same lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from textwrap import wrap
from types import MappingProxyType

from rich.cells import cell_len
from rich.text import Text

from console.live.reading import Reading, left
from console.output import COLOURS
from console.text import amount, clock, count, duration, plain, size, words
from orchestrator.ledger.glance import Glance, Row
from orchestrator.model.status import ResourceStatus

_DIM = "bright_black"

#: Widths of columns, and of the gap between two.
_BAR, _NARROW_BAR = 24, 12
_RATE, _LEFT, _WORKER, _GAP = 11, 15, 25, 2

#: How many lines a reason or a remedy may take.
_MOST_WORDS = 3

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
    columns = _columns(reading, screen)
    for row in glance.rows:
        block = [_row(row, reading, columns, screen), *_words_under(row, screen)]
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
    line = bar(glance.done, glance.total, max(screen.width - 60, _NARROW_BAR), unicode=screen.unicode)
    line.append(f"  {amount(glance.done, glance.total, glance.unit)}")
    if reading.rate and not glance.status.is_final:
        line.append(f"  {_rate(reading.rate, glance.unit)}", style=_DIM)
        if (rest := left(glance.done, glance.total, reading.rate)) is not None:
            # A plan counts whole volumes; only the worker knows how much of one is in use.
            line.append(f"  {'at most' if glance.unheard else 'about'} {_rounded(rest)} left", style=_DIM)
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
class _Columns:
    """How wide each column is; rows with a bar and rows without one are aligned among themselves."""

    place: int
    several: bool
    busy: int
    idle: int
    bar: int
    amount: int
    rate: int
    left: int


def _columns(reading: Reading, screen: Size) -> _Columns:
    """Fit the columns to the screen: what matters least goes first when there is no room (worker, time left, rate)."""
    rows = reading.glance.rows
    several = len({(row.account, row.region) for row in rows}) > 1
    busy = [row for row in rows if _is_busy(row)]
    place = max((cell_len(_place(row, reading.names, several=several)) for row in rows), default=0)
    status = max((len(_status(row)) for row in busy), default=0)
    figures = max((len(amount(row.done, row.total, row.unit, "/")) for row in busy), default=0)
    room = screen.width - (2 + place + 2 + status) - (2 + figures)
    room -= 2 + _NARROW_BAR
    rate = _RATE if room >= _GAP + _RATE else 0
    room -= _GAP + rate
    remaining = _LEFT if room >= _GAP + _LEFT else 0
    room -= _GAP + remaining
    return _Columns(
        place=place,
        several=several,
        busy=status,
        idle=max((len(_status(row)) for row in rows if not _is_busy(row)), default=0),
        bar=_NARROW_BAR + max(0, min(room - _WORKER, _BAR - _NARROW_BAR)),
        amount=figures,
        rate=rate,
        left=remaining,
    )


def _place(row: Row, names: Mapping[str, str], *, several: bool) -> str:
    name = plain(row.resource_id, 48)
    return f"{plain(names.get(row.account, row.account))}/{row.region}/{name}" if several else name


def _status(row: Row) -> str:
    return words(row.status) + (f" (attempt {row.attempt})" if row.attempt > 1 else "")


def _is_busy(row: Row) -> bool:
    """Whether there is something to show a bar of."""
    return row.total > 0 and row.status is ResourceStatus.RUNNING


def _row(row: Row, reading: Reading, columns: _Columns, screen: Size) -> Text:
    glyph, ascii_glyph, colour = _MARKS.get(row.status, _MOVING)
    line = Text(f"{glyph if screen.unicode else ascii_glyph} ", style=colour)
    place = _place(row, reading.names, several=columns.several)
    line.append(place + " " * (columns.place - cell_len(place)), style="")
    if _is_busy(row):
        line.append(f"  {_status(row):<{columns.busy}}  ", style=colour)
        line.append(bar(row.done, row.total, columns.bar, unicode=screen.unicode))
        line.append(_figures(row, reading.rates.get(row.ordinal), columns))
    else:
        line.append(f"  {_status(row):<{columns.idle}}", style=colour)
        if row.status.is_final and row.started_at is not None and row.ended_at is not None:
            line.append(f"  {duration(row.ended_at - row.started_at)}", style=_DIM)
        elif not row.status.is_final and row.step_since is not None:
            line.append(f"  {duration(reading.glance.at - row.step_since)}", style=_DIM)
        if row.reason and not row.status.is_final:
            line.append(f"  {plain(row.reason)}", style=_DIM)
    if row.instance_id and not row.status.is_final:
        worker = f"  on {plain(row.instance_id)}"
        if line.cell_len + len(worker) <= screen.width:
            line.append(worker, style=_DIM)
    return line


def _figures(row: Row, rate: float | None, columns: _Columns) -> Text:
    line = Text(f"  {amount(row.done, row.total, row.unit, '/'):>{columns.amount}}")
    if columns.rate:
        line.append(f"  {_rate(rate, row.unit) if rate else '':>{columns.rate}}", style=_DIM)
    if columns.left:
        rest = left(row.done, row.total, rate)
        line.append(f"  {'' if rest is None else f'{_rounded(rest)} left':<{columns.left}}", style=_DIM)
    return line


def _words_under(row: Row, screen: Size) -> list[Text]:
    """Say why, and what to do, under whoever failed. Folded, because half a remedy is none."""
    if not row.reason or row.status not in (ResourceStatus.FAILED, ResourceStatus.WARNING, ResourceStatus.STOPPED):
        return []
    width = max(screen.width - 6, 20)
    lines = [Text(f"    {one}") for one in wrap(plain(row.reason), width)[:_MOST_WORDS]]
    if row.remedy:
        first = "    → " if screen.unicode else "    > "
        folded = wrap(plain(row.remedy), width)[:_MOST_WORDS]
        lines += [Text(f"{'      ' if number else first}{one}", style=_DIM) for number, one in enumerate(folded)]
    return lines


def _not_shown(glance: Glance, shown: Sequence[Row]) -> list[Text]:
    rest = dict(glance.counts)
    for row in shown:
        rest[row.status] = rest.get(row.status, 0) - 1
    largest = sorted(rest.items(), key=lambda one: -one[1])
    parts = [f"{number:,} {words(status)}" for status, number in largest if number > 0]
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
