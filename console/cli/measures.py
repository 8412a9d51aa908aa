"""Sizes and dates as people give them to commands."""

from __future__ import annotations

from datetime import UTC, datetime

from console.cli.exits import Problem, usage

_UNITS = {"k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_SECOND = 10**9


def byte_size(field: str, text: str | None) -> int | None:
    """Read a size in bytes, None for none. Raises `CommandError` that names the field."""
    if text is None:
        return None
    number, unit = (text[:-1], _UNITS[text[-1].lower()]) if text[-1:].lower() in _UNITS else (text, 1)
    if not number.isdigit():
        raise usage(Problem(field=field, value=text, reason="this is not a size", remedy="Write 4096, 64K, 10M or 1G"))
    return int(number) * unit


def nanoseconds(field: str, text: str | None) -> int | None:
    """Read a date as nanoseconds since 1970, in UTC unless it says so. Raises `CommandError` that names the field."""
    if text is None:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise usage(
            Problem(
                field=field, value=text, reason="this is not a date", remedy="Write 2026-06-01 or 2026-06-01T08:00Z"
            )
        ) from None
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()) * _SECOND
