"""`daywork ledger`: made, migrated, copied to the bucket or a file, and restored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.desk import A, Desk, instances
from support.fakes.backups import FakeBackups

from orchestrator.ledger import marks


class Bucket:
    """The control bucket's side: copies, and the epoch of the ledger that it belongs to."""

    def __init__(self) -> None:
        self.copies = FakeBackups()
        self.kept_epoch: str | None = None

    def epoch(self) -> str | None:
        """See `orchestrator.ports.Orders`."""
        return self.kept_epoch


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A bucket that every command of this process finds."""
    made = Bucket()
    monkeypatch.setattr("orchestrator.bootstrap.make_backups", lambda *_: made.copies)
    monkeypatch.setattr("orchestrator.bootstrap.make_orders", lambda *_: made)
    return made


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function after which commands use a ledger that does not exist yet."""
    path = tmp_path / "other" / "ledger.sqlite3"
    return lambda: monkeypatch.setenv("DAYWORK_DATABASE_URL", f"sqlite:///{path}") or path


def test_a_ledger_goes_to_the_bucket_and_comes_back(desk: Desk, bucket: Bucket, elsewhere: Any) -> None:
    """Into an empty one; what to do next is told."""
    session = desk.session(*instances(3))

    made = desk.say("ledger", "backup", "-o", "json").document()
    again = desk.say("ledger", "backup", "-o", "json").document()
    listed = desk.say("ledger", "backups", "-o", "json").document()["backups"]
    elsewhere()
    restored = desk.say("ledger", "restore", "-o", "json")

    assert (made["isNew"], again["isNew"]) == (True, False)
    assert [one["name"] for one in listed] == [made["backup"]]
    assert listed[0]["sizeBytes"] > 0
    assert restored.code == 0
    assert restored.document()["rows"] == made["rows"]
    assert "sweep --adopt" in restored.err
    assert "repository import" in restored.err
    assert desk.say("session", "show", session, "-o", "json").document()["id"] == session
    assert [one["id"] for one in desk.say("account", "list", "-o", "json").document()["accounts"]][1] == A


def test_a_ledger_moves_through_a_file(desk: Desk, tmp_path: Path, elsewhere: Any) -> None:
    """That only its owner can read."""
    session = desk.session(*instances(1))
    path = tmp_path / "copy"

    desk.say("ledger", "backup", "--file", path)
    elsewhere()
    restored = desk.say("ledger", "restore", "--file", path)

    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(one.name for one in tmp_path.glob("copy*")) == ["copy"]
    assert restored.code == 0
    assert desk.say("session", "show", session).code == 0


def test_a_ledger_that_holds_something_is_not_overwritten(desk: Desk, bucket: Bucket) -> None:
    """Refused with the way out; the ledger is what it was."""
    session = desk.session(*instances(1))
    desk.say("ledger", "backup")

    said = desk.say("ledger", "restore", "-o", "json")

    assert said.code == 8
    problem = said.document()["error"]["problems"][0]
    assert "not empty" in problem["reason"]
    assert "aside" in problem["remedy"]
    assert desk.say("session", "show", session).code == 0


def test_a_new_ledger_does_not_push_out_the_copies_of_the_lost_one(desk: Desk, bucket: Bucket) -> None:
    """Refused; a file may be written all the same."""
    bucket.kept_epoch = str(marks.Epoch("another", 7))

    said = desk.say("ledger", "backup")

    assert said.code == 8
    assert "new or restored" in said.err
    assert bucket.copies.kept() == []


def test_copies_that_are_not_there_are_not_found(desk: Desk, bucket: Bucket, tmp_path: Path, elsewhere: Any) -> None:
    """By name, the newest, or a file."""
    elsewhere()

    named = desk.say("ledger", "restore", "20261123T020000Z-00000000.jsonl.zst")
    newest = desk.say("ledger", "restore")
    file = desk.say("ledger", "restore", "--file", tmp_path / "none")
    both = desk.say("ledger", "restore", "some", "--file", tmp_path / "none")

    assert (named.code, newest.code, file.code, both.code) == (7, 7, 2, 2)
    assert "20261123T020000Z" in named.err
    assert "no copy of the ledger" in newest.err
    assert "No such file" in file.err
    assert "no copy" in desk.say("ledger", "backups").err


def test_upgrade_makes_a_ledger_and_leaves_one_that_is_there(desk: Desk, elsewhere: Any) -> None:
    """With its folder; the second time it changes nothing."""
    path = elsewhere()

    first = desk.say("ledger", "upgrade", "-o", "json").document()
    second = desk.say("ledger", "upgrade", "-o", "json").document()

    assert first["before"] is None
    assert second["before"] == second["schema"] == first["schema"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert "already" in desk.say("ledger", "upgrade").err


def test_without_a_ledger_there_is_nothing_to_copy(desk: Desk, elsewhere: Any) -> None:
    """Looking makes no empty one."""
    path = elsewhere()

    said = desk.say("ledger", "backup")

    assert said.code == 9
    assert "no ledger here" in said.err
    assert not path.exists()
