"""What the single processes refuse."""

from __future__ import annotations

import pytest
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
