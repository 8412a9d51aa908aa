"""What lies where in a state directory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

#: The state directory when nobody names one: in the folder where the command is given.
DEFAULT = Path(".daywork")


@dataclass(frozen=True)
class Layout:
    """The paths below one state directory. Only its owner may read any of it."""

    root: Path

    @classmethod
    def of(cls, named: Path | None = None, environ: Mapping[str, str] = os.environ) -> Layout:
        """Return the layout of the directory named, or of `DAYWORK_STATE_DIR`, or of `.daywork` here."""
        return cls((named or Path(environ.get("DAYWORK_STATE_DIR") or DEFAULT)).resolve())

    @property
    def settings(self) -> Path:
        """The settings of this stack, as TOML."""
        return self.root / "daywork.toml"

    @property
    def environment(self) -> Path:
        """The `AWS_*` variables of the control plane, as JSON."""
        return self.root / "env.json"

    @property
    def record(self) -> Path:
        """Which processes run and where they listen."""
        return self.root / "stack.json"

    @property
    def lock(self) -> Path:
        """Held by the supervisor as long as it lives."""
        return self.root / "lock"

    @property
    def credentials(self) -> Path:
        """The control plane's key for the embedded cloud, in AWS's own file format."""
        return self.root / "credentials"

    @property
    def external_ids(self) -> Path:
        """One file for each account of the embedded cloud."""
        return self.root / "external-ids"

    @property
    def logs(self) -> Path:
        """One file for each process."""
        return self.root / "logs"

    @property
    def cloud(self) -> Path:
        """What the embedded cloud keeps on disk: volumes, consoles, its admin token."""
        return self.root / "cloud"

    @property
    def valkey(self) -> Path:
        """The broker's append-only file and its configuration."""
        return self.root / "valkey"

    @property
    def valkey_config(self) -> Path:
        """The broker's configuration: it holds the password."""
        return self.valkey / "valkey.conf"

    @property
    def postgres(self) -> Path:
        """What belongs to an embedded PostgreSQL."""
        return self.root / "postgres"

    @property
    def postgres_data(self) -> Path:
        """Its data folder."""
        return self.postgres / "data"

    @property
    def postgres_password(self) -> Path:
        """The password of its one user; kept apart from the settings, which may come to name another database."""
        return self.postgres / "password"

    @property
    def aws_config(self) -> Path:
        """An empty AWS configuration: the one of the machine's user must not be read."""
        return self.root / "aws-config"
