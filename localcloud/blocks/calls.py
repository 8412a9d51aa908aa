"""Getting and putting a block, read from the request by hand: thousands of such calls a second cost what they cost."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

_BLOCK: Final = re.compile(r"/snapshots/(snap-[0-9a-f]+)/blocks/([0-9]{1,12})")
_PUT_HEADERS: Final[tuple[tuple[str, str], ...]] = (
    ("x-amz-checksum", "Checksum"),
    ("x-amz-checksum-algorithm", "ChecksumAlgorithm"),
)
_PUT_NUMBERS: Final[tuple[tuple[str, str], ...]] = (("x-amz-data-length", "DataLength"), ("x-amz-progress", "Progress"))


def read_block_call(
    method: str, path: str, query: str, headers: Mapping[str, str]
) -> tuple[str, dict[str, Any]] | None:
    """Return operation and parameters of a GetSnapshotBlock or PutSnapshotBlock, None for everything else.

    Parameters are as botocore's input shape has them, without the data of a block. Raises ValueError for a header that
    is not a number.
    """
    match = _BLOCK.fullmatch(path)
    if match is None:
        return None
    found: dict[str, Any] = {"SnapshotId": match[1], "BlockIndex": int(match[2])}
    if method == "GET":
        for name, value in parse_qsl(query, keep_blank_values=True):
            if name == "blockToken":
                found["BlockToken"] = value
        return "GetSnapshotBlock", found
    if method == "PUT":
        found |= {name: headers[header] for header, name in _PUT_HEADERS if header in headers}
        found |= {name: int(headers[header]) for header, name in _PUT_NUMBERS if header in headers}
        return "PutSnapshotBlock", found
    return None
