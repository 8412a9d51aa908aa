"""What somebody who looks into an image is shown: its file systems, a directory, what a search finds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from agent.files.extracting import Chosen, choose
from agent.files.opening import Found
from agent.files.system import Entry, Flaw
from agent.files.walking import Wanted, shown, walk
from agent.protocol import format_time

_SECOND: Final = 10**9

#: The name of a file system, a path in it, and what stands there.
Row = tuple[str, bytes, Entry]


@dataclass
class Listing:
    """Rows, what is wrong, and whether there is more than was asked for."""

    rows: list[Row] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    has_more: bool = False

    def problem(self, path: bytes, reason: str) -> None:
        """Note what is wrong with a path."""
        self.problems.append(f"{shown(path)}: {reason}")


def listed(found: Sequence[Found], path: bytes, wanted: Wanted | None, limit: int) -> Listing:
    """List what stands at a path, or what is `wanted` below it, in all file systems. Raises as `choose` does."""
    chosen, wrong = choose(found, [path])
    listing = Listing(problems=wrong)
    names = {id(one.system): one.name for one in found if one.system is not None}
    for one in chosen:
        for place, entry in _matches(one, wanted, listing):
            if len(listing.rows) == limit:
                listing.has_more = True
                return listing
            listing.rows.append((names[id(one.system)], place, entry))
    return listing


def _matches(one: Chosen, wanted: Wanted | None, listing: Listing) -> Iterator[tuple[bytes, Entry]]:
    if wanted is not None:
        for place, entry in walk(one.system, one.entry, one.path, listing.problem):
            if wanted.matches(place, entry):
                yield place, entry
    elif one.entry.kind == "directory":
        base = one.path.rstrip(b"/")
        for child in sorted(one.system.children(one.entry), key=lambda child: child.name):
            if isinstance(child, Flaw):
                listing.problem(base + b"/" + child.name, child.reason)
            else:
                yield base + b"/" + child.name, child
    else:
        yield one.path, one.entry


def system_document(found: Found) -> dict[str, Any]:
    """Return a file system, or what an area holds instead, as JSON values."""
    system = found.system
    return {
        "name": found.name,
        "kind": found.kind,
        "label": None if system is None else system.label or None,
        "sizeBytes": found.area.source.size,
        "volumes": list(found.area.volumes),
        "notes": [] if system is None else list(system.notes),
        "reason": found.reason,
    }


def row_document(row: Row) -> dict[str, Any]:
    """Return a row as JSON values."""
    name, path, entry = row
    when = moment_of(entry.modified)
    return {
        "fileSystem": name,
        "path": shown(path),
        "kind": entry.kind,
        "sizeBytes": entry.size,
        "mode": f"{entry.mode:04o}",
        "uid": entry.uid,
        "gid": entry.gid,
        "modifiedAt": None if when is None else format_time(when),
        "target": None if entry.target is None else shown(entry.target),
        "links": entry.links,
    }


def moment_of(nanoseconds: int) -> datetime | None:
    """Return a time of a file system; None when no calendar has it."""
    try:
        return datetime.fromtimestamp(nanoseconds / _SECOND, UTC)
    except (ValueError, OverflowError, OSError):
        return None
