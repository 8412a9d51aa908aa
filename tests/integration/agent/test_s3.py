"""What the repository's store sends to S3, and how it reads S3's answers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from botocore.session import Session
from support.scripted_http import Asked, Said, ScriptedServer, scripted_server

from agent.aws import Access
from agent.crew import Cancelled
from agent.repository.errors import Damaged, Exists, Missing, Refused
from agent.repository.objects import Objects
from agent.repository.s3 import open_s3

DENIED = b"<Error><Code>AccessDenied</Code></Error>"


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A server that plays S3 and is content with everything."""
    with scripted_server() as made:
        made.script = lambda _asked: Said(headers={"ETag": '"1"'})
        yield made


@pytest.fixture
def objects(server: ScriptedServer) -> Objects:
    """A store with a prefix, and keys that must not show anywhere."""
    session = Session()
    session.set_credentials("AKIDTEST", "canary-secret", "canary-token")
    return open_s3("s3://bucket/some/prefix", Access(session=session, region="eu-west-1", endpoint_url=server.url))


def test_every_write_carries_a_checksum_and_no_hash_of_its_body(objects: Objects, server: ScriptedServer) -> None:
    """S3 verifies the checksum, and demands one where the bucket has Object Lock."""
    objects.put("packs/aa/bb", b"content")

    asked = server.asked[0]
    assert (asked.method, asked.path, asked.body) == ("PUT", "/bucket/some/prefix/packs/aa/bb", b"content")
    assert asked.headers["x-amz-checksum-crc64nvme"]
    assert asked.headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"
    assert asked.headers["x-amz-security-token"] == "canary-token"
    assert asked.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDTEST/")
    assert "if-none-match" not in asked.headers


def test_a_large_object_is_one_call(objects: Objects, server: ScriptedServer) -> None:
    """No multipart upload is left behind by a worker that dies."""
    objects.put("packs/aa/bb", bytes(17 * 1024 * 1024))

    assert [asked.method for asked in server.asked] == ["PUT"]


def test_a_create_is_conditional(objects: Objects, server: ScriptedServer) -> None:
    """S3 refuses it when the object is there."""
    objects.create("rp/one", b"content")

    assert server.asked[0].headers["if-none-match"] == "*"


def test_a_create_whose_answer_was_lost_finds_its_own_object(objects: Objects, server: ScriptedServer) -> None:
    """The repetition is refused; the bytes that are there tell whose they are."""
    stored: list[bytes] = []

    def script(asked: Asked) -> Said:
        if asked.method == "GET":
            return Said(body=stored[0], headers={"ETag": '"1"', "Last-Modified": "Mon, 23 Nov 2026 02:00:00 GMT"})
        if not stored:
            stored.append(asked.body)
            return Said(500)
        return Said(412, b"<Error><Code>PreconditionFailed</Code></Error>")

    server.script = script

    objects.create("rp/one", b"mine")
    with pytest.raises(Exists, match="rp/one"):
        objects.create("rp/one", b"another's")


def test_a_missing_object_may_look_like_a_refusal(objects: Objects, server: ScriptedServer) -> None:
    """S3 says 403 to a role that may list only a prefix; the list of that prefix tells the truth."""
    listing = b"<ListBucketResult><KeyCount>1</KeyCount>%s</ListBucketResult>"
    there = (
        b"<Contents><Key>some/prefix/rp/there</Key><LastModified>2026-11-23T02:00:00.000Z</LastModified>"
        b"<ETag>1</ETag><Size>1</Size></Contents>"
    )
    server.script = lambda asked: Said(body=listing % there) if "list-type=2" in asked.path else Said(403, DENIED)

    with pytest.raises(Missing, match="rp/gone"):
        objects.get("rp/gone")
    with pytest.raises(Refused, match="rp/there") as caught:
        objects.get("rp/there")
    assert "canary" not in str(caught.value)
    assert {asked.path.split("prefix=")[1] for asked in server.asked if "list-type" in asked.path} == {
        "some%2Fprefix%2Frp%2F"
    }


def test_a_server_fault_is_tried_again(objects: Objects, server: ScriptedServer) -> None:
    """By the store itself, which is the one layer that retries."""
    left = [Said(503), Said(headers={"ETag": '"1"'})]
    server.script = lambda _asked: left.pop(0)

    objects.put("packs/aa/bb", b"content")

    assert len(server.asked) == 2


def test_credentials_are_taken_anew_from_the_role(objects: Objects, server: ScriptedServer) -> None:
    """What the environment says about credentials or endpoints does not matter."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "AKIDOTHER")
        patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        session = Session()
        session.set_credentials("AKIDTEST", "canary-secret")
        access = Access(session=session, region="eu-west-1", endpoint_url=server.url)
        open_s3("s3://bucket/x", access).put("a", b"1")

    assert "Credential=AKIDTEST/" in server.asked[0].headers["authorization"]


def test_an_object_that_comes_in_parts_states_its_class_once(objects: Objects, server: ScriptedServer) -> None:
    """Parts carry checksums; there is no object before the last one."""

    def script(asked: Asked) -> Said:
        if "uploads" in asked.path:
            return Said(body=b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
        if asked.method == "POST":
            return Said(body=b"<CompleteMultipartUploadResult><ETag>1</ETag></CompleteMultipartUploadResult>")
        return Said(headers={"ETag": '"1"'})

    server.script = script

    objects.put_parts("packs/aa/bb", iter([bytes(3), bytes(4)] * 2), storage_class="DEEP_ARCHIVE", part=5)

    begun, *parts, ended = server.asked
    assert begun.headers["x-amz-storage-class"] == "DEEP_ARCHIVE"
    assert begun.headers["x-amz-checksum-algorithm"] == "CRC64NVME"
    assert sorted(len(one.body) for one in parts) == [4, 5, 5]
    assert all(one.headers["x-amz-checksum-crc64nvme"] for one in parts)
    assert ended.method == "POST"
    assert b"<PartNumber>3</PartNumber>" in ended.body


def test_parts_that_end_early_are_given_up(objects: Objects, server: ScriptedServer) -> None:
    """What made them raises, and S3 is told to forget the parts."""
    answer = b"<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
    server.script = lambda asked: Said(body=answer if "uploads" in asked.path else b"", headers={"ETag": '"1"'})

    def parts() -> Iterator[bytes]:
        yield bytes(5)
        yield bytes(5)
        raise Cancelled

    with pytest.raises(Cancelled):
        objects.put_parts("packs/aa/bb", parts(), storage_class="GLACIER", part=5)

    assert server.asked[-1].method == "DELETE"
    assert "uploadId=u" in server.asked[-1].path


def test_an_object_that_is_not_retrieved_is_told_from_a_refusal(objects: Objects, server: ScriptedServer) -> None:
    """S3 says 403 to both."""
    server.script = lambda _asked: Said(403, b"<Error><Code>InvalidObjectState</Code></Error>")

    with pytest.raises(Refused, match="packs/aa/bb is in an archive storage class and not retrieved") as caught:
        objects.get("packs/aa/bb")
    assert caught.value.remedy == "Start the restore again: it retrieves first"


@pytest.mark.parametrize("start", [5, 40], ids=["ends inside of a part", "ends before a part"])
def test_an_object_that_is_too_short_for_what_points_into_it_is_damaged(
    objects: Objects, server: ScriptedServer, start: int
) -> None:
    """Named as that, not as a store that does not answer: S3 gives less, or says that there is no such range."""
    body = b"0123456789"

    def script(asked: Asked) -> Said:
        headers = {"ETag": '"1"', "Last-Modified": "Mon, 23 Nov 2026 02:00:00 GMT"}
        if asked.method == "HEAD":
            return Said(200, body, headers)
        first, last = (int(one) for one in asked.headers["range"].removeprefix("bytes=").split("-"))
        if first >= len(body):
            return Said(416, b"<Error><Code>InvalidRange</Code></Error>")
        part = body[first : last + 1]
        return Said(206, part, headers | {"Content-Range": f"bytes {first}-{first + len(part) - 1}/{len(body)}"})

    server.script = script

    assert objects.get_ranges("map/one", [2, 4], [2, 3]) == [b"23", b"456"]
    with pytest.raises(Damaged, match="map/one is damaged: it has 10 bytes and should have"):
        objects.get_ranges("map/one", [2, start], [2, 20])
