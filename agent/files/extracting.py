"""Taking chosen paths out of file systems into a target: an archive or a tree.

What cannot be read is named among the problems; the rest comes out all the same. Nothing is ever written outside of
the target, whatever names and links the image holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from agent.files.errors import FilesError, NotThere
from agent.files.opening import Found
from agent.files.system import Entry, FileSystem, Span
from agent.files.walking import find, is_name, parts_of, shown, walk

_PIECE: Final = 1024 * 1024
#: Problems that are told one by one.
_MOST_TOLD: Final = 100
#: Files that are read before anything of them is written: what is damaged in them leaves nothing behind.
_SMALL: Final = 8 * 1024 * 1024


class Target(Protocol):
    """Where files are written. Paths are relative, without `.`, `..` and leading slash; parents come first.

    Every method raises `FilesError` when this one cannot be written; `OSError` when nothing can be.
    """

    def directory(self, path: bytes, entry: Entry, attributes: dict[str, bytes]) -> None:
        """Make a directory; one that is there already keeps its content."""

    def file(
        self, path: bytes, entry: Entry, attributes: dict[str, bytes], spans: Sequence[Span], pieces: Iterator[bytes]
    ) -> None:
        """Write a file: `pieces` are the content of the spans that are no holes, in order."""

    def hard_link(self, path: bytes, entry: Entry, first: bytes) -> None:
        """Make another name of a file that was written before."""

    def special(self, path: bytes, entry: Entry, attributes: dict[str, bytes]) -> None:
        """Make a symbolic link, fifo or device."""

    def finish(self) -> None:
        """Complete the target."""


@dataclass
class Taken:
    """What was taken out: counts, `size` in bytes of content, and what could not be read or written, by path."""

    files: int = 0
    directories: int = 0
    others: int = 0
    size: int = 0
    problems: list[str] = field(default_factory=list)
    more_problems: int = 0

    def problem(self, path: bytes, reason: str) -> None:
        """Note a problem."""
        if len(self.problems) < _MOST_TOLD:
            self.problems.append(f"{shown(path)}: {reason}")
        else:
            self.more_problems += 1

    @property
    def count(self) -> int:
        """How many problems there were."""
        return len(self.problems) + self.more_problems


@dataclass(frozen=True)
class Chosen:
    """One path in one file system, and the directory of the target that it comes below (empty: the target itself)."""

    system: FileSystem
    path: bytes
    entry: Entry
    below: bytes


def choose(found: Sequence[Found], paths: Sequence[bytes]) -> tuple[list[Chosen], list[str]]:
    """Find paths in all file systems of an image. Returns what there is, and what is wrong.

    When they are in one file system, files come out under their paths. When they are in several, each one's come
    below a directory with its name. Raises `NotThere` when no path is anywhere, `Unsafe` for a path with `..`.
    """
    wrong: list[str] = []
    hits: list[tuple[Found, FileSystem, bytes, Entry]] = []
    for path in dict.fromkeys(b"/" + b"/".join(parts_of(path)) for path in paths):
        before, broken = len(hits), 0
        for one in found:
            if one.system is None:
                continue
            try:
                entry = find(one.system, path)
            except FilesError as error:
                broken += 1
                wrong.append(f"{shown(path)}: {error}")
                continue
            if entry is not None:
                hits.append((one, one.system, path, entry))
        if len(hits) == before and not broken:
            wrong.append(f"{shown(path)}: it is in no file system of the image")
    if not hits:
        raise NotThere("; ".join(wrong) or "no path was named", _remedy(found))
    names = list(dict.fromkeys(one.name for one, _, _, _ in hits))
    return [
        Chosen(system, path, entry, b"" if len(names) == 1 else one.name.encode()) for one, system, path, entry in hits
    ], wrong


def _remedy(found: Sequence[Found]) -> str:
    readable = [one.name for one in found if one.system is not None]
    if not readable:
        return "No file system of the image can be read: list them with daywork restore-point files"
    return f"Look into {', '.join(readable[:10])} with daywork restore-point files"


class Extraction:
    """One taking out. `check` is called often and may raise; `progress(bytes)` after each piece."""

    def __init__(
        self,
        target: Target,
        *,
        check: Callable[[], None] = lambda: None,
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Begin with nothing."""
        self.taken = Taken()
        self._target = target
        self._check = check
        self._progress = progress
        #: Directories that were made because something below them was chosen.
        self._made: set[tuple[int, bytes]] = set()
        #: Files with more names than one: where the first was written.
        self._first: dict[tuple[int, int], bytes] = {}

    def take(self, chosen: Sequence[Chosen]) -> Taken:
        """Take everything out. Raises what `check`, the target and the store below raise."""
        for one in _apart(chosen):
            self._parents(one)
            self._one(one, one.path, one.entry)
            if one.entry.kind == "directory":
                for path, entry in walk(one.system, one.entry, one.path, self.taken.problem):
                    self._one(one, path, entry)
        self._target.finish()
        return self.taken

    def _parents(self, one: Chosen) -> None:
        """Make the directories above a path, with their own owners and times."""
        if one.below:
            self._made_up(one.below)
        parts = parts_of(one.path)
        for depth in range(1, len(parts)):
            path = b"/" + b"/".join(parts[:depth])
            if (key := (id(one.system), path)) in self._made:
                continue
            self._made.add(key)
            if (entry := find(one.system, path)) is not None:
                self._one(one, path, entry)

    def _made_up(self, below: bytes) -> None:
        parts = below.split(b"/")
        for depth in range(1, len(parts) + 1):
            path = b"/".join(parts[:depth])
            if (0, path) not in self._made:
                self._made.add((0, path))
                entry = Entry(
                    name=parts[depth - 1], kind="directory", size=0, mode=0o755, uid=0, gid=0, modified=0, accessed=0,
                    identity=0,
                )  # fmt: skip
                self._target.directory(path, entry, {})

    def _one(self, one: Chosen, path: bytes, entry: Entry) -> None:
        self._check()
        parts = parts_of(path)
        target = b"/".join(([one.below] if one.below else []) + parts)
        if not target:
            return
        if not all(is_name(part) for part in parts):
            self.taken.problem(path, "its name cannot be that of a file")
            return
        try:
            self._write(one.system, path, target, entry)
        except FilesError as error:
            self.taken.problem(path, str(error))

    def _write(self, system: FileSystem, path: bytes, target: bytes, entry: Entry) -> None:
        if entry.flaw is not None:
            raise FilesError(entry.flaw)
        try:
            attributes = system.attributes(entry)
        except FilesError as error:
            self.taken.problem(path, str(error))
            attributes = {}
        if entry.kind == "directory":
            self._target.directory(target, entry, attributes)
            self.taken.directories += 1
        elif entry.kind == "file":
            self._file(system, target, entry, attributes)
        elif entry.kind == "socket":
            self.taken.problem(path, "it is a socket, which nobody can bring back")
        else:
            self._target.special(target, entry, attributes)
            self.taken.others += 1

    def _file(self, system: FileSystem, target: bytes, entry: Entry, attributes: dict[str, bytes]) -> None:
        key = (id(system), entry.identity)
        if entry.links > 1 and (first := self._first.get(key)) is not None:
            self._target.hard_link(target, entry, first)
            self.taken.files += 1
            return
        spans = merged(system.spans(entry))
        pieces: Iterator[bytes] = self._pieces(system, entry, spans)
        if sum(span.length for span in spans if not span.is_hole) <= _SMALL:
            pieces = iter(list(pieces))
        self._target.file(target, entry, attributes, spans, pieces)
        self.taken.files += 1
        if entry.links > 1:
            self._first[key] = target

    def _pieces(self, system: FileSystem, entry: Entry, spans: Sequence[Span]) -> Iterator[bytes]:
        for span in spans:
            if span.is_hole:
                continue
            for start in range(span.offset, span.offset + span.length, _PIECE):
                self._check()
                data = system.read(entry, start, min(_PIECE, span.offset + span.length - start))
                self.taken.size += len(data)
                self._progress(len(data))
                yield data


def _apart(chosen: Sequence[Chosen]) -> list[Chosen]:
    """Leave out what lies below another chosen directory."""
    tops = {(id(one.system), one.path.rstrip(b"/")) for one in chosen}

    def is_below(one: Chosen) -> bool:
        parts = one.path.rstrip(b"/").split(b"/")
        return any((id(one.system), b"/".join(parts[:depth])) in tops for depth in range(1, len(parts)))

    return [one for one in chosen if one.path == b"/" or not is_below(one)]


def merged(spans: Iterator[Span]) -> list[Span]:
    """Put neighbours of one kind together."""
    found: list[Span] = []
    for span in spans:
        if found and found[-1].is_hole == span.is_hole:
            found[-1] = Span(found[-1].offset, found[-1].length + span.length, span.is_hole)
        else:
            found.append(span)
    return found
