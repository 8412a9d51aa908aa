"""The EBS direct API, its data side: list, read and write the blocks of snapshots, and complete them.

A **block** is 512 KiB; its index is its offset divided by that. Every read is verified against the SHA-256 that comes
with it, every write carries one that AWS verifies; the digest is the **block id** of the repository, so nothing is
hashed twice.

One layer retries: `Ebs` itself. Every attempt has time-outs of its own, a call has a budget of attempts with jittered
pauses, throttling lowers the pace for everybody. Just after a snapshot is started AWS may not know it yet everywhere:
writes to a snapshot that has not answered yet tolerate "does not exist" for `FRESH`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from agent.aws import Access
from agent.aws_signing import EMPTY, UNSIGNED, Query, Signer, encode_query
from agent.connections import Connections, Failed
from agent.ebs_errors import Damaged, NotFound, Permanent, Retryable, StaleToken, Throttled, Unreachable, error_of
from agent.ebs_pace import Pace

BLOCK: Final = 512 * 1024

#: Seconds for which "does not exist" is believed to mean "not yet" (coldsnap issue 43 saw more than two minutes).
FRESH: Final = 132.0

_CONNECT: Final = 3.0
_READ: Final = 10.0
#: Listing and completing may take AWS longer than a block does.
_READ_LONG: Final = 60.0
#: The most that AWS returns in one page.
_PAGE: Final = 10_000

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, kw_only=True)
class Retries:
    """How often one call is tried; pauses have full jitter below `first`, doubled each time, at most `most` seconds.

    Throttling is no failure but a matter of whose turn it is: it is not counted, and borne for `patience` seconds.
    """

    attempts: int = 10
    patience: float = 900.0
    first: float = 0.2
    most: float = 10.0

    def pause(self, attempt: int, chance: float) -> float:
        """Return the seconds to wait after attempt number `attempt` (from 1), for a `chance` between 0 and 1."""
        return float(min(self.most, self.first * 2 ** (attempt - 1)) * chance)


@dataclass(frozen=True)
class Listed:
    """A block that a snapshot holds. `token` None: the older snapshot held it and the newer one no longer does."""

    index: int
    token: str | None


@dataclass(frozen=True)
class Page:
    """Some blocks in ascending order (possibly none) and the size of the snapshot's volume in bytes."""

    blocks: list[Listed]
    size_bytes: int


class Ebs:
    """A client for any number of threads. All methods raise `EbsError`s and whatever `pause` raises."""

    def __init__(
        self,
        access: Access,
        *,
        threads: int,
        pace: Pace,
        pause: Callable[[float], None],
        retries: Retries | None = None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Take one connection for each of `threads`. `pause` waits that many seconds and raises when asked to stop."""
        endpoint = access.endpoint("ebs")
        self._connections = Connections(endpoint, most=threads, connect=_CONNECT)
        self._signer = Signer(service="ebs", region=access.region, host=urlsplit(endpoint).netloc, keys=access.keys)
        self._pace = pace
        self._pause = pause
        self._retries = retries or Retries()
        self._clock = clock
        self._chance = chance
        self._known: set[str] = set()

    def close(self) -> None:
        """Close idle connections."""
        self._connections.close()

    # --- reading ---

    def blocks(self, snapshot: str, start: int = 0) -> Iterator[Page]:
        """List the blocks that a completed snapshot holds, from index `start` on."""
        return self._pages(f"/snapshots/{snapshot}/blocks", [], "Blocks", "BlockToken", start)

    def changed_blocks(self, first: str, second: str, start: int = 0) -> Iterator[Page]:
        """List the blocks in which snapshot `second` differs from `first`, from index `start` on.

        Raises `Unrelated` when they are not of one volume.
        """
        query = [("firstSnapshotId", first)]
        return self._pages(f"/snapshots/{second}/changedblocks", query, "ChangedBlocks", "SecondBlockToken", start)

    def _pages(self, path: str, query: Query, entries: str, token: str, start: int) -> Iterator[Page]:
        page_token: str | None = None
        while True:
            asked = [*query, ("maxResults", str(_PAGE))]
            asked.append(("pageToken", page_token) if page_token else ("startingBlockIndex", str(start)))
            try:
                answer = self._list(path, asked)
            except StaleToken:
                if page_token is None:
                    raise
                # The pages were used too slowly: go on behind the last block that was seen.
                page_token = None
                continue
            blocks = [Listed(int(one["BlockIndex"]), one.get(token)) for one in answer.get(entries) or ()]
            if answer.get("BlockSize", BLOCK) != BLOCK:
                raise Permanent(
                    f"{path}: blocks of {answer['BlockSize']} bytes; this agent knows blocks of {BLOCK} only"
                )
            if blocks:
                start = blocks[-1].index + 1
            yield Page(blocks, int(answer["VolumeSize"]) * 1024**3)
            # An empty page may come with a token; only its absence is the end.
            page_token = answer.get("NextToken")
            if not page_token:
                return

    def _list(self, path: str, query: Query) -> dict[str, Any]:
        encoded = encode_query(query)

        def attempt() -> dict[str, Any]:
            _, body = self._send("GET", path, encoded, read=_READ_LONG)
            document = json.loads(body)
            if not isinstance(document, dict) or "VolumeSize" not in document:
                raise Unreachable(f"GET {path}: the answer is not a list of blocks")
            return document

        return self._tried(attempt)

    def read(self, snapshot: str, index: int, token: str) -> tuple[bytes, bytes]:
        """Return (block id, the block's 512 KiB), verified."""
        path = f"/snapshots/{snapshot}/blocks/{index}"
        query = encode_query([("blockToken", token)])

        def attempt() -> tuple[bytes, bytes]:
            self._pace.take()
            headers, body = self._send("GET", path, query)
            stated = headers.get("x-amz-checksum", "")
            digest = hashlib.sha256(body).digest()
            if len(body) != BLOCK or base64.b64encode(digest).decode() != stated:
                raise Damaged(f"GET {path}: {len(body)} bytes came that are not those of their checksum")
            self._pace.succeeded()
            return digest, body

        return self._tried(attempt)

    # --- writing ---

    def write(self, snapshot: str, index: int, data: bytes, block_id: bytes) -> None:
        """Write one block of a pending snapshot; AWS refuses it unless `block_id` is the SHA-256 of `data`."""
        path = f"/snapshots/{snapshot}/blocks/{index}"
        extra = {
            "x-amz-checksum": base64.b64encode(block_id).decode(),
            "x-amz-checksum-algorithm": "SHA256",
            "x-amz-data-length": str(len(data)),
        }

        def attempt() -> None:
            self._pace.take()
            self._send("PUT", path, "", body=data, extra=extra)
            self._pace.succeeded()

        self._tried(attempt, fresh=snapshot)

    def complete(self, snapshot: str, blocks: int, linear: bytes | None) -> str:
        """Seal a snapshot that was written with `blocks` distinct blocks; return its status.

        `linear` is the SHA-256 over the block ids in index order; AWS refuses to complete when what it holds differs.
        """
        path = f"/snapshots/completion/{snapshot}"
        extra = {"x-amz-changedblockscount": str(blocks)}
        if linear is not None:
            extra |= {
                "x-amz-checksum": base64.b64encode(linear).decode(),
                "x-amz-checksum-algorithm": "SHA256",
                "x-amz-checksum-aggregation-method": "LINEAR",
            }

        def attempt() -> str:
            _, body = self._send("POST", path, "", extra=extra, read=_READ_LONG)
            return str(json.loads(body or b"{}").get("Status", ""))

        return self._tried(attempt, fresh=snapshot)

    # --- the one retry layer ---

    def _tried(self, attempt: Callable[[], _Answer], fresh: str | None = None) -> _Answer:
        began = self._clock()
        tries = throttled = 0
        while True:
            tries += 1
            try:
                answer = attempt()
            except Throttled:
                self._pace.throttled()
                throttled += 1
                if self._clock() - began >= self._retries.patience:
                    raise
            except Retryable:
                if tries - throttled >= self._retries.attempts:
                    raise
            except NotFound:
                # Only while the snapshot has never answered: later, "does not exist" is the truth.
                if fresh is None or fresh in self._known or self._clock() - began >= FRESH:
                    raise
            else:
                if fresh is not None:
                    self._known.add(fresh)
                return answer
            self._pause(self._retries.pause(tries, self._chance()))

    def _send(
        self,
        method: str,
        path: str,
        query: str,
        *,
        body: bytes | None = None,
        extra: dict[str, str] | None = None,
        read: float = _READ,
    ) -> tuple[Mapping[str, str], bytes]:
        headers = self._signer.headers(method, path, query, payload=EMPTY if body is None else UNSIGNED, extra=extra)
        what = f"{method} {path}"
        try:
            target = f"{path}?{query}" if query else path
            answer = self._connections.call(method, target, headers, body, read=read)
        except Failed as error:
            raise Unreachable(f"{what}: {type(error).__name__}") from None
        if not 200 <= answer.status < 300:  # noqa: PLR2004 - the definition of success
            raise error_of(what, answer.status, answer.headers, answer.body)
        return answer.headers, answer.body
