"""nanio with the whole of S3's ranges: the last bytes of an object, and ranges that go beyond its end.

Run with the Python of nanio's own environment; takes nanio's arguments. Version 0.1.7 refuses both, which S3 serves.
"""

from __future__ import annotations

import re
import sys
from typing import Any

from nanio.cli import main  # type: ignore[import-not-found]  # installed in an environment of its own
from nanio.handlers import object as handlers  # type: ignore[import-not-found]  # likewise
from nanio.storage.filesystem import FilesystemStorage  # type: ignore[import-not-found]  # likewise

_SUFFIX = re.compile(r"bytes=-(\d+)\Z")
_parse, _get = handlers._parse_range_header, FilesystemStorage.get_object  # noqa: SLF001 - what is corrected


def _parsed(value: str | None) -> tuple[int | None, int | None]:
    found = _SUFFIX.match((value or "").strip())
    parsed: tuple[int | None, int | None] = (-int(found[1]), None) if found else _parse(value)
    return parsed


async def _got(
    self: Any, bucket: str, key: str, *, range_start: int | None = None, range_end: int | None = None
) -> Any:
    size = self.head_object(bucket, key).size
    if range_start is not None and range_start < 0:
        range_start = max(0, size + range_start)
    if range_end is not None:
        range_end = min(range_end, size - 1)
    return await _get(self, bucket, key, range_start=range_start, range_end=range_end)


if __name__ == "__main__":
    handlers._parse_range_header = _parsed  # noqa: SLF001 - as above
    FilesystemStorage.get_object = _got
    sys.exit(main())
