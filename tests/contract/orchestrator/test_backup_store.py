"""The promises of `orchestrator.backup_store.BackupStore`."""

from __future__ import annotations

import hashlib
import io

import pytest
from support.labs import Lab

from orchestrator.backup_store import BackupStore
from orchestrator.errors import Missing, WrongRequest


def put(store: BackupStore, name: str, body: bytes, *, content: str = "rows") -> None:
    """Keep a copy; the file stands at its end, as after it was written."""
    file = io.BytesIO(body)
    file.seek(0, io.SEEK_END)
    store.put(name, file, sha256=hashlib.sha256(body).hexdigest(), content=content)


def test_copies_are_listed_newest_first_and_come_back_as_they_were(lab: Lab) -> None:
    """With their sizes and what was said of their rows; the newest is the one of the greatest name."""
    store = lab.backups()
    for number in (2, 1, 3):
        put(store, f"2026110{number}T000000Z-a.jsonl.zst", b"x" * number, content=f"rows {number}")

    kept = store.kept()

    assert [one.name[:8] for one in kept] == ["20261103", "20261102", "20261101"]
    assert [one.size for one in kept] == [3, 2, 1]
    assert store.content(kept[1].name) == "rows 2"
    file = io.BytesIO()
    store.fetch(kept[0].name, file)
    assert file.read() == b"xxx"
    for one in kept:
        store.absent(one.name)


def test_what_is_not_there_is_missing_and_may_be_removed(lab: Lab) -> None:
    """Gone already is a success."""
    store = lab.backups()

    store.absent("nothing")

    assert store.content("nothing") is None
    with pytest.raises(Missing):
        store.fetch("nothing", io.BytesIO())


def test_other_bytes_than_those_that_were_put_are_refused(lab: Lab) -> None:
    """Whoever changed them."""
    store, name = lab.backups(), "20261104T000000Z-b.jsonl.zst"
    put(store, name, b"a ledger")
    lab.spoil_backup(name)

    with pytest.raises(WrongRequest, match="damaged"):
        store.fetch(name, io.BytesIO())
    store.absent(name)
