"""The store under a repository: objects by key, in S3, in memory or in a directory, through obstore.

obstore retries by itself (connection errors, 5xx, time-outs), so nobody above does. Every method may be called from
any thread, and again after an error.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

from agent.repository.errors import Damaged, Exists, Missing, Refused, Unreachable

Readable = bytes | bytearray | memoryview

_LIST_CHUNK: Final = 1000
#: Parts of an object that are on their way at a time.
_PARTS: Final = 3
_ASSERTION: Final = "PanicException"
_DENIED: Final = (PermissionDeniedError, UnauthenticatedError)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A listed object; `size` in bytes, `modified` in seconds since 1970."""

    key: str
    size: int
    modified: float = field(default=0.0, compare=False)


class Objects:
    """The objects of one repository. Keys are relative to the repository's own prefix."""

    def __init__(self, store: Any) -> None:
        """Take an obstore store whose prefix is the repository's."""
        self._store = store

    def get(self, key: str) -> memoryview:
        """Return an object. Raises `Missing`."""
        with self._reading(key):
            return memoryview(obstore.get(self._store, key).buffer())

    def get_whole(self, key: str, most: int) -> memoryview | None:
        """Return an object of at most `most` bytes, None when it has more. Raises `Missing`."""
        with self._reading(key):
            found = obstore.get(self._store, key)
            return memoryview(found.buffer()) if int(found.meta["size"]) <= most else None

    def get_range(self, key: str, start: int, length: int) -> memoryview:
        """Return part of an object; shorter when the object ends. Raises `Missing`."""
        with self._reading(key):
            return memoryview(obstore.get_range(self._store, key, start=start, length=length))

    def get_ranges(self, key: str, starts: Sequence[int], lengths: Sequence[int]) -> list[memoryview]:
        """Return several parts of an object with as few calls as is sensible.

        Raises `Missing`, and `Damaged` when the object ends before a part does.
        """
        try:
            with self._reading(key):
                found = obstore.get_ranges(self._store, key, starts=list(starts), lengths=list(lengths))
        except Unreachable:
            self._long_enough(key, starts, lengths)
            raise
        except BaseException as error:
            # What an object is too short for is an assertion to obstore, which no class of its errors covers.
            if type(error).__name__ != _ASSERTION:
                raise
            self._long_enough(key, starts, lengths)
            raise Damaged(f"{key} is damaged: parts of it cannot be read") from None
        parts = [memoryview(part) for part in found]
        if [len(part) for part in parts] != list(lengths):
            self._long_enough(key, starts, lengths)
        return parts

    def _long_enough(self, key: str, starts: Sequence[int], lengths: Sequence[int]) -> None:
        with self._reading(key):
            size = int(obstore.head(self._store, key)["size"])
        end = max(start + length for start, length in zip(starts, lengths, strict=True))
        if end > size:
            raise Damaged(f"{key} is damaged: it has {size} bytes and should have {end} at least")

    def get_end(self, key: str, length: int) -> memoryview:
        """Return the last `length` bytes of an object. Raises `Missing`."""
        with self._reading(key):
            return memoryview(obstore.get(self._store, key, options={"range": {"suffix": length}}).buffer())

    def create(self, key: str, data: Readable) -> None:
        """Write an object that must not be there yet. Raises `Exists` when it is, unless these very bytes are in it.

        (A create whose answer was lost is repeated by obstore and then meets its own object. Sealed objects are
        different bytes each time, so equal bytes are the same writing.)
        """
        try:
            with self._writing(key):
                obstore.put(self._store, key, data, mode="create", use_multipart=False)
        except Exists:
            if self.get(key) != data:
                raise

    def put(self, key: str, data: Readable) -> None:
        """Write an object, new or not. `data` must not change afterwards: it may be kept without a copy."""
        with self._writing(key):
            obstore.put(self._store, key, data, use_multipart=False)

    def put_parts(self, key: str, parts: Iterator[bytes], *, storage_class: str, part: int = 8 * 1024 * 1024) -> None:
        """Write an object of a storage class while it comes, `part` bytes at a time; what `parts` raises, this raises.

        There is no object before the last part has come: an upload that fails or dies leaves none.
        """
        with self._writing(key):
            obstore.put(
                self._store,
                key,
                parts,
                attributes={"Storage-Class": storage_class},
                use_multipart=True,
                chunk_size=part,
                max_concurrency=_PARTS,
            )

    def delete(self, key: str) -> None:
        """Remove an object; gone already is success."""
        with contextlib.suppress(Missing), self._reading(key):
            obstore.delete(self._store, key)

    def list(self, prefix: str) -> Iterator[Entry]:
        """List the objects below a prefix (whole path parts), in the order of their keys."""
        with self._reading(f"{prefix}/"):
            for chunk in obstore.list(self._store, prefix=prefix, chunk_size=_LIST_CHUNK):
                for meta in sorted(chunk, key=lambda one: one["path"]):
                    yield Entry(
                        key=str(meta["path"]), size=int(meta["size"]), modified=meta["last_modified"].timestamp()
                    )

    def _is_listed(self, key: str) -> bool:
        folder = key.rpartition("/")[0]
        found = obstore.list_with_delimiter(self._store, prefix=folder or None)
        return any(meta["path"] == key for meta in found["objects"])

    @contextmanager
    def _reading(self, key: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise Missing(f"{key} is not in the repository") from None
        except _DENIED as error:
            if "InvalidObjectState" in str(error):
                raise Refused(
                    f"{key} is in an archive storage class and not retrieved, or no longer",
                    "Start the restore again: it retrieves first",
                ) from None
            # A role that may list only below its prefix hears 403 for an object that is not there.
            try:
                there = self._is_listed(key)
            except (BaseError, OSError):
                there = True
            if there:
                raise _refused(key, error) from None
            raise Missing(f"{key} is not in the repository") from None
        except (BaseError, OSError) as error:
            raise _unreachable(key, error) from None

    @contextmanager
    def _writing(self, key: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise Missing(
                f"{key} cannot be written: the repository's bucket is not there",
                "Make the bucket, or correct the repository's url",
            ) from None
        except (AlreadyExistsError, PreconditionError):
            raise Exists(f"{key} is in the repository already") from None
        except _DENIED as error:
            raise _refused(key, error) from None
        except (BaseError, OSError) as error:
            raise _unreachable(key, error) from None


def _refused(key: str, error: Exception) -> Refused:
    return Refused(
        f"the repository's role may not use {key} ({type(error).__name__})",
        "Compare the role's policy with `daywork role document`",
    )


def _unreachable(key: str, error: Exception) -> Unreachable:
    return Unreachable(
        f"{key}: the repository's store did not answer ({type(error).__name__})",
        "Check that the worker's subnet reaches S3: gateway endpoint or NAT, security groups",
    )
