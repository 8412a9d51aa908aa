"""`daywork env` of a stack: what other programs need to look into it."""

from __future__ import annotations

from pathlib import Path

import pytest

from console.cli.entry import run

SETTINGS = """
broker_url = "redis://:secret@127.0.0.1:1/0"
control_bucket = "bucket"
report_queue = "https://sqs/queue"
state_dir = "{directory}"
database_url = "{database}"
"""


@pytest.mark.parametrize(
    ("database", "shown"),
    [
        ("", "{directory}/ledger.sqlite3"),
        (
            "postgresql+psycopg://daywork:secret@127.0.0.1:5/daywork?sslmode=disable",
            "postgresql://daywork:secret@127.0.0.1:5/daywork?sslmode=disable",
        ),
    ],
)
def test_the_ledgers_url_is_printed_as_its_own_tools_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], database: str, shown: str
) -> None:
    """For psql or sqlite3; nothing else is on stdout."""
    monkeypatch.setenv("DAYWORK_STATE_DIR", str(tmp_path))
    for name in ("DAYWORK_CONFIG", "DAYWORK_BROKER_URL", "DAYWORK_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "daywork.toml").write_text(SETTINGS.format(directory=tmp_path, database=database))

    code = run(["env", "--ledger"])

    assert code == 0
    assert capsys.readouterr().out.strip() == shown.format(directory=tmp_path)
