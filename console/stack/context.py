"""How every command finds its settings: from the environment, or from the state directory of a running stack.

    DAYWORK_CONFIG is set, or DAYWORK_BROKER_URL is      the environment alone says what to use
    <DAYWORK_STATE_DIR or .daywork>/daywork.toml exists  that file, with DAYWORK_* variables above it
    neither                                              `SettingsError`, which names what is missing

Beside the settings of an embedded stack lies `env.json`: the AWS variables of the control plane. They replace every AWS
variable of the caller, whose shell may well hold those of another account (`daywork env` puts them there).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from config.settings import Settings, SettingsError, load_settings
from console.stack.layout import Layout

if TYPE_CHECKING:
    from orchestrator.ledger.store import Ledger
    from orchestrator.services import Services

_AWS = "AWS_"


@dataclass(frozen=True)
class Context:
    """Settings, and the AWS variables that belong to them (none outside an embedded stack)."""

    settings: Settings
    environment: Mapping[str, str]

    def enter(self) -> None:
        """Make the control plane's AWS variables those of this process. May be called again."""
        if self.environment:
            for name in [name for name in os.environ if name.startswith(_AWS)]:
                del os.environ[name]
            os.environ.update(self.environment)
            _keep_from_proxies()

    def ledger(self) -> Ledger:
        """Open the ledger alone: quicker than `services` for whoever only reads."""
        from orchestrator.bootstrap import make_ledger

        return make_ledger(self.settings)

    def services(self) -> Services:
        """Return the services, made at first use, with a dispatch that publishes to Celery."""
        return self._services

    @cached_property
    def _services(self) -> Services:
        from tasks.app import make_app

        self.enter()
        return make_app(self.settings).services


def load() -> Context:
    """Find the settings of this command. Raises `SettingsError` that names every mistake and where it looked."""
    configured = os.environ.get("DAYWORK_CONFIG")
    layout = Layout.of()
    if configured is not None:
        layout = Layout(Path(configured).resolve().parent)
    elif "DAYWORK_BROKER_URL" in os.environ:
        return Context(settings=load_settings(), environment={})
    elif not layout.settings.exists():
        raise SettingsError(
            f"no stack was ever started in {layout.root} and DAYWORK_CONFIG is not set. Start one with `daywork up`, "
            "name its directory in DAYWORK_STATE_DIR, or name a settings file in DAYWORK_CONFIG"
        )
    return Context(settings=load_settings(default=layout.settings), environment=_environment(layout.environment))


def _environment(path: Path) -> dict[str, str]:
    try:
        document = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: {error}. `daywork up` writes it anew") from None
    return {str(name): str(value) for name, value in document.items()}


def _keep_from_proxies() -> None:
    """Have the embedded cloud asked directly, also where everything else goes through a proxy."""
    for name in ("NO_PROXY", "no_proxy"):
        kept = os.environ.get(name, "")
        if "127.0.0.1" not in kept.split(","):
            os.environ[name] = f"{kept},127.0.0.1".lstrip(",")
