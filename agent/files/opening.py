"""What the volumes of an image hold: every area, and its file system where it is one that can be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from agent.files.areas import Area, kind_of
from agent.files.errors import FilesError
from agent.files.ext import Ext
from agent.files.fat import Fat
from agent.files.logical import logical_volumes
from agent.files.ntfs import Ntfs
from agent.files.partitions import partitions
from agent.files.source import Source
from agent.files.system import FileSystem
from agent.files.xfs import Xfs

_SYSTEMS: Final[MappingProxyType[str, Callable[[str, Source], FileSystem]]] = MappingProxyType(
    {"ext": Ext, "xfs": Xfs, "ntfs": Ntfs, "fat": Fat}
)
#: A partition of a partition is a nested system's disk; deeper there is nothing to be found.
_DEEPEST: Final = 3


@dataclass(frozen=True)
class Found:
    """An area and what it holds. Without a `system`, `reason` says why it cannot be read."""

    area: Area
    kind: str
    system: FileSystem | None = None
    reason: str | None = None

    @property
    def name(self) -> str:
        """The area's name."""
        return self.area.name


def open_all(volumes: Sequence[Area]) -> list[Found]:
    """Open what some whole volumes hold, logical volumes over several of them too, in the order of their names.

    What is damaged, unknown or encrypted is told and not raised. Raises what the store below raises, unless it is the
    data of one volume that are damaged.
    """
    physical: list[Area] = []
    found = [one for area in volumes for one in _within(area, physical, 0)]
    groups = logical_volumes(physical)
    found += [one for area in groups.areas for one in _within(area, [], 1)]
    found += [Found(Area(name, _Nothing(), ()), "lvm", reason=reason) for name, reason in groups.unreadable]
    return found


def _within(area: Area, physical: list[Area], depth: int) -> Iterator[Found]:
    try:
        kind = kind_of(area.source)
        if kind == "partitions" and depth < _DEEPEST and (parts := partitions(area)):
            for part in parts:
                yield from _within(part, physical, depth + 1)
        elif kind == "lvm":
            physical.append(area)
        elif kind in _SYSTEMS:
            system = _SYSTEMS[kind](area.name, area.source)
            yield Found(area, system.kind, system)
        else:
            yield Found(area, kind or "unknown", reason=_reason(area, kind))
    except FilesError as error:
        yield Found(area, "damaged", reason=str(error))


def _reason(area: Area, kind: str) -> str:
    if not area.source.size:
        return "the partition lies behind the end of the volume"
    if kind in ("", "partitions"):
        return "no file system that is known: ext2/3/4, XFS, NTFS and FAT can be read"
    return f"it holds {kind}: ext2/3/4, XFS, NTFS and FAT can be read"


class _Nothing:
    """The source of an area that is not whole."""

    size = 0

    def read(self, offset: int, length: int) -> bytes:  # noqa: ARG002 - the interface
        """See `Source`."""
        return b""
