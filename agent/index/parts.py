"""Rows to Parquet files, sorted and compressed by DuckDB, with bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np

from agent.index.walk import Row

#: Rows of a part: about 12 MB as Parquet, 100 MB while it is gathered.
ROWS: Final = 500_000
_MEMORY: Final = "320MB"
#: Nothing is fetched from anywhere: what Parquet needs is in the library.
CLOSED: Final[dict[str, Any]] = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}

#: The kinds of rows and what stands for each in the upper bits of a mode.
KINDS: Final = {
    "file": 0o10,
    "directory": 0o4,
    "link": 0o12,
    "fifo": 0o1,
    "socket": 0o14,
    "character": 0o2,
    "block": 0o6,
}
_KIND: Final = " ".join(f"WHEN {number} THEN '{name}'" for name, number in KINDS.items())

_TABLE: Final = """
    CREATE TABLE gathered (
        directory VARCHAR, name VARCHAR, mode UINTEGER, size BIGINT, modified BIGINT, changed BIGINT,
        owner UINTEGER, "group" UINTEGER
    )
"""
_ROWS: Final = f"""
    SELECT directory, name, CASE mode >> 12 {_KIND} ELSE 'other' END AS kind, size,
        make_timestamp(modified) AS modified, make_timestamp(changed) AS changed,
        owner, "group", (mode & 4095)::USMALLINT AS mode
    FROM gathered ORDER BY directory, name
"""  # noqa: S608 - of constants of this module


@dataclass(frozen=True, kw_only=True)
class Part:
    """A finished part: its file, and what is in it. `first` and `last` are directories."""

    path: Path
    rows: int
    files: int
    directories: int
    size_bytes: int
    first: str
    last: str


class Gatherer:
    """Gathers rows and writes parts. One thread; `directory` is for what is on its way and must be private."""

    def __init__(self, directory: Path, *, most: int = ROWS) -> None:
        """Open the gathering place."""
        self._directory = directory
        self._most = most
        self._rows = 0
        self._number = 0
        self._connection = duckdb.connect(
            config={
                **CLOSED,
                "memory_limit": _MEMORY,
                "temp_directory": str(directory / "spilled"),
                "threads": 2,
                "preserve_insertion_order": False,
            }
        )
        self._connection.execute(_TABLE)

    def add(self, rows: Sequence[Row]) -> Part | None:
        """Add rows; returns a part when there are enough for one."""
        directories, names, *numbers = zip(*rows, strict=True)
        modes, sizes, modified, changed, owners, groups = numbers
        batch = {
            "directory": np.array(directories, dtype=object),
            "name": np.array(names, dtype=object),
            "mode": np.array(modes, dtype=np.uint32),
            "size": np.array(sizes, dtype=np.int64),
            "modified": np.array(modified, dtype=np.int64) // 1000,
            "changed": np.array(changed, dtype=np.int64) // 1000,
            "owner": np.array(owners, dtype=np.uint32),
            "group": np.array(groups, dtype=np.uint32),
        }
        self._connection.register("batch", batch)
        self._connection.execute("INSERT INTO gathered SELECT * FROM batch")
        self._connection.unregister("batch")
        self._rows += len(rows)
        return self.finish() if self._rows >= self._most else None

    def finish(self) -> Part | None:
        """Return a part of all rows that are in none yet; None when there are none."""
        if not self._rows:
            return None
        self._number += 1
        path = self._directory / f"{self._number:06d}.parquet"
        self._connection.execute(
            f"COPY ({_ROWS}) TO '{_quoted(path)}' "
            "(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 6, PARQUET_VERSION v2)"
        )
        rows, files, directories, size, first, last = self._connection.execute(
            "SELECT count(*), count(*) FILTER (mode >> 12 = 8), count(*) FILTER (mode >> 12 = 4), "
            "coalesce(sum(size) FILTER (mode >> 12 = 8), 0)::BIGINT, min(directory), max(directory) FROM gathered"
        ).fetchall()[0]
        self._connection.execute("TRUNCATE gathered")
        self._rows = 0
        return Part(path=path, rows=rows, files=files, directories=directories, size_bytes=size, first=first, last=last)

    def close(self) -> None:
        """Give back what is held."""
        self._connection.close()


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
