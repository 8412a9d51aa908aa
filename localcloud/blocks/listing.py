"""ListSnapshotBlocks and ListChangedBlocks: pages of written or changed blocks with tokens for reading them."""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np

from localcloud.blocks import life, refusals
from localcloud.blocks.layers import BLOCK, PER_GIB, Indexes
from localcloud.blocks.maps import EMPTY, BlockMap, Changes, changed
from localcloud.blocks.records import find_snapshot, snapshot_record
from localcloud.blocks.tokens import BadToken, BlockTokens
from localcloud.call import Call, Reply

_FEWEST, _MOST = 100, 10_000
#: Block positions that one page looks through: 512 GiB. A page over a long hole is empty and names the next one.
WINDOW: Final = 512 * PER_GIB
#: Positions that are compared at once: a page of many changes looks no further than it must.
_STEP: Final = 64 * PER_GIB


def completed_snapshot(call: Call, snapshot_id: Any) -> Any:
    """Return moto's snapshot if it may be read. Raises `AwsError`: ResourceNotFoundException, ValidationException."""
    snapshot = find_snapshot(call.account, call.region, str(snapshot_id))
    if snapshot is None:
        raise refusals.not_found(str(snapshot_id))
    if snapshot.status != life.COMPLETED:
        raise refusals.invalid(
            "INVALID_SNAPSHOT_ID", f"The snapshot '{snapshot_id}' is {snapshot.status}; it can be read once completed."
        )
    return snapshot


class Listings:
    """Answers the two list operations."""

    def __init__(self, tokens: BlockTokens) -> None:
        self._tokens = tokens

    def snapshot_blocks(self, call: Call) -> Reply:
        """ListSnapshotBlocks."""
        snapshot = completed_snapshot(call, call.parameters["SnapshotId"])
        start, stop = self._window(call, snapshot.id, snapshot.volume_size * PER_GIB)
        found = snapshot_record(snapshot).content.blocks.between(start, stop).indexes
        page, following = _cut(found, _most(call), stop)
        expires, tokens = self._tokens.for_blocks(snapshot.id, page)
        blocks = [{"BlockIndex": index, "BlockToken": token} for index, token in zip(page, tokens, strict=True)]
        size = snapshot.volume_size
        return self._answer("Blocks", blocks, expires, size, self._next(snapshot.id, following, size))

    def changed_blocks(self, call: Call) -> Reply:
        """ListChangedBlocks. Without a first snapshot every block of the second one is new."""
        second = completed_snapshot(call, call.parameters["SecondSnapshotId"])
        first_id = call.parameters.get("FirstSnapshotId")
        first = completed_snapshot(call, first_id) if first_id is not None else None
        before = snapshot_record(first).content if first is not None else None
        after = snapshot_record(second).content
        if before is not None and before.lineage != after.lineage:
            raise refusals.invalid(
                "UNRELATED_SNAPSHOTS",
                f"The snapshots '{first_id}' and '{second.id}' are not of the same volume or snapshot lineage.",
            )
        listing = f"{first_id} {second.id}"
        size = max(one.volume_size for one in (first, second) if one is not None)
        start, stop = self._window(call, listing, size * PER_GIB)
        most = _most(call)
        old = before.blocks if before is not None else EMPTY
        (indexes, in_first, in_second), seen = _first_changes(old, after.blocks, start, stop, most)
        page, following = _cut(indexes, most, seen)
        expires, firsts = self._tokens.for_blocks(str(first_id), page)
        _, seconds = self._tokens.for_blocks(second.id, page)
        count = len(page)
        blocks = []
        rows = zip(page, firsts, seconds, in_first[:count].tolist(), in_second[:count].tolist(), strict=True)
        for index, first_token, second_token, was, is_now in rows:
            block: dict[str, Any] = {"BlockIndex": index}
            if was:
                block["FirstBlockToken"] = first_token
            if is_now:
                block["SecondBlockToken"] = second_token
            blocks.append(block)
        return self._answer("ChangedBlocks", blocks, expires, second.volume_size, self._next(listing, following, size))

    def _window(self, call: Call, listing: str, size: int) -> tuple[int, int]:
        """Return the first block that a page looks at and the one behind its last."""
        token = call.parameters.get("NextToken")
        if token is not None:
            try:
                start = self._tokens.start_of_page(str(token), listing)
            except BadToken:
                raise refusals.invalid("INVALID_PAGE_TOKEN", "The page token is not valid or has expired.") from None
        else:
            start = int(call.parameters.get("StartingBlockIndex", 0))
        if start < 0:
            raise refusals.invalid_value(f"StartingBlockIndex {start} must not be negative.")
        return start, min(start + WINDOW, size)

    def _next(self, listing: str, following: int, size: int) -> str | None:
        return self._tokens.for_page(listing, following) if following < size * PER_GIB else None

    @staticmethod
    def _answer(name: str, blocks: list[Any], expires: float, size: int, next_token: str | None) -> Reply:
        document = {name: blocks, "ExpiryTime": expires, "VolumeSize": size, "BlockSize": BLOCK}
        return json_reply(200, document if next_token is None else {**document, "NextToken": next_token})


def _most(call: Call) -> int:
    """Return how many blocks a page may have."""
    most = int(call.parameters.get("MaxResults", _MOST))
    if not 0 < most <= _MOST:
        raise refusals.invalid_value(f"MaxResults {most} must be between {_FEWEST} and {_MOST}.")
    # AWS takes less and gives that many all the same.
    return max(most, _FEWEST)


def _first_changes(old: BlockMap, new: BlockMap, start: int, stop: int, most: int) -> tuple[Changes, int]:
    """Return changed blocks from `start` on, `most` of them if there are, and up to where was looked."""
    pieces = []
    count, seen = 0, start
    while seen < stop and count <= most:
        end = min(seen + _STEP, stop)
        piece = changed(old.between(seen, end), new.between(seen, end))
        pieces.append(piece)
        count, seen = count + len(piece[0]), end
    if not pieces:
        return changed(EMPTY, EMPTY), stop
    indexes, in_first, in_second = (np.concatenate(column) for column in zip(*pieces, strict=True))
    return (indexes, in_first, in_second), seen


def _cut(indexes: Indexes, most: int, stop: int) -> tuple[list[int], int]:
    """Return the blocks of one page, and the block at which the next one begins."""
    if len(indexes) <= most:
        return indexes.tolist(), stop
    return indexes[:most].tolist(), int(indexes[most])


def json_reply(status: int, document: dict[str, Any]) -> Reply:
    """Return an answer with a JSON document."""
    body = json.dumps(document, separators=(",", ":")).encode()
    return Reply(status=status, headers=[("Content-Type", "application/json")], body=body)
