"""Building the map of one volume while its blocks arrive, in any order and from any thread, in bounded memory.

The lister announces how many blocks of a segment will come; when that many have come the segment is sealed. Sealed
segments of a volume gather in map objects of a few MiB. Segments that are not touched are those of the parent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Final

from agent.repository.head import SegmentRef
from agent.repository.layout import Chain, map_key, time_id
from agent.repository.maps import SEGMENT, OpenSegment, Segment, encode_segment, segment_place
from agent.repository.repository import Repository

#: A map object is written when it holds this many bytes.
MAP_OBJECT: Final = 4 * 1024 * 1024


class MapObjects:
    """The map objects of one restore point, shared by its volumes. Thread-safe."""

    def __init__(self, repository: Repository, chain: Chain, *, size: int = MAP_OBJECT) -> None:
        """Begin the first object; `size` in bytes is where one is full."""
        self._repository = repository
        self._chain = chain
        self._full = size
        self._lock = Lock()
        self._name = time_id()
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, volume: str, number: int, segment: Segment) -> SegmentRef:
        """Keep a segment; returns where it will stand."""
        key_id, data_key = self._repository.ring.current()
        with self._lock:
            place = segment_place(map_key(self._chain, self._name), volume, number)
            sealed = encode_segment(segment, place=place, key_id=key_id, data_key=data_key)
            ref = SegmentRef(number, self._name, self._size, len(sealed))
            self._parts.append(sealed)
            self._size += len(sealed)
            full = self._take() if self._size >= self._full else None
        if full is not None:
            self._repository.objects.create(*full)
        return ref

    def flush(self) -> None:
        """Write what is left."""
        with self._lock:
            last = self._take()
        if last is not None:
            self._repository.objects.create(*last)

    def _take(self) -> tuple[str, bytes] | None:
        if not self._parts:
            return None
        taken = map_key(self._chain, self._name), b"".join(self._parts)
        self._name = time_id()
        self._parts = []
        self._size = 0
        return taken


@dataclass
class _Pending:
    """A segment under way: `announced` blocks will come, `arrived` have; `before` is how many rows its base had."""

    rows: OpenSegment
    announced: int
    before: int
    arrived: int = 0


@dataclass
class VolumeMap:
    """The map of one volume under construction.

    `base` gives the parent's segment of a number, or None; `kept` are the parent's references. Both are empty for a
    full backup.
    """

    volume: str
    objects: MapObjects
    base: Callable[[int], Segment | None] = lambda _: None
    kept: dict[int, SegmentRef] = field(default_factory=dict)
    #: Blocks that are not holes, in the segments that were touched, minus those that the parent had there.
    added: int = 0
    _open: dict[int, _Pending] = field(default_factory=dict)
    _done: dict[int, SegmentRef | None] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def announce(self, number: int, blocks: int) -> None:
        """Say that `blocks` blocks of a segment will come: `put` or `drop` is called that often. Once a segment."""
        base = self.base(number)
        pending = _Pending(OpenSegment(base), announced=blocks, before=base.rows if base is not None else 0)
        with self._lock:
            self._open[number] = pending

    def put(self, index: int, pack_id: bytes, slot: int, block_id: bytes) -> None:
        """Note where a block is; seals the segment when it was the last one."""
        number, offset = divmod(index, SEGMENT)
        with self._lock:
            pending = self._open[number]
            pending.rows.put(offset, pack_id, slot, block_id)
            whole = self._arrived(number, pending)
        if whole:
            self._seal(number, pending)

    def drop(self, index: int) -> None:
        """Note that a block is a hole; seals the segment when it was the last one."""
        number, offset = divmod(index, SEGMENT)
        with self._lock:
            pending = self._open[number]
            pending.rows.drop(offset)
            whole = self._arrived(number, pending)
        if whole:
            self._seal(number, pending)

    def _arrived(self, number: int, pending: _Pending) -> bool:
        pending.arrived += 1
        if pending.arrived < pending.announced:
            return False
        del self._open[number]
        return True

    def _seal(self, number: int, pending: _Pending) -> None:
        segment = pending.rows.freeze()
        # A segment without rows is a hole: the parent's, if it had one, must not show through.
        ref = self.objects.add(self.volume, number, segment) if segment.rows else None
        with self._lock:
            self._done[number] = ref
            self.added += segment.rows - pending.before

    def references(self) -> tuple[SegmentRef, ...]:
        """Return the references of the whole map. Raises RuntimeError while blocks are missing."""
        with self._lock:
            if self._open:
                raise RuntimeError(f"{self.volume}: {len(self._open)} map segments are not complete")
            whole = {**self.kept, **self._done}
        return tuple(ref for _, ref in sorted(whole.items()) if ref is not None)
