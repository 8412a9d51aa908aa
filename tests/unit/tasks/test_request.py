"""What Celery's events say of a step."""

from __future__ import annotations

from typing import Any

import pytest
from billiard.einfo import ExceptionInfo
from celery import Celery
from celery.exceptions import Ignore
from kombu.message import Message

from tasks.request import StepRequest


class Eventer:
    """Remembers what was sent."""

    enabled = True

    def __init__(self) -> None:
        """Nothing was sent yet."""
        self.sent: list[tuple[str, dict[str, Any]]] = []

    def send(self, type: str, **fields: Any) -> None:  # noqa: A002 - Celery's own parameter name
        """Remember an event."""
        self.sent.append((type, fields))


@pytest.fixture
def eventer() -> Eventer:
    """Nobody listens; everything is remembered."""
    return Eventer()


@pytest.fixture
def request_of_step(eventer: Eventer) -> StepRequest:
    """Return a delivered task."""
    app = Celery("test", set_as_current=False)

    @app.task(name="worker.launch", send_events=True, shared=False)
    def launch() -> str:
        return "done"

    headers = {"id": "1", "task": launch.name, "lang": "py", "argsrepr": "session=s resource=r", "kwargsrepr": ""}
    message = Message(body="[[], {}, {}]", headers=headers, delivery_info={}, properties={})
    delivered = {"decoded": True, "body": ((), {}, {}), "headers": headers}
    return StepRequest(message, app=app, task=launch, eventer=eventer, hostname="here", **delivered)


def test_a_step_that_failed_is_told_as_a_failure(request_of_step: StepRequest, eventer: Eventer) -> None:
    """With its reason, so that counts, filters and metrics of every monitor are right."""
    request_of_step.send_event("task-succeeded", result="'failed: no capacity'", runtime=0.5)

    (sent,) = eventer.sent
    assert sent == (
        "task-failed",
        {"uuid": "1", "result": "'failed: no capacity'", "runtime": 0.5, "exception": "no capacity"},
    )


@pytest.mark.parametrize("result", ["'done'", "None", "{'sessionId': 's-1'}"])
def test_other_successes_are_told_as_they_are(request_of_step: StepRequest, eventer: Eventer, result: str) -> None:
    """Only words that say so are a failure."""
    request_of_step.send_event("task-succeeded", result=result, runtime=0.5)

    assert eventer.sent == [("task-succeeded", {"uuid": "1", "result": result, "runtime": 0.5})]


def test_other_events_are_left_alone(request_of_step: StepRequest, eventer: Eventer) -> None:
    """A task's real failure is one already."""
    request_of_step.send_event("task-failed", exception="failed: x", traceback="t")

    assert eventer.sent == [("task-failed", {"uuid": "1", "exception": "failed: x", "traceback": "t"})]


def ended_by(error: Exception) -> ExceptionInfo:
    """Return what a pool child hands to its parent."""
    try:
        raise error
    except Ignore:
        return ExceptionInfo(internal=True)


def test_a_step_that_waits_is_told_with_its_words(request_of_step: StepRequest, eventer: Eventer) -> None:
    """Celery itself says nothing of a task that ended with Ignore."""
    request_of_step.on_failure(ended_by(Ignore("parked: worker")), return_ok=True)

    assert eventer.sent == [("task-waiting", {"uuid": "1", "result": "parked: worker"})]


def test_what_is_ignored_without_a_word_is_not_told(request_of_step: StepRequest, eventer: Eventer) -> None:
    """A message that came twice has nothing to say."""
    request_of_step.on_failure(ended_by(Ignore()), return_ok=True)

    assert eventer.sent == []
