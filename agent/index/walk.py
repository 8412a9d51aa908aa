"""Walking through a mounted file system with many threads: on a network file system almost all time is waiting.

Links are never followed and other file systems never entered, so the walk cannot leave the tree, and ends. Directories
that wait are taken newest first: what waits is the rest of each directory on the way down, not a whole level.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from agent.crew import Cancelled, Crew
from agent.files.walking import shown

#: Rows that a thread gathers before it hands them on.
_BATCH: Final = 8192
#: Entries of one directory between two looks whether the crew has ended.
_LOOK: Final = 1024
#: Problems that are named; all are counted.
NAMED: Final = 100

#: Directory and name as text, mode with its kind, size, times in nanoseconds since 1970, owner, group.
Row = tuple[str, str, int, int, int, int, int, int]


@dataclass
class Findings:
    """What a walk has met besides rows. `problems` names the first of what could not be read: path and reason."""

    unreadable: int = 0
    vanished: int = 0
    other_file_systems: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class Walk:
    """One walk below `top` (bytes), whose place in the file system is `place`: empty, or beginning with a slash.

    `excluded` are places of directories that are left out with all that is in them. `emit` takes rows, from any of the
    threads; `seen` is told of rows and of the bytes that they take on disk.
    """

    def __init__(
        self,
        crew: Crew,
        top: bytes,
        *,
        place: bytes = b"",
        excluded: frozenset[bytes] = frozenset(),
        emit: Callable[[list[Row]], None],
        seen: Callable[[int, int], None] = lambda _rows, _size: None,
    ) -> None:
        """Take what to walk. Raises OSError when `top` cannot be looked at."""
        self.findings = Findings()
        self._crew = crew
        self._top = top
        self._excluded = excluded
        self._emit = emit
        self._seen = seen
        self._device = os.lstat(top).st_dev
        self._waiting = [place]
        self._begin = len(place)
        self._busy = 0
        self._changed = threading.Condition()

    def work(self) -> None:
        """Do a share of the walk, in one of the crew's threads; returns when all of it is done."""
        rows: list[Row] = []
        while (place := self._next()) is not None:
            try:
                below = self._directory(place, rows)
            except BaseException:
                self._done([])
                raise
            self._done(below)
            if len(rows) >= _BATCH:
                self._hand_on(rows)
                rows = []
        self._hand_on(rows)

    def _next(self) -> bytes | None:
        with self._changed:
            while not self._waiting and self._busy:
                # A crew that has ended wakes nobody here.
                self._changed.wait(0.1)
                if self._crew.is_over:
                    raise Cancelled
            if not self._waiting:
                return None
            self._busy += 1
            return self._waiting.pop()

    def _done(self, below: list[bytes]) -> None:
        with self._changed:
            self._busy -= 1
            self._waiting += reversed(below)
            self._changed.notify_all()

    def _directory(self, place: bytes, rows: list[Row]) -> list[bytes]:
        """Add a directory's rows; return the directories in it that are to be walked."""
        self._crew.pause(0)
        below: list[bytes] = []
        directory, count, size = shown(place), 0, 0
        try:
            with os.scandir(self._top + place[self._begin :]) as entries:
                for entry in entries:
                    name = entry.name
                    whole = place + b"/" + name
                    if whole in self._excluded:
                        continue
                    try:
                        found = entry.stat(follow_symlinks=False)
                    except OSError as error:
                        self._trouble(whole, error)
                        continue
                    rows.append(
                        (
                            directory,
                            shown(name),
                            found.st_mode,
                            found.st_size,
                            found.st_mtime_ns,
                            found.st_ctime_ns,
                            found.st_uid,
                            found.st_gid,
                        )
                    )
                    count += 1
                    size += found.st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        if found.st_dev == self._device:
                            below.append(whole)
                        else:
                            self._foreign(whole)
                    if count % _LOOK == 0:
                        self._crew.pause(0)
                    if len(rows) >= _BATCH:
                        self._hand_on(rows)
                        rows.clear()
        except OSError as error:
            self._trouble(place or b"/", error)
        self._seen(count, size)
        return below

    def _hand_on(self, rows: list[Row]) -> None:
        if rows:
            self._emit(rows.copy())

    def _foreign(self, place: bytes) -> None:
        with self._changed:
            if len(self.findings.other_file_systems) < NAMED:
                self.findings.other_file_systems.append(shown(place))

    def _trouble(self, place: bytes, error: OSError) -> None:
        with self._changed:
            if isinstance(error, FileNotFoundError):
                # Removed while we looked: it is not there, and that is what the index says.
                self.findings.vanished += 1
                return
            self.findings.unreadable += 1
            if len(self.findings.problems) < NAMED:
                self.findings.problems.append(f"{shown(place)}: {error.strerror or type(error).__name__}")
