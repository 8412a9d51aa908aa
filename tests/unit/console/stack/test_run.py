"""What the single processes refuse."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from types import SimpleNamespace

import pytest
from celery.worker import state
from pydantic import SecretStr

from config.settings import Settings, SettingsError
from console.stack import run


def settings(**changes: object) -> Settings:
    """Return settings that are complete."""
    values = {"broker_url": "redis://", "control_bucket": "b", "report_queue": "q", **changes}
    return Settings(**values)  # type: ignore[arg-type]  # values of several types


def test_a_queue_that_does_not_exist_is_named() -> None:
    """With those that do."""
    with pytest.raises(ValueError, match="'stps' does not exist; known are steps, control, periodic"):
        run.celery_worker("steps", ["stps", "control"], 1)


@pytest.mark.parametrize(("asked_to_end", "outcome"), [(None, pytest.raises(run.Crashed)), (True, nullcontext())])
def test_a_celery_worker_that_ends_by_an_error_says_so(
    monkeypatch: pytest.MonkeyPatch, asked_to_end: object, outcome: AbstractContextManager[object]
) -> None:
    """Whoever watches it must not take a crash for an end that was asked for; SIGTERM's failure is none."""

    class Worker:
        exitcode = None

        def __init__(self, **_: object) -> None:
            pass

        def start(self) -> None:
            self.exitcode = 1

    monkeypatch.setattr(run, "_worker_app", lambda: SimpleNamespace(Worker=Worker))
    monkeypatch.setattr(state, "should_terminate", asked_to_end)
    monkeypatch.setenv("REMAP_SIGTERM", "SIGQUIT")

    with outcome:
        run.celery_worker("steps", ["steps"], 1)


def test_flower_for_others_needs_a_password() -> None:
    """The message says what stays open even then."""
    with pytest.raises(SettingsError, match=r"DAYWORK_FLOWER_BASIC_AUTH.*/metrics"):
        run.check_flower(settings(flower_address="0.0.0.0"))  # noqa: S104 - what is refused

    run.check_flower(settings(flower_address="0.0.0.0", flower_basic_auth=SecretStr("user:canary")))  # noqa: S104


def test_flower_on_this_machine_needs_none() -> None:
    """The embedded stack is used without one."""
    run.check_flower(settings())


def test_the_password_is_shown_nowhere() -> None:
    """Neither in the settings' representation nor in what people are shown of them."""
    made = settings(flower_basic_auth=SecretStr("user:canary"))

    assert "canary" not in repr(made)
    assert "canary" not in str(made.shown())
