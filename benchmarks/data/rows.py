"""All rows, in the order in which a turn does them."""

from __future__ import annotations

from benchmarks.data import backup, check, index, listing, restore
from benchmarks.data.row import Row

ROWS: tuple[Row, ...] = (
    backup.FULL,
    check.ROW,
    backup.INCREMENTAL,
    restore.ROW,
    listing.ROW,
    backup.HUGE,
    index.WALK,
    index.SEARCH,
)


def chosen(names: list[str]) -> list[Row]:
    """Return the rows of these names, and those that they come after; none named: all that need not be asked for."""
    wanted, found = set(names), []
    for row in reversed(ROWS):
        if row.name in wanted or not (names or row.is_asked_for):
            wanted |= {row.name, *row.after}
            found.append(row)
    return found[::-1]
