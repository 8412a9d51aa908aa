"""Reading calls for single blocks by hand gives what botocore's model gives."""

from __future__ import annotations

import pytest

from localcloud.blocks.calls import read_block_call

PATH = "/snapshots/snap-0123456789abcdef0/blocks/42"


def test_a_get_carries_its_token() -> None:
    """Percent-encoded in the query."""
    found = read_block_call("GET", PATH, "blockToken=AAE%2Fab%2B%3D", {})

    assert found == (
        "GetSnapshotBlock",
        {"SnapshotId": "snap-0123456789abcdef0", "BlockIndex": 42, "BlockToken": "AAE/ab+="},
    )


def test_a_put_carries_its_headers() -> None:
    """Numbers as numbers, only what was sent."""
    headers = {
        "x-amz-data-length": "524288",
        "x-amz-progress": "7",
        "x-amz-checksum": "c=",
        "x-amz-checksum-algorithm": "SHA256",
    }

    assert read_block_call("PUT", PATH, "", headers) == (
        "PutSnapshotBlock",
        {
            "SnapshotId": "snap-0123456789abcdef0",
            "BlockIndex": 42,
            "DataLength": 524288,
            "Progress": 7,
            "Checksum": "c=",
            "ChecksumAlgorithm": "SHA256",
        },
    )
    assert read_block_call("PUT", PATH, "", {}) == (
        "PutSnapshotBlock",
        {"SnapshotId": "snap-0123456789abcdef0", "BlockIndex": 42},
    )


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/snapshots/snap-0123456789abcdef0/blocks"),
        ("GET", "/snapshots/snap-0123456789abcdef0/blocks/-1"),
        ("GET", "/snapshots/snap-0123456789abcdef0/blocks/1/2"),
        ("GET", "/snapshots/vol-1/blocks/1"),
        ("POST", PATH),
    ],
)
def test_other_calls_are_left_to_the_model(method: str, path: str) -> None:
    """Lists, wrong numbers and strange methods are none of these."""
    assert read_block_call(method, path, "", {}) is None


def test_a_length_that_is_no_number_is_an_error() -> None:
    """The caller makes a refusal of it."""
    with pytest.raises(ValueError, match="abc"):
        read_block_call("PUT", PATH, "", {"x-amz-data-length": "abc"})
