"""`daywork index`: what indexes hold, which index is asked, and what is said when there is none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.desk import REGISTRY, Desk
from support.indexing import FILE_SYSTEM, IndexBench

from agent.repository.errors import Refused
from console.indexes import Kept

ACCOUNT = FILE_SYSTEM.account


@pytest.fixture
def bench(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> IndexBench:
    """A file system, and the repository that its indexes are in."""
    bench = IndexBench(tmp_path / "mounted")

    def kept(_identities: Any, _repository: Any) -> list[Kept]:
        return [Kept(bench.chain, one, bench.repository) for one in bench.indexes()]

    (bench.root / "srv").mkdir()
    (bench.root / "srv" / "a\nb.txt").write_text("1")
    (bench.root / "srv" / "big.bin").write_bytes(bytes(5000))
    bench.index("ix-1")
    monkeypatch.setattr("console.indexes.kept_indexes", kept)
    return bench


def asked(desk: Desk, *arguments: str, code: int = 0) -> dict[str, Any]:
    """Run a command that must end with `code`; return its document."""
    said = desk.say("index", *arguments, "--output", "json")
    assert said.code == code, said.err
    found: dict[str, Any] = json.loads(said.out)
    return found


def test_a_search_asks_the_newest_index(desk: Desk, bench: IndexBench) -> None:
    """An older one on request; control characters come escaped."""
    (bench.root / "new.txt").touch()
    bench.index("ix-2", recovery_point="arn:aws:backup:eu-west-1:222222222222:recovery-point:1")

    newest = asked(desk, "search", "*.txt")
    oldest = asked(desk, "search", "*.txt", "--index", "ix-1")

    assert [one["path"] for one in newest["files"]] == ["/new.txt", "/srv/a\\x0ab.txt"]
    assert [one["path"] for one in oldest["files"]] == ["/srv/a\\x0ab.txt"]
    assert {one["index"] for one in newest["files"]} == {"ix-2"}
    assert newest["files"][0]["recoveryPoint"] == "arn:aws:backup:eu-west-1:222222222222:recovery-point:1"
    assert newest["isComplete"] is True


def test_a_search_says_when_there_is_more(desk: Desk, bench: IndexBench) -> None:
    """As many as were asked for, and that it is not all."""
    found = asked(desk, "search", "--limit", "2")

    assert len(found["files"]) == 2
    assert found["isComplete"] is False
    assert "more than 2" in desk.say("index", "search", "--limit", "2").err


def test_a_table_is_for_people(desk: Desk, bench: IndexBench) -> None:
    """Mode, owner, size, time, path."""
    said = desk.say("index", "search", "--larger", "4K")

    assert "/srv/big.bin" in said.out
    assert "a\\x0ab" not in said.out
    assert "ix-1" in desk.say("index", "list").out


def test_two_indexes_are_compared(desk: Desk, bench: IndexBench) -> None:
    """What has become of each path, with what it was and is."""
    (bench.root / "srv" / "big.bin").write_bytes(bytes(6000))
    bench.index("ix-2")

    (one,) = asked(desk, "diff", "ix-1", "ix-2")["differences"]

    assert (one["path"], one["change"]) == ("/srv/big.bin", "changed")
    assert (one["before"]["sizeBytes"], one["after"]["sizeBytes"]) == (5000, 6000)
    assert "/srv/big.bin" in desk.say("index", "diff", "ix-1", "ix-2").out


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("search", "x", "--index", "ix-9"), 7, "ix-9"),
        (("search", "x", "--file-system", "fs-00000000"), 7, "fs-00000000"),
        (("search", "x", "--account", "nobody"), 7, "nobody"),
        (("search", "x", "--larger", "many"), 2, "--larger"),
        (("search", "x", "--newer", "tomorrow"), 2, "--newer"),
        (("search", "x", "--kind", "door"), 2, "--kind"),
        (("diff", "ix-1", "ix-9"), 7, "ix-9"),
    ],
)
def test_what_cannot_be_asked_is_said(
    desk: Desk, bench: IndexBench, arguments: tuple[str, ...], code: int, word: str
) -> None:
    """With the field or name that is wrong."""
    said = desk.say("index", *arguments)

    assert (said.code, word in said.err) == (code, True), said.err


def test_a_repository_that_cannot_be_read_is_refused(
    desk: Desk, bench: IndexBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader's own reason and remedy."""

    def refuse(_identities: Any, _repository: Any) -> list[Kept]:
        raise Refused("the repository's role may not use idx", "Compare the role's policy")

    monkeypatch.setattr("console.indexes.kept_indexes", refuse)

    said = desk.say("index", "list")

    assert said.code == 8
    assert "may not use idx" in said.err


def test_without_an_opener_nothing_can_be_searched(desk: Desk) -> None:
    """The registry of this desk names none: the remedy says how to get one."""
    assert "opener" not in REGISTRY["repositories"][0]

    said = desk.say("index", "search", "x")

    assert said.code == 8
    assert "repository-opener" in said.err
