"""The record of a running stack."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from console.stack.layout import Layout
from console.stack.processes import Process
from console.stack.record import SUPERVISOR, Entry, Record


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """An empty state directory."""
    return Layout(tmp_path)


def me() -> Process:
    """Return the process that runs the test."""
    found = Process.find(os.getpid())
    assert found is not None
    return found


def test_a_record_is_read_as_it_was_written(layout: Layout) -> None:
    """Processes with their start, addresses by name; for the owner's eyes."""
    written = Record(
        entries=[
            Entry(name=SUPERVISOR, process=me(), log=layout.logs / "supervisor.log"),
            Entry(name="beat", process=Process(me().pid, 1), log=layout.logs / "beat.log"),
        ],
        addresses={"cloud": "http://127.0.0.1:1"},
    )

    written.write(layout)
    read = Record.read(layout)

    assert read == written
    assert read.supervisor == me()
    assert [one.name for one in read.alive] == [SUPERVISOR]
    assert layout.record.stat().st_mode & 0o777 == 0o600
    document = json.loads(layout.record.read_text())
    assert document["processes"][0] == {
        "name": SUPERVISOR,
        "pid": os.getpid(),
        "startTime": me().started,
        "log": str(layout.logs / "supervisor.log"),
    }


@pytest.mark.parametrize("text", ["", "{", "[]", '{"bootId": "x"}', '{"processes": []}'])
def test_a_broken_record_names_nobody(layout: Layout, text: str) -> None:
    """Whatever stands there, no process is taken for one of ours."""
    layout.record.write_text(text)

    assert Record.read(layout) == Record()


def test_a_record_from_before_a_boot_names_nobody(layout: Layout) -> None:
    """Ids and starts begin anew with the machine: they would be strangers'."""
    Record(entries=[Entry(name=SUPERVISOR, process=me(), log=layout.logs)]).write(layout)
    document = json.loads(layout.record.read_text())
    layout.record.write_text(json.dumps({**document, "bootId": "another"}))

    assert Record.read(layout).supervisor is None


def test_no_record_is_an_empty_one(layout: Layout) -> None:
    """A directory in which nothing was ever started."""
    assert Record.read(layout) == Record()
