"""Looking into restore points and taking files out, on this machine and through a session's worker."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.desk import Desk
from support.images import area, stored, unpacked

from agent.files.errors import NotThere
from agent.files.opening import open_all
from agent.protocol import Ask, answer_key, ask_key
from console import images
from console.browsing import Browser, NoAnswer

USER = "AROA:i-1"


@pytest.fixture
def point(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A restore point whose one volume holds a FAT file system."""

    def open_image(_identities: object, _repository: object, _point: object, volumes: Any = ()) -> Any:
        if volumes and volumes[0] != "vol-1":
            raise NotThere(f"the point holds no volume {volumes[0]}", "It holds vol-1")
        return open_all([area(stored("fat16").source)])

    monkeypatch.setattr(images, "open_image", open_image)
    return desk.point()


def test_file_systems_directories_and_searches_are_shown(desk: Desk, point: str) -> None:
    """As tables for people, as documents for programs."""
    systems = desk.say("restore-point", "files", point)
    listing = desk.say("restore-point", "files", point, "/deep/er/and/deeper")
    found = desk.say("restore-point", "files", point, "--search", "file-00?5", "--larger", "10", "-o", "json")

    assert (systems.code, listing.code, found.code) == (0, 0, 0)
    assert "fat16" in systems.out
    assert "-0644" in listing.out
    assert "/deep/er/and/deeper/file" in listing.out
    assert sorted(one["path"] for one in found.document()["files"]) == [f"/many/file-00{n}5" for n in range(10)]


def test_more_than_was_asked_for_is_said(desk: Desk, point: str) -> None:
    """Not shown as if it were all."""
    table = desk.say("restore-point", "files", point, "/many", "--limit", "3")

    assert len(table.out.splitlines()) == 4
    assert "more than 3" in table.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("files", "POINT", "--larger", "big"), 2, "--larger"),
        (("files", "POINT", "--newer", "yesterday"), 2, "--newer"),
        (("files", "POINT", "/nowhere"), 7, "/nowhere"),
        (("files", "POINT", "/a/../b"), 8, "'..'"),
        (("files", "POINT", "--volume", "vol-9"), 7, "vol-9"),
        (("files", "rp-none"), 7, "rp-none"),
        (("extract", "POINT", "/deep"), 2, "--to"),
        (("extract", "POINT", "/deep", "--archive", "-", "-o", "json"), 2, "--archive"),
    ],
)
def test_what_cannot_be_is_said_with_its_name(
    desk: Desk, point: str, arguments: tuple[str, ...], code: int, words: str
) -> None:
    """And nothing is written."""
    said = desk.say("restore-point", *(point if one == "POINT" else one for one in arguments))

    assert (said.code, words in said.err) == (code, True), said.err


def test_files_are_taken_out_once_and_overwrite_nothing(desk: Desk, point: str, tmp_path: Path) -> None:
    """Into a directory or an archive; a second time what is there stays."""
    archive, tree = tmp_path / "files.tar", tmp_path / "tree"

    first = desk.say("restore-point", "extract", point, "/deep", "/plain.txt", "--archive", archive, "-o", "json")
    again = desk.say("restore-point", "extract", point, "/deep", "--archive", archive)
    both = [desk.say("restore-point", "extract", point, "/plain.txt", "--to", tree) for _ in range(2)]

    assert (first.code, first.document()["files"], first.document()["problemCount"]) == (0, 2, 0)
    assert b"/deep/er/and/deeper/file" in unpacked(archive.read_bytes())
    assert again.code == 2
    assert [one.code for one in both] == [0, 3]
    assert "/plain.txt" in both[1].err
    assert (tree / "plain.txt").read_bytes() == b"hello\n"


def test_a_repository_without_an_opener_says_how_to_get_one(desk: Desk) -> None:
    """And what can be done instead."""
    said = desk.say("restore-point", "files", desk.point())

    assert said.code == 8
    assert "repository-opener" in said.err
    assert "ec2-restore-files" in said.err


# --- through a session --------------------------------------------------------------------------------------------


class Bucket:
    """A bucket as far as a browser uses it; `answering` answers what is asked."""

    def __init__(self) -> None:
        """Begin empty."""
        self.objects: dict[str, bytes] = {}
        self.answering: dict[str, Any] | None = {"files": []}

    def put_object(self, *, Key: str, Body: bytes, **_more: Any) -> None:  # noqa: N803 - boto3's names
        """Write a new object, and its answer."""
        if Key in self.objects:
            raise ClientError({"Error": {"Code": "PreconditionFailed"}}, "PutObject")
        self.objects[Key] = Body
        number = int(Key.rpartition("/")[2].removesuffix(".json"))
        if self.answering is not None:
            self.objects[answer_key("s-1", USER, number)] = json.dumps({"number": number, **self.answering}).encode()

    def get_object(self, *, Key: str, **_more: Any) -> dict[str, Any]:  # noqa: N803 - boto3's names
        """Read an object."""
        if Key not in self.objects:
            raise ClientError(
                {"Error": {"Code": "NoSuchKey"}, "ResponseMetadata": {"HTTPStatusCode": 404}}, "GetObject"
            )
        return {"Body": io.BytesIO(self.objects[Key])}

    def get_paginator(self, _name: str) -> Any:
        """Return itself: there is one page."""
        return self

    def paginate(self, *, Prefix: str, **_more: Any) -> list[dict[str, Any]]:  # noqa: N803 - boto3's names
        """List objects."""
        return [{"Contents": [{"Key": key} for key in sorted(self.objects) if key.startswith(Prefix)]}]


def test_requests_are_numbered_whoever_asks() -> None:
    """Two that ask at the same time get numbers of their own, and their own answers."""
    bucket = Bucket()
    one, two = (Browser(bucket, "control", "s-1", USER) for _ in range(2))

    answers = [each.ask(Ask(what="list"), 5)["number"] for each in (one, two, one)]
    bucket.objects[ask_key("s-1", USER, 4)] = b"of somebody else"
    bucket.paginate = lambda **_more: [{}]  # type: ignore[method-assign]  # the list is older than what is there
    late = two.ask(Ask(what="systems"), 5)["number"]

    assert (answers, late) == ([1, 2, 3], 5)


def test_a_worker_that_does_not_answer_is_not_waited_for_forever() -> None:
    """The request stays: its answer may come."""
    bucket = Bucket()
    bucket.answering = None

    with pytest.raises(NoAnswer, match="request 1"):
        Browser(bucket, "control", "s-1", USER).ask(Ask(what="systems"), 0.01)

    assert list(bucket.objects) == [ask_key("s-1", USER, 1)]


def test_only_a_session_that_browses_can_be_asked(desk: Desk) -> None:
    """One of another operation, one without a worker yet, one that has ended."""
    backup = desk.session("i-0a1b2c3d4e5f60718")
    files = desk.session("rp-01JD8ZQWB2M3N4P5Q6R7S8T9VX", operation="ec2-restore-files")
    desk.begin(files)

    answers = [desk.say("session", "browse", one) for one in (backup, files)]

    assert [one.code for one in answers] == [8, 8]
    assert "restores no files" in answers[0].err
    assert "not ready yet" in answers[1].err
