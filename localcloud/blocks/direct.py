"""The EBS direct API: starting, writing, completing and reading snapshots. `listing` holds the two lists."""

from __future__ import annotations

import base64
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from localcloud.blocks import life, refusals
from localcloud.blocks.layers import BLOCK, PER_GIB
from localcloud.blocks.listing import Listings, completed_snapshot, json_reply
from localcloud.blocks.rates import Rates
from localcloud.blocks.records import SnapshotRecord, find_snapshot, snapshot_record
from localcloud.blocks.starting import Starting
from localcloud.blocks.store import Sealed, Store
from localcloud.blocks.tokens import BadToken, BlockTokens
from localcloud.call import Call, Reply

_ALGORITHM = "SHA256"


class DirectApi:
    """Answers the six operations of the EBS direct API."""

    def __init__(self, store: Store, starting: Starting, tokens: BlockTokens, rates: Rates) -> None:
        listings = Listings(tokens)
        self._store = store
        self._tokens = tokens
        self._rates = rates
        self._operations: dict[str, Callable[[Call], Reply]] = {
            "ListSnapshotBlocks": listings.snapshot_blocks,
            "ListChangedBlocks": listings.changed_blocks,
            "GetSnapshotBlock": self._get,
            "StartSnapshot": starting.start,
            "PutSnapshotBlock": self._put,
            "CompleteSnapshot": self._complete,
        }

    def answer(self, call: Call) -> Reply:
        """Answer a call to the service `ebs`. Raises `AwsError` as AWS refuses."""
        return self._operations[call.operation](call)

    def _get(self, call: Call) -> Reply:
        snapshot_id, index = str(call.parameters["SnapshotId"]), _index(call)
        self._rates.take("get", call.account, call.region, snapshot_id)
        snapshot = completed_snapshot(call, snapshot_id)
        try:
            self._tokens.check_block(str(call.parameters.get("BlockToken", "")), snapshot_id, index)
        except BadToken:
            raise refusals.invalid(
                "INVALID_BLOCK_TOKEN", f"The block token for block {index} is not valid or has expired."
            ) from None
        found = self._store.open(snapshot_record(snapshot).content, index)
        if found is None:
            # Deleted since it was looked up.
            raise refusals.not_found(snapshot_id)
        digest, data = found
        headers = [
            ("Content-Type", "application/octet-stream"),
            ("Content-Length", str(BLOCK)),
            ("x-amz-Data-Length", str(BLOCK)),
            ("x-amz-Checksum", base64.b64encode(digest).decode()),
            ("x-amz-Checksum-Algorithm", _ALGORITHM),
        ]
        return Reply(status=200, headers=headers, body=data)

    def _put(self, call: Call) -> Reply:
        given = call.parameters
        snapshot_id, index = str(given["SnapshotId"]), _index(call)
        self._rates.take("put", call.account, call.region, snapshot_id)
        snapshot, record = _writable(call, snapshot_id)
        if not 0 <= index < snapshot.volume_size * PER_GIB:
            raise refusals.invalid_value(f"Block {index} is not within the {snapshot.volume_size} GiB of the snapshot.")
        if int(given.get("DataLength", -1)) != BLOCK or len(call.body) != BLOCK:
            raise refusals.invalid("INVALID_BLOCK", f"A block has {BLOCK} bytes, in DataLength and in the body.")
        _check_algorithm(given)
        progress = given.get("Progress")
        if progress is not None and not 0 <= int(progress) <= 100:  # noqa: PLR2004 - per cent
            raise refusals.invalid_value(f"Progress {progress} must be between 0 and 100.")
        digest = sha256(call.body).digest()
        checksum = base64.b64encode(digest).decode()
        if given.get("Checksum") != checksum:
            raise refusals.invalid("INVALID_BLOCK", f"The checksum of block {index} does not match its data.")
        try:
            record.content.write(index, call.body, digest)
        except Sealed:
            raise _not_pending(snapshot) from None
        record.life.heard(int(progress) if progress is not None else None)
        headers = [("x-amz-Checksum", checksum), ("x-amz-Checksum-Algorithm", _ALGORITHM)]
        return Reply(status=201, headers=headers, body=b"")

    def _complete(self, call: Call) -> Reply:
        given = call.parameters
        snapshot, record = _found(call, str(given["SnapshotId"]))
        with record.completing:
            if record.life.is_open():
                with record.content.still():
                    self._check_completion(given, record)
                    record.content.seal()
                record.content.freeze()
                if not record.life.complete():
                    raise _not_pending(snapshot)
            elif not record.life.written_from_outside or snapshot.status == life.ERROR:
                raise _not_pending(snapshot)
        # The work goes on after the answer; a repeated call, its first answer lost, hears how far it is.
        return json_reply(202, {"Status": snapshot.status})

    @staticmethod
    def _check_completion(given: dict[str, Any], record: SnapshotRecord) -> None:
        head = record.content.head()
        count, total = 0, sha256()
        for indexes, digests in head.scan() if head is not None else ():
            count += len(indexes)
            total.update(digests.tobytes())
        told = int(given["ChangedBlocksCount"])
        if told != count:
            raise refusals.invalid_value(f"ChangedBlocksCount is {told}, but {count} blocks were written.")
        if given.get("Checksum") is None:
            return
        _check_algorithm(given)
        if given.get("ChecksumAggregationMethod") != "LINEAR":
            raise refusals.invalid_value("ChecksumAggregationMethod must be LINEAR.")
        if given["Checksum"] != base64.b64encode(total.digest()).decode():
            raise refusals.invalid_value("The checksum does not match those of the blocks that were written.")


def _index(call: Call) -> int:
    try:
        index = int(call.parameters["BlockIndex"])
    except (KeyError, ValueError):
        index = -1
    if index < 0:
        raise refusals.invalid_value("BlockIndex must be a number that is not negative.")
    return index


def _check_algorithm(given: dict[str, Any]) -> None:
    if given.get("ChecksumAlgorithm") != _ALGORITHM:
        raise refusals.invalid_value(f"ChecksumAlgorithm must be {_ALGORITHM}.")


def _found(call: Call, snapshot_id: str) -> tuple[Any, SnapshotRecord]:
    snapshot = find_snapshot(call.account, call.region, snapshot_id)
    # Others may read a shared snapshot, but only its owner writes it.
    if snapshot is None or snapshot.owner_id != call.account:
        raise refusals.not_found(snapshot_id)
    return snapshot, snapshot_record(snapshot)


def _writable(call: Call, snapshot_id: str) -> tuple[Any, SnapshotRecord]:
    snapshot, record = _found(call, snapshot_id)
    if not record.life.is_open():
        raise _not_pending(snapshot)
    return snapshot, record


def _not_pending(snapshot: Any) -> Exception:
    if snapshot.status == life.ERROR:
        return refusals.invalid(
            "WRITE_REQUEST_TIMEOUT", f"The snapshot '{snapshot.id}' is in error: it was not written to in time."
        )
    return refusals.invalid(
        "INVALID_SNAPSHOT_ID", f"The snapshot '{snapshot.id}' is not a pending one that can be written to."
    )
