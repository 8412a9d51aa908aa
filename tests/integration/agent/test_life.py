"""Real agent processes on instances of the embedded cloud, from user data to the end of the instance."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from support.agents import order
from support.cloud import CONTROL_ACCOUNT, REGION
from support.servers import wait_for
from support.tiny_agent import CANARY
from support.workers import Workers, workers_on

from agent.protocol import JobResult

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    """An embedded cloud with a fleet, in a process that holds secrets of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "AKIACANARY")
        patch.setenv("AWS_SECRET_ACCESS_KEY", CANARY)
        patch.setenv("DAYWORK_EXTERNAL_ID_PRODUCTION_A", CANARY)
        with workers_on(tmp_path_factory.mktemp("cloud")) as made:
            yield made


@pytest.fixture(autouse=True)
def no_faults_left(workers: Workers) -> Iterator[None]:
    """What a test breaks is whole again for the next one."""
    yield
    workers.cloud.sim("DELETE", "faults")


def pid_of(workers: Workers, instance: str) -> int:
    """Return the process of an instance's agent."""
    fleet = workers.cloud.server.fleet
    assert fleet is not None
    wait_for(lambda: any(one.ref.id == instance and one.pid for one in fleet.agents()), seconds=20)
    return next(one.pid for one in fleet.agents() if one.ref.id == instance and one.pid)


def told(workers: Workers, instance: str) -> JobResult:
    """Wait for a worker's result and its instance's end; return the result, the same on both ways."""
    report = workers.wait_for(instance, "result")
    workers.wait_for_end(instance)
    assert report == workers.result(instance)
    assert report.result is not None
    return report.result


def test_an_order_is_done_and_the_instance_terminated(workers: Workers) -> None:
    """Ready, order, result on both ways, shutdown that terminates."""
    (instance,) = workers.launch()
    ready = workers.wait_for(instance, "ready")

    workers.give(instance, order("finish"))
    result = told(workers, instance)

    assert ready.fence == 0
    assert result.outcome == "success"
    assert result.detail["worker"] == instance
    described = workers.cloud.admin("ec2", CONTROL_ACCOUNT).describe_instances(InstanceIds=[instance])
    reason = described["Reservations"][0]["Instances"][0]["StateReason"]["Code"]
    assert reason == "Client.InstanceInitiatedShutdown"


def test_the_sender_that_sqs_attaches_is_the_workers_user_id(workers: Workers) -> None:
    """A worker can speak only for itself."""
    (instance,) = workers.launch()
    workers.wait_for(instance, "ready")

    heard = [one for one in workers.listen() if one.report.instance_id == instance]

    assert [(one.report.user_id, one.sender) for one in heard] == [(workers.user_id(instance),) * 2]
    workers.give(instance, order("finish"))
    workers.wait_for_end(instance)


def test_a_working_agent_sends_heartbeats_and_stops_on_request(workers: Workers) -> None:
    """Progress at each heartbeat; the stop object ends the job as stopped."""
    (instance,) = workers.launch()
    workers.give(instance, order("wait"))
    beat = workers.wait_for(instance, "progress")

    workers.stop(instance)
    result = told(workers, instance)

    assert beat.progress is not None
    assert (beat.progress.done, beat.progress.total, beat.fence) == (1, 5, 7)
    assert result == JobResult(outcome="stopped", reason="stopped on request")


def test_an_order_ends_at_its_deadline(workers: Workers) -> None:
    """Past the deadline the job is stopped and has failed."""
    (instance,) = workers.launch()

    workers.give(instance, order("wait", deadline=timedelta(seconds=2)))
    result = told(workers, instance)

    assert result.outcome == "failed"
    assert "before its deadline" in (result.reason or "")


def test_an_agent_that_nobody_hears_stops_working(workers: Workers) -> None:
    """Reports do not get through: the job stops, the object tells why, the report follows when the queue is back."""
    (instance,) = workers.launch(silence_seconds=2)
    workers.wait_for(instance, "ready")
    rule = workers.cloud.fault("sqs:SendMessage", "error", code="InternalError", times=1000)

    workers.give(instance, order("wait"))
    wait_for(lambda: workers.result(instance), seconds=20)
    workers.cloud.sim("DELETE", f"faults/{rule}")
    result = told(workers, instance)

    assert result.outcome == "failed"
    assert "no report of the worker got through" in (result.reason or "")


def test_an_agent_without_an_order_ends_itself(workers: Workers) -> None:
    """After its boot time, with a report that says so and no object."""
    (instance,) = workers.launch(boot_seconds=1)

    report = workers.wait_for(instance, "result")
    workers.wait_for_end(instance)

    assert report.result is not None
    assert "no order came within 1 s" in (report.result.reason or "")
    assert workers.result(instance) is None


def test_an_agent_told_to_end_by_its_system_stops_its_job(workers: Workers) -> None:
    """SIGTERM: the job stops, the result says why, the instance ends."""
    (instance,) = workers.launch()
    workers.give(instance, order("wait"))
    workers.wait_for(instance, "progress")

    status, _ = workers.cloud.sim(
        "POST", "fleet/kill", {"instance": instance, "signal": 15}, token=workers.cloud.server.admin_token
    )
    result = told(workers, instance)

    assert status == 200
    assert result.outcome == "failed"
    assert "told the agent to end" in (result.reason or "")


def test_a_crashed_agent_ends_its_instance_without_a_result(workers: Workers) -> None:
    """SIGKILL is what a crash looks like: nothing is told, the instance shuts down."""
    (instance,) = workers.launch()
    workers.give(instance, order("wait"))
    workers.wait_for(instance, "progress")

    workers.cloud.sim("POST", "fleet/kill", {"instance": instance}, token=workers.cloud.server.admin_token)
    workers.wait_for_end(instance)

    assert workers.result(instance) is None
    assert workers.of(instance, "result") == []


def test_the_answer_to_a_report_may_be_lost(workers: Workers) -> None:
    """The report got there and the agent does not know: it is sent again under the same number."""
    (instance,) = workers.launch()
    workers.wait_for(instance, "ready")
    workers.cloud.fault("sqs:SendMessage", "reset-after", times=1)

    workers.give(instance, order("finish"))
    told(workers, instance)

    results = workers.of(instance, "result")
    assert len(results) == 2
    assert results[0] == results[1]


@pytest.mark.parametrize("operation", ["sts:GetCallerIdentity", "s3:GetObject", "sqs:SendMessage"])
def test_a_call_that_fails_a_few_times_changes_nothing(workers: Workers, operation: str) -> None:
    """Each of the agent's calls is tried again."""
    workers.cloud.fault(operation, "error", code="SlowDown", times=2)
    (instance,) = workers.launch()

    workers.give(instance, order("finish"))
    result = told(workers, instance)

    assert result.outcome == "success"


def test_a_result_object_that_cannot_be_written_at_once_is_written_later(workers: Workers) -> None:
    """The report gets through at once, the object after the bucket has recovered."""
    (instance,) = workers.launch()
    workers.give(instance, order("wait", deadline=timedelta(seconds=5)))
    workers.wait_for(instance, "progress")

    workers.cloud.fault("s3:PutObject", "error", code="SlowDown", times=2)
    result = told(workers, instance)

    assert result.outcome == "failed"


def test_no_secret_is_in_console_environment_or_command_line(workers: Workers) -> None:
    """Neither the cloud's own secrets, nor the role's credentials, nor an error's text."""
    waiting, broken = workers.launch(2)
    workers.give(waiting, order("wait"))
    workers.give(broken, order("break"))
    workers.wait_for(waiting, "progress")
    result = told(workers, broken)

    pid = pid_of(workers, waiting)
    seen = {
        "environment": Path(f"/proc/{pid}/environ").read_text(),
        "command line": Path(f"/proc/{pid}/cmdline").read_text(),
        "consoles": workers.console(waiting) + workers.console(broken),
        "fleet log": (workers.cloud.server.cloud.directory / "fleet.log").read_text(),
        "result": result.to_json(),
    }
    sessions = [
        one for one in workers.cloud.server.cloud.identities._sessions.values() if one.name in (waiting, broken)
    ]
    secrets = [CANARY, "AKIACANARY"] + [text for one in sessions for text in (one.access_key, one.secret, one.token)]
    found = [(place, secret) for place, text in seen.items() for secret in secrets if secret in text]

    assert len(sessions) == 2
    assert "RuntimeError" in seen["consoles"]
    assert found == []
    workers.stop(waiting)
    workers.wait_for_end(waiting)


# --- restarts ---


@pytest.fixture
def by_hand(workers: Workers) -> Iterator[Workers]:
    """The same cloud, its fleet asleep: agents are started by the test, each in an interpreter of its own."""
    fleet = workers.cloud.server.fleet
    assert fleet is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fleet, "running", lambda *_: None)
        yield workers


@contextmanager
def agent_process(workers: Workers, instance: str, output: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run an agent as the worker's start script does, with the tiny job; it is killed in the end if it still runs."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.environ["PYTHONPATH"],
        "AWS_ENDPOINT_URL": workers.cloud.url,
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"{workers.cloud.url}/imds/{CONTROL_ACCOUNT}/{REGION}/{instance}/",
    }
    code = "from support.tiny_agent import main; raise SystemExit(main())"
    with output.open("ab") as log:
        process = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_an_agent_that_restarts_finds_the_same_order_again(by_hand: Workers, tmp_path: Path) -> None:
    """Killed in the middle of its job and started again, it does the order, and its numbers have grown."""
    (instance,) = by_hand.launch()
    by_hand.give(instance, order("wait"))
    with agent_process(by_hand, instance, tmp_path / "first.log"):
        before = by_hand.wait_for(instance, "progress")

    by_hand.give(instance, order("finish"))
    with agent_process(by_hand, instance, tmp_path / "second.log") as second:
        status = second.wait(60)

    result = by_hand.wait_for(instance, "result")
    assert status == 0
    assert result.sequence > before.sequence
    assert by_hand.result(instance) == result


def test_an_order_that_has_its_result_is_not_done_again(by_hand: Workers, tmp_path: Path) -> None:
    """Started once more after the end, it tells the result again and does nothing."""
    (instance,) = by_hand.launch()
    by_hand.give(instance, order("finish"))
    with agent_process(by_hand, instance, tmp_path / "first.log") as first:
        assert first.wait(60) == 0

    by_hand.give(instance, order("break"))
    with agent_process(by_hand, instance, tmp_path / "second.log") as second:
        assert second.wait(60) == 0

    outcomes = [one.result.outcome for one in by_hand.of(instance, "result") if one.result is not None]
    assert outcomes == ["success", "success"]
    assert "has its result already" in (tmp_path / "second.log").read_text()
