"""The block client against a server that misbehaves in every way that AWS and networks do."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.session import Session
from support.block_devices import block, block_id
from support.scripted_http import Asked, Said, ScriptedServer, scripted_server

from agent.aws import Access
from agent.ebs import BLOCK, FRESH, Ebs, Retries
from agent.ebs_errors import (
    Damaged,
    Denied,
    EbsError,
    NotFound,
    Permanent,
    StaleToken,
    Throttled,
    Unreachable,
    Unrelated,
)
from agent.ebs_pace import Pace

DATA = block("noise", 1)
SUM = base64.b64encode(block_id(DATA)).decode()


class Time:
    """A clock that waiting moves, and what was waited."""

    def __init__(self) -> None:
        """Begin at zero."""
        self.now = 0.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A server without a script yet."""
    with scripted_server() as made:
        yield made


@pytest.fixture
def time() -> Time:
    """Time that only waiting moves."""
    return Time()


@pytest.fixture
def pace(time: Time) -> Pace:
    """A pace that is seldom in the way."""
    return Pace(400, pause=time.pause, clock=time)


@pytest.fixture
def ebs(server: ScriptedServer, time: Time, pace: Pace) -> Iterator[Ebs]:
    """The client, with keys that must not show anywhere."""
    session = Session()
    session.set_credentials("AKIDTEST", "canary-secret", "canary-token")
    access = Access(session=session, region="eu-west-1", endpoint_url=server.url)
    made = Ebs(
        access, threads=2, pace=pace, pause=time.pause, retries=Retries(attempts=4), clock=time, chance=lambda: 1.0
    )
    yield made
    made.close()


def a_block(data: bytes = DATA, checksum: str = SUM, cut: int | None = None) -> Said:
    """Return the answer of GetSnapshotBlock."""
    headers = {"x-amz-Checksum": checksum, "x-amz-Checksum-Algorithm": "SHA256", "x-amz-Data-Length": str(len(data))}
    return Said(body=data, headers=headers, cut=cut)


def refusal(status: int, code: str, reason: str = "", message: str = "words") -> Said:
    """Return an error as AWS sends it."""
    body = {"Message": message, **({"Reason": reason} if reason else {})}
    return Said(status, json.dumps(body).encode(), {"x-amzn-ErrorType": code})


def in_turn(*answers: Said) -> Any:
    """Return a script that gives one answer after the other and then the last one for ever."""
    left = list(answers)
    return lambda _asked: left.pop(0) if len(left) > 1 else left[0]


def test_a_block_is_read_signed_and_verified(ebs: Ebs, server: ScriptedServer) -> None:
    """Its id is the checksum that came with it."""
    server.script = in_turn(a_block())

    assert ebs.read("snap-1", 17, "to+ken/=") == (block_id(DATA), DATA)
    asked = server.asked[0]
    assert (asked.method, asked.path) == ("GET", "/snapshots/snap-1/blocks/17?blockToken=to%2Bken%2F%3D")
    assert asked.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDTEST/")
    assert asked.headers["x-amz-security-token"] == "canary-token"


@pytest.mark.parametrize(
    "bad",
    [
        a_block(checksum=base64.b64encode(bytes(32)).decode()),
        a_block(data=DATA[:-1]),
        a_block(data=DATA[:-1] + b"x"),
        Said(body=DATA),
        a_block(cut=1000),
        a_block(cut=-1),
        refusal(500, "InternalServerException"),
        refusal(503, ""),
        Said(502, b"<html>bad gateway</html>"),
        refusal(400, "RequestThrottledException", "ACCOUNT_THROTTLED"),
        refusal(400, "RequestThrottledException:http://internal.amazon.com/"),
        refusal(402, "ServiceQuotaExceededException", "DEPENDENCY_SERVICE_QUOTA_EXCEEDED"),
        refusal(429, ""),
        refusal(403, "ExpiredTokenException"),
        refusal(403, "UnrecognizedClientException"),
    ],
)
def test_what_may_pass_is_tried_again_after_growing_pauses(
    ebs: Ebs, server: ScriptedServer, time: Time, bad: Said
) -> None:
    """Wrong or cut bytes, resets, server faults, throttling, credentials that are not known yet."""
    server.script = in_turn(bad, bad, a_block())

    assert ebs.read("snap-1", 0, "t")[1] == DATA
    assert len(server.asked) == 3
    assert [pause for pause in time.pauses if pause > 0.1] == [0.2, 0.4]


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        (a_block(checksum="AAAA"), Damaged),
        (a_block(cut=-1), Unreachable),
        (refusal(500, "InternalServerException"), Unreachable),
    ],
)
def test_after_its_attempts_a_call_fails_with_what_happened(
    ebs: Ebs, server: ScriptedServer, bad: Said, kind: type[EbsError]
) -> None:
    """The budget is spent once: no other layer multiplies it."""
    server.script = in_turn(bad)

    with pytest.raises(kind, match="snap-1"):
        ebs.read("snap-1", 0, "t")
    assert len(server.asked) == 4


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        (refusal(403, "AccessDeniedException", "UNAUTHORIZED_ACCOUNT"), Denied),
        (refusal(404, "ResourceNotFoundException", "SNAPSHOT_NOT_FOUND"), NotFound),
        (refusal(400, "ValidationException", "INVALID_BLOCK_TOKEN"), StaleToken),
        (refusal(400, "ValidationException", "INVALID_SNAPSHOT_ID"), Permanent),
        (Said(400, b"[]"), Permanent),
    ],
)
def test_what_will_not_change_is_not_tried_again(
    ebs: Ebs, server: ScriptedServer, bad: Said, kind: type[EbsError]
) -> None:
    """And is told at once, in AWS's words, without a secret."""
    server.script = in_turn(bad)

    with pytest.raises(kind) as caught:
        ebs.read("snap-1", 0, "t")
    assert len(server.asked) == 1
    assert "canary" not in str(caught.value)


def test_throttling_slows_everything_down(ebs: Ebs, server: ScriptedServer, pace: Pace) -> None:
    """The rate is halved and grows again with what succeeds."""
    server.script = in_turn(refusal(400, "RequestThrottledException"), a_block())

    ebs.read("snap-1", 0, "t")

    assert 200 < pace.rate < 400


def test_throttling_is_borne_for_long_and_spends_no_attempts(ebs: Ebs, server: ScriptedServer, time: Time) -> None:
    """Whose turn it is will come; after a quarter of an hour something else is wrong."""
    throttled = refusal(400, "RequestThrottledException")
    server.script = in_turn(*[throttled] * 20, refusal(500, ""), *[throttled] * 5, refusal(503, ""), a_block())

    assert ebs.read("snap-1", 0, "t")[1] == DATA

    began = time()
    server.script = in_turn(throttled)
    with pytest.raises(Throttled):
        ebs.read("snap-1", 1, "t")
    assert 900 <= time() - began < 930


def test_a_pause_that_is_cancelled_ends_the_call(server: ScriptedServer, pace: Pace) -> None:
    """A job that stops does not wait for attempts."""

    class Ended(Exception):
        pass

    def pause(_seconds: float) -> None:
        raise Ended

    session = Session()
    session.set_credentials("AKIDTEST", "s")
    access = Access(session=session, region="eu-west-1", endpoint_url=server.url)
    ebs = Ebs(access, threads=1, pace=pace, pause=pause)

    with pytest.raises(Ended):
        ebs.read("snap-1", 0, "t")
    assert len(server.asked) == 1
    ebs.close()


# --- lists ---


def page(*indices: int, token: str | None = None, entries: str = "Blocks", **more: Any) -> Said:
    """Return a page of a list."""
    blocks = [{"BlockIndex": index, "BlockToken": f"t{index}", "SecondBlockToken": f"s{index}"} for index in indices]
    document = {entries: blocks, "VolumeSize": 4, "BlockSize": BLOCK, **more}
    if token is not None:
        document["NextToken"] = token
    return Said(body=json.dumps(document).encode())


def query(asked: Asked) -> dict[str, str]:
    """Return a request's query."""
    return {name: values[0] for name, values in parse_qs(urlsplit(asked.path).query).items()}


def test_lists_go_on_through_empty_pages_until_there_is_no_token(ebs: Ebs, server: ScriptedServer) -> None:
    """Only the missing token is the end."""
    server.script = in_turn(page(0, 1, token="a"), page(token="b"), page(9, token="c"), page())

    pages = list(ebs.blocks("snap-1"))

    assert [[one.index for one in each.blocks] for each in pages] == [[0, 1], [], [9], []]
    assert [one.token for one in pages[0].blocks] == ["t0", "t1"]
    assert pages[0].size_bytes == 4 * 1024**3
    assert [query(asked) for asked in server.asked] == [
        {"maxResults": "10000", "startingBlockIndex": "0"},
        {"maxResults": "10000", "pageToken": "a"},
        {"maxResults": "10000", "pageToken": "b"},
        {"maxResults": "10000", "pageToken": "c"},
    ]


def test_pages_that_were_used_too_slowly_are_listed_again_from_the_last_block(ebs: Ebs, server: ScriptedServer) -> None:
    """Page tokens live for an hour; a list that is interrupted neither repeats nor loses a block."""
    stale = refusal(400, "ValidationException", "INVALID_PAGE_TOKEN")
    server.script = in_turn(page(0, 7, token="old"), stale, page(8, 9))

    indices = [one.index for each in ebs.blocks("snap-1") for one in each.blocks]

    assert indices == [0, 7, 8, 9]
    assert query(server.asked[2]) == {"maxResults": "10000", "startingBlockIndex": "8"}


def test_a_list_can_begin_anywhere(ebs: Ebs, server: ScriptedServer) -> None:
    """For who goes on where another stopped."""
    server.script = in_turn(page(600))

    list(ebs.blocks("snap-1", start=512))

    assert query(server.asked[0])["startingBlockIndex"] == "512"


def test_changed_blocks_tell_what_is_new_and_what_is_gone(ebs: Ebs, server: ScriptedServer) -> None:
    """An entry without a second token is a block that the newer snapshot no longer holds."""
    blocks = [
        {"BlockIndex": 1, "FirstBlockToken": "f", "SecondBlockToken": "s"},
        {"BlockIndex": 5, "FirstBlockToken": "f"},
    ]
    body = {"ChangedBlocks": blocks, "VolumeSize": 1, "BlockSize": BLOCK}
    server.script = in_turn(Said(body=json.dumps(body).encode()))

    (only,) = ebs.changed_blocks("snap-1", "snap-2")

    assert [(one.index, one.token) for one in only.blocks] == [(1, "s"), (5, None)]
    assert urlsplit(server.asked[0].path).path == "/snapshots/snap-2/changedblocks"
    assert query(server.asked[0])["firstSnapshotId"] == "snap-1"


def test_snapshots_of_two_volumes_are_unrelated(ebs: Ebs, server: ScriptedServer) -> None:
    """Which is for the caller to know."""
    server.script = in_turn(refusal(400, "ValidationException", "UNRELATED_SNAPSHOTS"))

    with pytest.raises(Unrelated):
        list(ebs.changed_blocks("snap-1", "snap-2"))


def test_blocks_of_another_size_are_refused(ebs: Ebs, server: ScriptedServer) -> None:
    """Rather than cut wrongly."""
    server.script = in_turn(page(0, BlockSize=4096))

    with pytest.raises(Permanent, match="4096"):
        list(ebs.blocks("snap-1"))


def test_an_answer_that_is_no_list_is_tried_again(ebs: Ebs, server: ScriptedServer) -> None:
    """A proxy's page with status 200 is no empty volume."""
    server.script = in_turn(Said(body=b"{}"), page(3))

    assert [one.index for each in ebs.blocks("snap-1") for one in each.blocks] == [3]


# --- writes ---


def test_a_block_is_written_with_its_checksum(ebs: Ebs, server: ScriptedServer) -> None:
    """AWS verifies the body against it; the signature leaves the body out."""
    server.script = in_turn(Said(201))

    ebs.write("snap-1", 5, DATA, block_id(DATA))

    asked = server.asked[0]
    assert (asked.method, asked.path, asked.body) == ("PUT", "/snapshots/snap-1/blocks/5", DATA)
    assert asked.headers["x-amz-checksum"] == SUM
    assert asked.headers["x-amz-checksum-algorithm"] == "SHA256"
    assert asked.headers["x-amz-data-length"] == str(BLOCK)
    assert asked.headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"


def test_a_snapshot_is_completed_with_count_and_linear_checksum(ebs: Ebs, server: ScriptedServer) -> None:
    """An empty one without a checksum."""
    server.script = in_turn(Said(202, b'{"Status": "pending"}'))
    linear = hashlib.sha256(b"ids").digest()

    assert ebs.complete("snap-1", 3, linear) == "pending"
    ebs.complete("snap-2", 0, None)

    full, empty = (asked.headers for asked in server.asked)
    assert full["x-amz-changedblockscount"] == "3"
    assert full["x-amz-checksum"] == base64.b64encode(linear).decode()
    assert full["x-amz-checksum-aggregation-method"] == "LINEAR"
    assert empty["x-amz-changedblockscount"] == "0"
    assert "x-amz-checksum" not in empty
    assert server.asked[0].path == "/snapshots/completion/snap-1"


def test_just_after_its_start_a_snapshot_may_not_exist_yet(ebs: Ebs, server: ScriptedServer, time: Time) -> None:
    """More attempts than a call has otherwise, for more than two minutes."""
    missing = refusal(404, "ResourceNotFoundException", "SNAPSHOT_NOT_FOUND")
    server.script = lambda _asked: missing if time.now < FRESH - 10 else Said(201)

    ebs.write("snap-1", 0, DATA, block_id(DATA))

    assert time.now >= FRESH - 10
    assert len(server.asked) > 4


def test_a_snapshot_that_never_comes_is_given_up(ebs: Ebs, server: ScriptedServer, time: Time) -> None:
    """After the time that AWS may need."""
    server.script = in_turn(refusal(404, "ResourceNotFoundException", "SNAPSHOT_NOT_FOUND"))

    with pytest.raises(NotFound):
        ebs.write("snap-1", 0, DATA, block_id(DATA))
    assert FRESH <= time.now < FRESH + 15


def test_a_snapshot_that_was_there_and_is_gone_is_gone(ebs: Ebs, server: ScriptedServer) -> None:
    """No waiting for what was deleted meanwhile."""
    server.script = in_turn(Said(201), refusal(404, "ResourceNotFoundException", "SNAPSHOT_NOT_FOUND"))
    ebs.write("snap-1", 0, DATA, block_id(DATA))

    with pytest.raises(NotFound):
        ebs.write("snap-1", 1, DATA, block_id(DATA))
    assert len(server.asked) == 2
