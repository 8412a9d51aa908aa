"""Words and figures for people: sizes, times, and names that cannot harm a terminal. Nothing here imports anything."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, timedelta

#: Controls, invisible and direction-changing characters, surrogates, line and paragraph separators.
_HARMFUL = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def plain(value: object, longest: int | None = None) -> str:
    r"""Return text that a terminal shows as it is: what could move the cursor or hide text is written as `\x1b`."""
    text = str(value)
    if not text.isprintable():
        text = "".join(
            character.encode("unicode_escape").decode() if unicodedata.category(character) in _HARMFUL else character
            for character in text
        )
    if longest is not None and len(text) > longest:
        return text[: longest - 1] + "…"
    return text


def size(count: float) -> str:
    """Return bytes as people read them: `4.1 GiB`."""
    number, unit = _scaled(count, _unit(count))
    return f"{number} {unit}"


def amount(done: int, total: int, unit: str, between: str = " of ") -> str:
    """Return `4.1 of 10.0 GiB`, both in the total's unit; only what is done when the total is not known."""
    if unit != "bytes":
        return f"{done:,}{between}{total:,} {unit}" if total else f"{done:,} {unit}"
    if not total:
        return size(done)
    number, _ = _scaled(done, _unit(total))
    return f"{number}{between}{size(total)}"


def _unit(count: float) -> int:
    """Return the exponent of 1024 in which a number has three digits at most before the point."""
    power = 0
    while abs(count) >= 1000 and power < len(_UNITS) - 1:  # noqa: PLR2004 - 1000 KiB would be four digits wide
        count /= 1024
        power += 1
    return power


def _scaled(count: float, power: int) -> tuple[str, str]:
    return f"{count / 1024**power:.{1 if power else 0}f}", _UNITS[power]


def duration(span: timedelta | float) -> str:
    """Return a span as people say it: `42 s`, `3 min 05 s`, `2 h 03 min`, `1 d 04 h`."""
    seconds = int(span.total_seconds() if isinstance(span, timedelta) else span)
    if seconds < _MINUTE:
        return f"{max(seconds, 0)} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE} min {seconds % _MINUTE:02d} s"
    if seconds < _DAY:
        return f"{seconds // _HOUR} h {seconds % _HOUR // _MINUTE:02d} min"
    return f"{seconds // _DAY} d {seconds % _DAY // _HOUR:02d} h"


def clock(span: timedelta) -> str:
    """Return a span of fixed width for a header: `0:03:05`."""
    seconds = max(int(span.total_seconds()), 0)
    return f"{seconds // _HOUR}:{seconds % _HOUR // _MINUTE:02d}:{seconds % _MINUTE:02d}"


def moment(at: datetime | str | None) -> str:
    """Return a time for a table: UTC, to the second."""
    if at is None:
        return ""
    when = datetime.fromisoformat(at) if isinstance(at, str) else at
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def words(name: str) -> str:
    """Return a status or step as words: `waiting for capacity`."""
    return name.replace("-", " ").replace("_", " ")


def count(number: int, noun: str) -> str:
    """Return `1 worker`, `3 workers`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
