"""Speaking to the EBS direct API in few words."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, Final

import pytest
from botocore.exceptions import ClientError

BLOCK: Final = 512 * 1024


def block(number: int) -> bytes:
    """Return a block that is like no other one; number 0 is a block of zeros."""
    return number.to_bytes(8, "big") * (BLOCK // 8)


def checksum(data: bytes) -> str:
    """Return the Base64 SHA-256 of data."""
    return base64.b64encode(sha256(data).digest()).decode()


def linear(blocks: Mapping[int, bytes]) -> str:
    """Return the LINEAR checksum over blocks."""
    return checksum(b"".join(sha256(blocks[index]).digest() for index in sorted(blocks)))


def put(ebs: Any, snapshot: str, index: int, data: bytes, **changes: Any) -> Any:
    """Put a block with its right length and checksum, unless `changes` says otherwise."""
    given = {
        "BlockData": data,
        "DataLength": len(data),
        "Checksum": checksum(data),
        "ChecksumAlgorithm": "SHA256",
    }
    return ebs.put_snapshot_block(SnapshotId=snapshot, BlockIndex=index, **{**given, **changes})


def make_snapshot(ebs: Any, blocks: Mapping[int, bytes], size: int = 1, **options: Any) -> str:
    """Write a snapshot of `size` GiB and complete it; return its id."""
    snapshot = str(ebs.start_snapshot(VolumeSize=size, **options)["SnapshotId"])
    for index, data in blocks.items():
        put(ebs, snapshot, index, data)
    ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=len(blocks))
    return snapshot


def pages(call: Any, name: str, **given: Any) -> list[list[dict[str, Any]]]:
    """Return all pages of a list, each as its blocks."""
    found = []
    answer = call(**given)
    while True:
        found.append(answer[name])
        if answer.get("NextToken") is None:
            return found
        answer = call(**{**given, "NextToken": answer["NextToken"]})


def listed(ebs: Any, snapshot: str, **given: Any) -> dict[int, str]:
    """Return index and token of all blocks of a snapshot, in the order of the list."""
    found = pages(ebs.list_snapshot_blocks, "Blocks", SnapshotId=snapshot, **given)
    return {one["BlockIndex"]: one["BlockToken"] for page in found for one in page}


def changed(ebs: Any, first: str | None, second: str, **given: Any) -> dict[int, tuple[str | None, str | None]]:
    """Return the changed blocks of a snapshot, with the tokens of the first and of the second one."""
    if first is not None:
        given["FirstSnapshotId"] = first
    found = pages(ebs.list_changed_blocks, "ChangedBlocks", SecondSnapshotId=second, **given)
    return {
        one["BlockIndex"]: (one.get("FirstBlockToken"), one.get("SecondBlockToken")) for page in found for one in page
    }


def get(ebs: Any, snapshot: str, index: int, token: str) -> bytes:
    """Read a block; its length and checksum must be right."""
    answer = ebs.get_snapshot_block(SnapshotId=snapshot, BlockIndex=index, BlockToken=token)
    data = bytes(answer["BlockData"].read())
    assert (answer["DataLength"], answer["ChecksumAlgorithm"]) == (len(data), "SHA256")
    assert answer["Checksum"] == checksum(data)
    return data


def content(ebs: Any, snapshot: str) -> dict[int, bytes]:
    """Return all blocks of a snapshot."""
    return {index: get(ebs, snapshot, index, token) for index, token in listed(ebs, snapshot).items()}


def refusal(call: Callable[[], Any]) -> tuple[str, str | None]:
    """Make a call that must be refused; return code and reason."""
    with pytest.raises(ClientError) as caught:
        call()
    answer: Mapping[str, Any] = caught.value.response
    return str(answer["Error"]["Code"]), answer.get("Reason")
