"""The embedded PostgreSQL's data folder: which programs it needs, and what a killed server leaves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from console.stack import postgres
from console.stack.layout import Layout
from console.stack.plan import LedgerKind, Ports, make_plan


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A state directory."""
    made = Layout(tmp_path / "state")
    made.root.mkdir()
    return made


def test_data_is_opened_by_the_version_that_made_it_alone(layout: Layout) -> None:
    """One that is not installed is refused before anything starts, with the way out."""
    layout.postgres_data.mkdir(parents=True)
    (layout.postgres_data / "PG_VERSION").write_text("9\n")

    with pytest.raises(postgres.Unusable, match="made by PostgreSQL 9") as caught:
        postgres.check(layout)

    assert "daywork ledger backup --file" in str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
def test_root_is_told_when_nobody_may_enter(layout: Layout) -> None:
    """PostgreSQL does not run as root, and another user must be able to get to its data."""
    layout.root.parent.chmod(0o700)

    with pytest.raises(postgres.Unusable, match="cannot enter"):
        postgres.check(layout)


def test_the_note_of_a_killed_server_goes_when_its_number_is_somebody_elses(layout: Layout) -> None:
    """PostgreSQL itself would take any living process of that number for a server."""
    layout.postgres_data.mkdir(parents=True)
    note = layout.postgres_data / "postmaster.pid"
    postgres.forget_dead_server(layout.postgres_data)
    note.write_text(f"{os.getpid()}\nelse\n")

    postgres.forget_dead_server(layout.postgres_data)

    assert not note.exists()


def test_the_callers_own_postgresql_settings_do_not_reach_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PGDATA, PGPORT and the like name other servers."""
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGDATA", "/nowhere")
    shown = "import os; print(sorted(one for one in os.environ if one.startswith('PG')))"

    command = [sys.executable, "-c", shown]
    code = f"from console.stack import postgres as it; it.server_user = lambda: None; it.become({command!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)

    assert done.stdout.strip() == "[]"


def test_a_server_starts_with_a_password_of_its_own(layout: Layout) -> None:
    """Its command names no secret; the file that `initdb` reads it from is gone afterwards."""
    plan = make_plan(
        layout,
        Ports(flower=0),
        ledger=LedgerKind.POSTGRES,
        concurrency=1,
        worker_boot=0,
        worker_shutdown=0,
        profile_delay=0,
    )

    shown = postgres.command(Path("/programs"), layout.postgres_data, plan.ledger_port)

    assert shown[0] == "/programs/bin/postgres"
    assert "--listen_addresses=127.0.0.1" in shown
    assert plan.ledger_password not in " ".join(shown)
