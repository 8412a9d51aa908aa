"""How Flower shows a step."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from config.flowertask import format_task, plain


def task(state: str, result: object) -> SimpleNamespace:
    """Return what Flower hands over: an object with attributes."""
    return SimpleNamespace(state=state, result=result, exception=None)


def test_a_step_that_failed_is_a_failure_with_its_reason() -> None:
    """Celery counts it as a success, because a failed step never raises."""
    shown = format_task(task("SUCCESS", "'failed: the instance does not exist'"))

    assert shown.state == "FAILURE"
    assert shown.exception == "the instance does not exist"
    assert shown.result == "failed: the instance does not exist"


def test_a_parked_step_is_waiting_for_something() -> None:
    """Its state comes from an event of its own; its words lose nothing."""
    shown = format_task(task("WAITING", "parked: worker"))

    assert shown.state == "WAITING"
    assert shown.result == "parked: worker"


@pytest.mark.parametrize("words", ["skipped: the resource has failed", "repeat: past"])
def test_a_step_that_had_nothing_to_do_is_no_success(words: str) -> None:
    """Green is for what was done."""
    assert format_task(task("SUCCESS", repr(words))).state == "SKIPPED"


@pytest.mark.parametrize("result", [None, 17, "{'sessionId': 's-1'}", "None"])
def test_other_results_are_left_alone(result: object) -> None:
    """Only words of steps are read."""
    shown = format_task(task("SUCCESS", result))

    assert (shown.state, shown.result) == ("SUCCESS", result)


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        ("'done'", "done"),
        ('"it\'s done"', "it's done"),
        ("'failed: a reason that was cut in the mid...", "failed: a reason that was cut in the mid..."),
        ("parked: result", "parked: result"),
        ("3", None),
    ],
)
def test_words_are_read_from_their_representation(shown: str, words: str | None) -> None:
    """Quoted, with quotes inside, or cut off at the end."""
    assert plain(shown) == words
