"""Finding files: by path, by walking through directories, by what their names look like."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from agent.files.errors import FilesError, Unsafe
from agent.files.system import Entry, FileSystem, Flaw

#: Told of a path (as bytes) and what is wrong there; the walk goes on.
Problem = Callable[[bytes, str], None]

#: Deeper than any system lets a path be (4096 bytes of it): a deeper one is a damaged file system.
_DEEPEST: Final = 2048
_ESCAPE: Final = re.compile(rb"\\(?:\\|x([0-9a-fA-F]{2}))")
_PLAIN: Final = re.compile(r"[^\x00-\x1f\x7f\\]*\Z")


def shown(path: bytes) -> str:
    """Return a path as text that `parse` reads back: what is no UTF-8, control characters and backslashes escaped."""
    try:
        text = path.decode()
    except UnicodeDecodeError:
        text = None
    if text is not None and _PLAIN.match(text):
        return text
    return "".join(_shown(piece) for piece in path.decode("utf-8", "surrogateescape"))


def _shown(piece: str) -> str:
    number = ord(piece)
    if piece == "\\":
        return "\\\\"
    if 0xDC80 <= number <= 0xDCFF:  # noqa: PLR2004 - how Python marks a byte that is no UTF-8
        return f"\\x{number - 0xDC00:02x}"
    return f"\\x{number:02x}" if number < 0x20 or number == 0x7F else piece  # noqa: PLR2004 - control characters


def parse(text: str) -> bytes:
    r"""Return the bytes of a path: `\xNN` is a byte, `\\` a backslash, everything else itself."""
    raw = text.encode("utf-8", "surrogateescape")
    return _ESCAPE.sub(lambda found: bytes([int(found[1], 16)]) if found[1] else b"\\", raw)


def parts_of(path: bytes) -> list[bytes]:
    """Return the names along a path. Raises `Unsafe` for `..`: paths begin at the root of their file system."""
    parts = [part for part in path.split(b"/") if part not in (b"", b".")]
    if b".." in parts:
        raise Unsafe(f"path {shown(path)!r} holds '..'", "Name the path from the root of its file system")
    return parts


def find(system: FileSystem, path: bytes) -> Entry | None:
    """Return what stands at a path, or None. Links are not followed. Raises `FilesError`s for what is damaged."""
    entry = system.root()
    for part in parts_of(path):
        if entry.kind != "directory":
            return None
        for child in system.children(entry):
            if child.name == part:
                if isinstance(child, Flaw):
                    raise FilesError(child.reason)
                entry = child
                break
        else:
            return None
    return entry


def walk(system: FileSystem, top: Entry, path: bytes, problem: Problem) -> Iterator[tuple[bytes, Entry]]:
    """Yield everything below a directory, parents before children, in the order of the file system.

    `path` is that of `top`. What is damaged is told to `problem` and left out.
    """
    base = path.rstrip(b"/")
    waiting = [(base, top, 0)]
    seen = {top.identity}
    while waiting:
        place, directory, depth = waiting.pop()
        below: list[tuple[bytes, Entry, int]] = []
        try:
            for child in system.children(directory):
                full = place + b"/" + child.name
                if isinstance(child, Flaw):
                    problem(full, child.reason)
                elif not is_name(child.name):
                    problem(full, "its name cannot be that of a file")
                elif child.kind != "directory":
                    yield full, child
                elif child.identity in seen or depth > _DEEPEST:
                    problem(full, "the directory contains itself: the file system is damaged there")
                else:
                    seen.add(child.identity)
                    yield full, child
                    below.append((full, child, depth + 1))
        except FilesError as error:
            problem(place or b"/", str(error))
        waiting.extend(reversed(below))


def is_name(name: bytes) -> bool:
    """Return whether this can be the name of a file in any directory."""
    return bool(name) and name not in (b".", b"..") and b"/" not in name and b"\0" not in name


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a search looks for; what is not said is not asked. Sizes in bytes, times in nanoseconds since 1970.

    `pattern` is compared with the last name, or with the whole path when there is a slash in it; `*` goes over slashes.
    """

    pattern: bytes | None = None
    at_least: int | None = None
    at_most: int | None = None
    since: int | None = None
    until: int | None = None

    def matches(self, path: bytes, entry: Entry) -> bool:
        """Return whether this is looked for."""
        if self.pattern is not None:
            text = path if b"/" in self.pattern else entry.name
            if not fnmatchcase(text, self.pattern):
                return False
        bounds = (
            (self.at_least, entry.size, True),
            (self.at_most, entry.size, False),
            (self.since, entry.modified, True),
            (self.until, entry.modified, False),
        )
        return all(bound is None or (value >= bound if least else value <= bound) for bound, value, least in bounds)
