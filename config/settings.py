"""Settings: environment variables `DAYWORK_*`, or a TOML file named by `DAYWORK_CONFIG`. Read once, validated whole."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field, SecretStr, StringConstraints, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class SettingsError(ValueError):
    """One or more settings are wrong; the message lists all of them with the variable's name."""


Seconds = Annotated[float, Field(gt=0)]


class Settings(BaseSettings):
    """All settings. Durations are in seconds."""

    model_config = SettingsConfigDict(env_prefix="DAYWORK_", extra="ignore")

    install_id: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,23}$")] = "local"
    state_dir: Path = Path(".daywork")
    cloud: Literal["embedded", "aws"] = "aws"
    database_url: str = ""
    broker_url: str
    result_url: str = ""
    control_bucket: str
    control_region: str = "eu-west-1"
    report_queue: str
    home_account: str = ""
    permissions_boundary: str | None = None
    worker_image: str | None = None
    agent_url: str = ""
    agent_sha256: str = ""
    session_workers: Annotated[int, Field(ge=1)] | None = None
    gather_seconds: Annotated[float, Field(ge=0, lt=1)] = 0.3
    archive_pack_mib: Annotated[int, Field(ge=1, le=5120)] = 512
    retrieval_days: Annotated[int, Field(ge=1, le=365)] = 3
    retrieval_seconds: Seconds = 60 * 3600
    browse_seconds: Seconds = 30 * 60
    garbage_seconds: Annotated[int, Field(ge=0, le=365 * 24 * 3600)] = 24 * 3600
    collection_seconds: Annotated[int, Field(ge=0, le=365 * 24 * 3600)] = 3600
    source_seconds: Seconds = 12 * 3600
    queue_seconds: Seconds = 24 * 3600
    launch_seconds: Seconds = 30 * 60
    boot_seconds: Seconds = 5 * 60
    heartbeat_seconds: Seconds = 2 * 60
    report_seconds: Seconds = 20
    silence_seconds: Seconds = 30 * 60
    job_seconds: Seconds = 24 * 3600
    stop_seconds: Seconds = 2 * 60
    removal_seconds: Seconds = 30 * 60
    visible_seconds: Seconds = 2 * 60
    watch_seconds: Seconds = 2
    reconcile_seconds: Seconds = 5
    sweep_seconds: Seconds = 120
    backup_seconds: Seconds = 15 * 60
    backups_kept: Annotated[int, Field(ge=1)] = 24
    log_format: Literal["json", "console"] = "console"
    flower_address: str = "127.0.0.1"
    flower_port: Annotated[int, Field(ge=0, le=65535)] = 5555
    flower_basic_auth: SecretStr | None = None
    flower_url_prefix: str = ""

    @property
    def ledger_url(self) -> str:
        """The ledger's database: SQLite in the state directory unless another one is named."""
        return self.database_url or f"sqlite:///{self.state_dir.resolve() / 'ledger.sqlite3'}"

    def shown(self) -> dict[str, str]:
        """Return the settings for people: passwords in URLs are hidden."""
        return {name: _hide(str(value)) for name, value in self.model_dump(mode="json").items()}


def load_settings(default: Path | None = None) -> Settings:
    """Read the settings; `default` is the file to read when `DAYWORK_CONFIG` names none.

    Raises `SettingsError` that names every mistake.
    """
    values: dict[str, object] = {}
    if path := os.environ.get("DAYWORK_CONFIG") or default:
        try:
            values = tomllib.loads(Path(path).read_text())
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise SettingsError(f"DAYWORK_CONFIG {path}: {error}") from None
        for name in list(values):
            if f"DAYWORK_{name.upper()}" in os.environ:
                del values[name]
    return make_settings(values)


def make_settings(values: Mapping[str, object]) -> Settings:
    """Make settings of values by name; what they do not name comes from `DAYWORK_*` variables.

    Raises `SettingsError` that names every mistake.
    """
    try:
        return Settings(**values)  # type: ignore[arg-type]
    except ValidationError as error:
        lines = [
            f"DAYWORK_{'_'.join(str(part) for part in item['loc']).upper()}: {item['msg']}" for item in error.errors()
        ]
        raise SettingsError("; ".join(lines)) from None


def _hide(value: str) -> str:
    parts = urlsplit(value) if "://" in value else None
    if parts is None or parts.password is None:
        return value
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:***@{host}{port}"))
