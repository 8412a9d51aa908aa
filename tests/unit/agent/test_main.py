"""The program around a life: version, log, and an end whatever happens."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator

import pytest

import agent.__main__ as program
from agent.clock import Event, Mailbox, SystemClock
from agent.jobrun import JobRun, in_thread
from agent.protocol import JobResult
from agent.version import VERSION

CANARY = "canary-61b0"


class _Exited(Exception):
    """The process would be over."""


@pytest.fixture
def root_logger() -> Iterator[None]:
    """The agent sets the root logger up; a test must not leave it so."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    libraries = {name: logging.getLogger(name).level for name in ("botocore", "urllib3")}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in libraries.items():
        logging.getLogger(name).setLevel(before)


@pytest.fixture
def exits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The exit statuses with which the process would have ended."""
    statuses: list[int] = []

    def exited(status: int) -> None:
        statuses.append(status)
        raise _Exited

    monkeypatch.setattr(os, "_exit", exited)
    return statuses


def test_says_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` needs neither instance nor libraries."""
    with pytest.raises(SystemExit):
        program.main(["--version"])

    assert capsys.readouterr().out == f"daywork-agent {VERSION}\n"


def test_ends_the_process_with_the_status_of_the_life(monkeypatch: pytest.MonkeyPatch, exits: list[int]) -> None:
    """Threads that a job left behind do not hold the process."""
    monkeypatch.setattr(program, "main", lambda: 1)

    with pytest.raises(_Exited):
        program.run()

    assert exits == [1]


def test_an_agent_that_fails_itself_says_where_and_no_secret(
    monkeypatch: pytest.MonkeyPatch, exits: list[int], root_logger: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """The console shows class and place; the error's text may quote anything."""

    def fail() -> int:
        program._log_plainly()
        raise RuntimeError(CANARY)

    monkeypatch.setattr(program, "main", fail)

    with pytest.raises(_Exited):
        program.run()

    written = capsys.readouterr().err
    assert exits == [70]
    assert "the agent failed: RuntimeError" in written
    assert "test_main.py" in written
    assert CANARY not in written


def test_logs_one_plain_line_an_event_in_utc(root_logger: None, capsys: pytest.CaptureFixture[str]) -> None:
    """Time, level, name, message on stderr; what botocore says below errors is left out."""
    program._log_plainly()

    logging.getLogger("agent.runner").info("agent %s", "0.1.0")
    logging.getLogger("botocore.credentials").warning("refreshing failed")

    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO agent\.runner: agent 0\.1\.0\n", capsys.readouterr().err
    )


def test_waiting_ends_with_an_event_or_with_the_time() -> None:
    """The next event at once; None when there is none."""
    clock, mailbox = SystemClock(), Mailbox()
    mailbox.put(Event.TOLD_TO_END)

    assert clock.wait(mailbox, 60) is Event.TOLD_TO_END
    assert clock.wait(mailbox, 0) is None
    assert clock.wait(mailbox, -1) is None


def test_the_machines_running_time_never_goes_back() -> None:
    """It is what reports are numbered by."""
    clock = SystemClock()

    assert 0 < clock.running() <= clock.running()


def test_a_job_runs_beside_its_caller_and_rings_when_it_has_ended() -> None:
    """The thread puts JOB_ENDED into the mailbox; the result is there by then."""
    mailbox = Mailbox()
    job = JobRun(
        name="tiny",
        function=lambda context, message: JobResult(outcome="success", detail={message: context.worker_id}),
        message="worker",
        mailbox=mailbox,
        session=None,
        worker_id="i-1",
        endpoint_url=None,
    )

    in_thread(job)

    assert mailbox.get(timeout=10) is Event.JOB_ENDED
    assert job.result == JobResult(outcome="success", detail={"worker": "i-1"})
