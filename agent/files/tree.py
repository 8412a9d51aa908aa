"""Files into a directory of this machine. Nothing outside of it is touched, whatever the image says.

Every name is opened relative to its open parent and no symbolic link is ever followed, so neither names nor links that
the image holds lead out. What is there already is never overwritten.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from agent.files.errors import FilesError, Unsafe
from agent.files.system import Entry, Span
from agent.files.walking import is_name, shown

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
#: What only means something with the owner it was given for.
_PRIVILEGED: Final = stat.S_ISUID | stat.S_ISGID
#: What says that nothing more can be written at all.
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})


class Tree:
    """A `Target` below a directory, which is made if it is not there. Owners are set when root runs it."""

    def __init__(self, directory: Path, *, is_root: bool | None = None) -> None:
        """Open the directory. Raises `OSError`."""
        directory.mkdir(parents=True, exist_ok=True)
        self._top = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._is_root = os.geteuid() == 0 if is_root is None else is_root
        self._later: list[tuple[bytes, Entry, dict[str, bytes]]] = []

    def directory(self, path: bytes, entry: Entry, attributes: dict[str, bytes]) -> None:
        """See `Target`: what it is like is set at the end, when its content is in it, and only if it is new."""
        with self._parent(path) as (parent, name):
            try:
                os.mkdir(name, 0o700, dir_fd=parent)
            except FileExistsError:
                os.close(os.open(name, _DIRECTORY, dir_fd=parent))
                return
        self._later.append((path, entry, attributes))

    def file(
        self, path: bytes, entry: Entry, attributes: dict[str, bytes], spans: Sequence[Span], pieces: Iterator[bytes]
    ) -> None:
        """See `Target`: a file that cannot be read to its end is not left behind."""
        with self._parent(path) as (parent, name):
            place = os.open(name, _NEW, 0o600, dir_fd=parent)
            try:
                for span in spans:
                    left = 0 if span.is_hole else span.length
                    os.lseek(place, span.offset, os.SEEK_SET)
                    while left > 0:
                        piece = next(pieces)
                        left -= len(piece)
                        _write(place, piece)
                os.ftruncate(place, entry.size)
                self._own(place, entry, attributes)
            except BaseException:
                os.unlink(name, dir_fd=parent)
                raise
            finally:
                os.close(place)

    def hard_link(self, path: bytes, entry: Entry, first: bytes) -> None:  # noqa: ARG002 - the interface
        """See `Target`."""
        with self._parent(first) as (there, known), self._parent(path) as (parent, name):
            os.link(known, name, src_dir_fd=there, dst_dir_fd=parent, follow_symlinks=False)

    def special(self, path: bytes, entry: Entry, attributes: dict[str, bytes]) -> None:  # noqa: ARG002 - the interface
        """See `Target`. Raises `FilesError` for a device when somebody other than root runs it."""
        with self._parent(path) as (parent, name):
            if entry.kind == "link":
                os.symlink(entry.target or b"", name, dir_fd=parent)
                if self._is_root:
                    os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
            elif entry.kind == "fifo":
                os.mkfifo(name, entry.mode & ~_PRIVILEGED, dir_fd=parent)
                self._own_name(parent, name, entry)
            elif not self._is_root:
                raise FilesError("only root can make a device")
            else:
                kind = stat.S_IFCHR if entry.kind == "character" else stat.S_IFBLK
                os.mknod(name, kind | 0o600, os.makedev(*(entry.device or (0, 0))), dir_fd=parent)
                self._own_name(parent, name, entry)
            os.utime(name, ns=(entry.accessed, entry.modified), dir_fd=parent, follow_symlinks=False)

    def finish(self) -> None:
        """See `Target`."""
        for path, entry, attributes in reversed(self._later):
            with self._parent(path) as (parent, name):
                place = os.open(name, _DIRECTORY, dir_fd=parent)
                try:
                    self._own(place, entry, attributes)
                finally:
                    os.close(place)
        self._later.clear()

    def close(self) -> None:
        """Let go of the directory."""
        os.close(self._top)

    @contextlib.contextmanager
    def _parent(self, path: bytes) -> Iterator[tuple[int, bytes]]:
        """Open the directory of a path. Raises `Unsafe` for whatever leads elsewhere or is there already."""
        *above, name = path.split(b"/")
        if not all(is_name(part) for part in (*above, name)):
            raise Unsafe(f"{shown(path)} cannot be the name of a file")
        place = os.dup(self._top)
        try:
            for part in above:
                below = os.open(part, _DIRECTORY, dir_fd=place)
                os.close(place)
                place = below
            yield place, name
        except OSError as error:
            if error.errno in _FULL:
                raise
            raise Unsafe(
                f"it cannot be written to the target: {error.strerror}",
                "Choose a directory that is empty" if error.errno == errno.EEXIST else None,
            ) from None
        finally:
            os.close(place)

    def _own(self, place: int, entry: Entry, attributes: dict[str, bytes]) -> None:
        """Owner first: changing it takes privileges away; then attributes, which a mode may forbid."""
        mode = entry.mode
        if self._is_root:
            os.fchown(place, entry.uid, entry.gid)
        else:
            mode &= ~_PRIVILEGED
        self._attribute(place, attributes)
        os.fchmod(place, mode)
        os.utime(place, ns=(entry.accessed, entry.modified))

    def _own_name(self, parent: int, name: bytes, entry: Entry) -> None:
        if self._is_root:
            os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
            os.chmod(name, entry.mode, dir_fd=parent)

    def _attribute(self, place: int, attributes: dict[str, bytes]) -> None:
        for name, value in attributes.items():
            # The file system of the target may know none, and only root may set most.
            with contextlib.suppress(OSError, ValueError, AttributeError):
                if self._is_root or name.startswith("user."):
                    os.setxattr(place, name, value)


def _write(place: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(place, view) :]
