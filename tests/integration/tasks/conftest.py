"""A Valkey server, a migrated ledger and a Celery worker with plain steps."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.servers import valkey, wait_for

from orchestrator.ledger import sessions
from orchestrator.ledger.migrate import upgrade
from orchestrator.model.status import SessionStatus

ROOT = Path(__file__).parents[3]


@dataclass
class Plain:
    """The app with plain steps, its environment and its Celery worker."""

    app: Any
    services: Any
    environment: dict[str, str]
    directory: Path
    valkey: subprocess.Popen[bytes]
    worker: subprocess.Popen[bytes] | None = None

    def start_worker(self) -> None:
        """Start the Celery worker."""
        command = [
            sys.executable, "-m", "celery", "-A", "support.plain_app:app", "worker", "-c", "2", "-E", "-l", "WARNING",
            "--without-gossip", "--without-mingle", "-Q", "daywork.steps,daywork.control,daywork.periodic",
        ]  # fmt: skip
        with (self.directory / "worker.log").open("ab") as log:
            self.worker = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self.environment,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )

    def kill_worker(self) -> None:
        """Kill the Celery worker and its children at once."""
        if self.worker is not None:
            os.killpg(self.worker.pid, signal.SIGKILL)
            self.worker.wait()
            self.worker = None

    def status(self, session: str) -> SessionStatus:
        """Return a session's status."""
        with self.services.ledger.read() as tx:
            return sessions.get(tx, session).status

    def wait_until_final(self, session: str, seconds: float = 60) -> SessionStatus:
        """Wait for a session's end."""
        wait_for(lambda: self.status(session).is_final, seconds=seconds)
        return self.status(session)


@pytest.fixture
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plain]:
    """Everything but the Celery worker, which the test starts when it likes."""
    with valkey(tmp_path) as (url, process):
        variables = {
            "DAYWORK_BROKER_URL": url,
            "DAYWORK_STATE_DIR": str(tmp_path),
            "DAYWORK_CONTROL_BUCKET": "none",
            "DAYWORK_REPORT_QUEUE": "none",
        }
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        sys.modules.pop("support.plain_app", None)
        from support.plain_app import app

        upgrade(app.services.ledger.engine)
        environment = {**os.environ, **variables, "PYTHONPATH": str(ROOT / "tests")}
        made = Plain(app=app, services=app.services, environment=environment, directory=tmp_path, valkey=process)
        yield made
        made.kill_worker()
        app.services.ledger.close()
        app.close()
