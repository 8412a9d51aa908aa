"""The store under a repository behaves alike in memory and in a directory."""

from __future__ import annotations

from pathlib import Path

import pytest
from obstore.exceptions import PermissionDeniedError
from obstore.store import LocalStore, MemoryStore

from agent.repository.errors import Exists, Missing, Refused, Unreachable
from agent.repository.objects import Entry, Objects


@pytest.fixture(params=["memory", "directory"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    """A store of each kind."""
    return Objects(MemoryStore() if request.param == "memory" else LocalStore(tmp_path))


def test_what_was_put_is_read_whole_and_in_parts(objects: Objects) -> None:
    """From the front, from the end, and in several pieces."""
    objects.put("a/b", b"0123456789")

    assert bytes(objects.get("a/b")) == b"0123456789"
    assert bytes(objects.get_range("a/b", 2, 3)) == b"234"
    assert bytes(objects.get_end("a/b", 4)) == b"6789"
    assert [bytes(part) for part in objects.get_ranges("a/b", [7, 0], [2, 1])] == [b"78", b"0"]


def test_what_is_not_there_is_missing(objects: Objects) -> None:
    """Reading says so by the key; deleting is content."""
    for read in (objects.get, lambda key: objects.get_range(key, 0, 1), lambda key: objects.get_end(key, 1)):
        with pytest.raises(Missing, match="not/there"):
            read("not/there")

    objects.delete("not/there")


def test_an_object_is_created_once(objects: Objects) -> None:
    """Another's object is not overwritten; one's own, written again because its answer was lost, is."""
    objects.create("a", b"mine")

    objects.create("a", b"mine")
    with pytest.raises(Exists, match="a is in the repository already"):
        objects.create("a", b"another's")
    assert bytes(objects.get("a")) == b"mine"


def test_listing_is_by_whole_parts_of_the_key_and_in_order(objects: Objects) -> None:
    """`rp/i-1` does not list `rp/i-10`."""
    for key in ("rp/i-1/b", "rp/i-1/a", "rp/i-10/c", "other"):
        objects.put(key, key.encode())

    assert list(objects.list("rp/i-1")) == [Entry(key="rp/i-1/a", size=8), Entry(key="rp/i-1/b", size=8)]
    assert [entry.key for entry in objects.list("rp")] == ["rp/i-1/a", "rp/i-1/b", "rp/i-10/c"]
    assert list(objects.list("nothing")) == []


def test_deleting_removes(objects: Objects) -> None:
    """And may be done twice."""
    objects.put("a", b"1")

    objects.delete("a")
    objects.delete("a")

    assert list(objects.list("a")) == []


def test_a_refusal_for_an_object_that_is_not_listed_means_missing(objects: Objects) -> None:
    """S3 answers 403 for a missing object when the role may list only a prefix; the list tells which it is."""
    objects.put("folder/there", b"1")

    with pytest.raises(Missing, match="folder/gone"), objects._reading("folder/gone"):
        raise PermissionDeniedError
    with pytest.raises(Refused, match="folder/there"), objects._reading("folder/there"):
        raise PermissionDeniedError
    with pytest.raises(Refused, match="folder/new"), objects._writing("folder/new"):
        raise PermissionDeniedError


def test_a_store_that_does_not_answer_is_unreachable() -> None:
    """Without telling more than the kind of error."""

    class Away(MemoryStore):
        pass

    objects = Objects(Away())

    with pytest.raises(Unreachable, match="did not answer"), objects._reading("a"):
        raise OSError("secret-looking text")
