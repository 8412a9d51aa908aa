"""How a command finds its settings."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.settings import SettingsError
from console.stack import context

TOML = """
broker_url = "redis://127.0.0.1:1/0"
control_bucket = "control"
report_queue = "queue"
cloud = "embedded"
boot_seconds = 7
"""


@pytest.fixture
def restored() -> Iterator[None]:
    """Give the process its own environment back, whatever a test made of it."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def state(tmp_path: Path, restored: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory that `up` has written, and an environment without settings."""
    for name in list(os.environ):
        if name.startswith(("DAYWORK_", "AWS_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    state = tmp_path / ".daywork"
    state.mkdir()
    (state / "daywork.toml").write_text(TOML)
    (state / "env.json").write_text(json.dumps({"AWS_ENDPOINT_URL": "http://127.0.0.1:2", "AWS_REGION": "eu-west-1"}))
    return state


def test_the_state_directory_here_is_found(state: Path) -> None:
    """Settings from its file, the control plane's AWS variables beside them."""
    found = context.load()

    assert found.settings.boot_seconds == 7
    assert found.environment["AWS_ENDPOINT_URL"] == "http://127.0.0.1:2"


def test_a_state_directory_elsewhere_is_named(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DAYWORK_STATE_DIR wins over the folder of the command."""
    other = state.rename(tmp_path / "other")
    monkeypatch.setenv("DAYWORK_STATE_DIR", str(other))

    assert context.load().settings.control_bucket == "control"


def test_variables_stand_above_the_file(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One setting may be tried without changing the file."""
    monkeypatch.setenv("DAYWORK_BOOT_SECONDS", "8")

    assert context.load().settings.boot_seconds == 8


def test_a_broker_in_the_environment_means_that_it_says_everything(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An embedded stack that lies about must not lend its cloud to another installation."""
    monkeypatch.setenv("DAYWORK_BROKER_URL", "redis://elsewhere/0")
    monkeypatch.setenv("DAYWORK_CONTROL_BUCKET", "mine")
    monkeypatch.setenv("DAYWORK_REPORT_QUEUE", "mine")

    found = context.load()

    assert found.settings.cloud == "aws"
    assert found.environment == {}


def test_a_settings_file_brings_the_variables_beside_it(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the supervisor gives its processes is the file alone."""
    monkeypatch.chdir("/")
    monkeypatch.setenv("DAYWORK_CONFIG", str(state / "daywork.toml"))

    assert context.load().environment["AWS_REGION"] == "eu-west-1"


def test_nothing_at_all_is_told_with_a_remedy(state: Path) -> None:
    """The message names where it looked and what to do."""
    (state / "daywork.toml").unlink()

    with pytest.raises(SettingsError, match="daywork up") as caught:
        context.load()
    assert str(state) in str(caught.value)


def test_a_broken_environment_file_is_named(state: Path) -> None:
    """Its path and how it is written again."""
    (state / "env.json").write_text("{")

    with pytest.raises(SettingsError, match=r"env\.json.*daywork up"):
        context.load()


def test_entering_replaces_every_aws_variable_of_the_caller(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shell may hold another account's keys; the embedded cloud is asked past any proxy."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "another-accounts")
    monkeypatch.setenv("AWS_PROFILE", "work")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://elsewhere")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("NO_PROXY", "internal")
    monkeypatch.delenv("no_proxy", raising=False)

    found = context.load()
    found.enter()
    found.enter()

    assert {name: value for name, value in os.environ.items() if name.startswith("AWS_")} == found.environment
    assert os.environ["NO_PROXY"] == "internal,127.0.0.1"


def test_entering_outside_of_a_stack_changes_nothing(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against AWS the process's own identity is the control plane's."""
    for name in ("BROKER_URL", "CONTROL_BUCKET", "REPORT_QUEUE"):
        monkeypatch.setenv(f"DAYWORK_{name}", "redis://x")
    monkeypatch.setenv("AWS_PROFILE", "control-plane")

    context.load().enter()

    assert os.environ["AWS_PROFILE"] == "control-plane"
