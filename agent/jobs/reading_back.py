"""Reading a restored snapshot back: the proof of a drill, with nothing of AWS's word in it."""

from __future__ import annotations

from threading import Lock
from typing import Final

from agent.crew import Crew, Queue
from agent.ebs import BLOCK, Ebs, Listed
from agent.ebs_errors import Denied, NotFound, Permanent
from agent.jobs.backup_reading import ZERO
from agent.jobs.digests import Digests
from agent.jobs.opening import Tally

#: Blocks that a reader takes at a time, and how many such portions wait.
_PORTION: Final = 8
_WAITING: Final = 64
#: How often, and how many seconds apart at most, is asked for a completed snapshot that cannot be read yet.
_TRIES: Final = 400
_LONGEST: Final = 10.0


def read_back(crew: Crew, ebs: Ebs, snapshot: str, digests: Digests, tally: Tally, readers: int) -> str | None:
    """Compare each block of a snapshot with what was written. Returns what is wrong, in words, or None."""
    portions: Queue[list[Listed]] = crew.queue(_WAITING)
    reading = _Reading(ebs, snapshot, digests, tally, portions)
    crew.start(1, lambda: reading.list_all(crew), name="lister")
    crew.start(readers, reading.read_all, name="reader").wait()
    return reading.verdict()


class _Reading:
    """What the threads share."""

    def __init__(self, ebs: Ebs, snapshot: str, digests: Digests, tally: Tally, portions: Queue[list[Listed]]) -> None:
        self._ebs = ebs
        self._snapshot = snapshot
        self._digests = digests
        self._tally = tally
        self._portions = portions
        self._same = 0
        self._wrong: int | None = None
        self._lock = Lock()

    def list_all(self, crew: Crew) -> None:
        """List the snapshot as soon as AWS lets it be read: it goes on for a while after it was completed."""
        for attempt in range(_TRIES):
            pages = self._ebs.blocks(self._snapshot)
            try:
                first = next(pages)
            except (NotFound, Denied):
                raise
            except Permanent:
                if attempt == _TRIES - 1:
                    raise
                crew.pause(min(_LONGEST, 0.5 * (attempt + 1)))
                continue
            self._put(first.blocks)
            for page in pages:
                self._put(page.blocks)
            break
        self._portions.close()

    def _put(self, blocks: list[Listed]) -> None:
        for start in range(0, len(blocks), _PORTION):
            self._portions.put(blocks[start : start + _PORTION])

    def read_all(self) -> None:
        """Read and compare until there are no more."""
        while (portion := self._portions.get()) is not None:
            for listed in portion:
                self._compare(listed)

    def _compare(self, listed: Listed) -> None:
        block_id, _ = self._ebs.read(self._snapshot, listed.index, listed.token or "")
        written = self._digests.of(listed.index)
        is_hole = written is None and block_id == ZERO
        with self._lock:
            if block_id == written:
                self._same += 1
            elif not is_hole and (self._wrong is None or listed.index < self._wrong):
                self._wrong = listed.index
        self._tally.add(BLOCK)

    def verdict(self) -> str | None:
        """Say in which way snapshot and restore point differ; None: in none."""
        if self._wrong is not None:
            return f"block {self._wrong} (offset {self._wrong * BLOCK}) differs"
        missing = self._digests.count - self._same
        return f"{missing} of {self._digests.count} blocks are missing" if missing else None
