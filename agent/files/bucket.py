"""Files into a bucket as single objects: a tree that can be looked at, and a list of what objects cannot hold.

`<path>` holds each file's content; `files.jsonl` has a line for every entry with kind, owner, mode and times, targets
of links and names of hard links. Keys are text: other bytes in names are escaped as in `agent.files.walking.shown`.
"""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any, Final

from agent.files.errors import FilesError
from agent.files.system import Entry, Span
from agent.files.walking import shown
from agent.repository.objects import Objects

LIST: Final = "files.jsonl"
_SMALL: Final = 8 * 1024 * 1024
_PIECE: Final = 1024 * 1024
#: The most that S3 takes, in bytes.
_KEY: Final = 900


class BucketTree:
    """A `Target` below the keys of an object store."""

    def __init__(self, objects: Objects, folder: str) -> None:
        """Take the folder's key, without a slash at its end."""
        self._objects = objects
        self._folder = folder
        self._list = tempfile.TemporaryFile()  # noqa: SIM115 - as long as this target

    def directory(self, path: bytes, entry: Entry, attributes: dict[str, bytes]) -> None:
        """See `Target`."""
        self._note(path, entry, attributes)

    def special(self, path: bytes, entry: Entry, attributes: dict[str, bytes]) -> None:
        """See `Target`."""
        self._note(path, entry, attributes)

    def hard_link(self, path: bytes, entry: Entry, first: bytes) -> None:
        """See `Target`."""
        self._note(path, entry, {}, linkTo=shown(first))

    def file(
        self, path: bytes, entry: Entry, attributes: dict[str, bytes], spans: Sequence[Span], pieces: Iterator[bytes]
    ) -> None:
        """See `Target`: a file that cannot be read to its end becomes no object."""
        key = f"{self._folder}/tree/{shown(path)}"
        if len(key.encode()) > _KEY:
            raise FilesError("its path is too long for the key of an object", "Take it out as an archive")
        content = _whole(spans, pieces)
        if entry.size <= _SMALL:
            self._objects.put(key, b"".join(content))
        else:
            self._objects.put_parts(key, content, storage_class="STANDARD")
        self._note(path, entry, attributes)

    def finish(self) -> None:
        """See `Target`."""
        self._list.seek(0)
        parts = iter(lambda: self._list.read(_PIECE), b"")
        self._objects.put_parts(f"{self._folder}/{LIST}", parts, storage_class="STANDARD")
        self._list.close()

    def _note(self, path: bytes, entry: Entry, attributes: dict[str, bytes], **more: Any) -> None:
        row: dict[str, Any] = {
            "path": shown(path),
            "kind": entry.kind,
            "size": entry.size,
            "mode": f"{entry.mode:04o}",
            "uid": entry.uid,
            "gid": entry.gid,
            "modified": entry.modified,
            "accessed": entry.accessed,
            **more,
        }
        if entry.target is not None:
            row["target"] = shown(entry.target)
        if entry.device is not None:
            row["device"] = list(entry.device)
        if attributes:
            row["attributes"] = {name: base64.b64encode(value).decode() for name, value in attributes.items()}
        self._list.write(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n")


def _whole(spans: Sequence[Span], pieces: Iterator[bytes]) -> Iterator[bytes]:
    for span in spans:
        if span.is_hole:
            for start in range(0, span.length, _PIECE):
                yield bytes(min(_PIECE, span.length - start))
            continue
        left = span.length
        while left > 0:
            piece = next(pieces)
            left -= len(piece)
            yield piece
