"""All rows, in the order in which a turn does them."""

from __future__ import annotations

from benchmarks.data import backup, restore
from benchmarks.data.row import Row

ROWS: tuple[Row, ...] = (backup.FULL, backup.INCREMENTAL, restore.ROW)


def chosen(names: list[str]) -> list[Row]:
    """Return the rows of these names with those that they come after; all of them when none is named."""
    wanted, found = set(names), []
    for row in reversed(ROWS):
        if not names or row.name in wanted:
            wanted |= {row.name, *row.after}
            found.append(row)
    return found[::-1]
