"""The fleet: agents live and die with their instances, and nothing outlives the cloud."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from support.agents import order
from support.cloud import CONTROL_ACCOUNT, LocalCloud, code
from support.servers import wait_for
from support.workers import Workers, prepare, workers_on

from localcloud.fleet import Fleet

pytestmark = pytest.mark.integration

#: Two hundred were seen to start by hand; this many still queue up.
BURST = 40


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    """An embedded cloud with a fleet."""
    with workers_on(tmp_path_factory.mktemp("cloud")) as made:
        yield made


def fleet_of(workers: Workers) -> Fleet:
    """Return the cloud's fleet."""
    fleet = workers.cloud.server.fleet
    assert fleet is not None
    return fleet


def page(workers: Workers) -> list[dict[str, Any]]:
    """Return what the fleet's page shows."""
    status, shown = workers.cloud.sim("GET", "fleet", token=workers.cloud.server.admin_token)
    assert status == 200
    return cast("list[dict[str, Any]]", shown["agents"])


def pid_of(workers: Workers, instance: str) -> int:
    """Wait for an instance's agent; return its process id."""
    wait_for(lambda: [one for one in page(workers) if one["instance"] == instance and one["pid"]], seconds=20)
    return int(next(one["pid"] for one in page(workers) if one["instance"] == instance))


def is_gone(pid: int) -> bool:
    """Tell whether nothing is left of a process, not even a zombie."""
    return not Path(f"/proc/{pid}").exists()


def end(workers: Workers, *instances: str) -> None:
    """Terminate instances and wait for their end."""
    workers.cloud.admin("ec2", CONTROL_ACCOUNT).terminate_instances(InstanceIds=list(instances))
    for instance in instances:
        workers.wait_for_end(instance)


def test_a_terminated_instance_loses_its_agent_at_once(workers: Workers) -> None:
    """TerminateInstances kills the process, and no zombie is left."""
    (instance,) = workers.launch()
    workers.wait_for(instance, "ready")
    pid = pid_of(workers, instance)

    end(workers, instance)

    wait_for(lambda: is_gone(pid), seconds=20)
    assert [one for one in page(workers) if one["instance"] == instance] == []


def test_a_terminated_instance_stays_terminated_by_its_user(workers: Workers) -> None:
    """The death of its agent does not change why it ended."""
    (instance,) = workers.launch()
    workers.wait_for(instance, "ready")

    end(workers, instance)

    described = workers.cloud.admin("ec2", CONTROL_ACCOUNT).describe_instances(InstanceIds=[instance])
    assert described["Reservations"][0]["Instances"][0]["StateReason"]["Code"] == "Client.UserInitiatedShutdown"


@pytest.mark.parametrize("text", [None, "#!/bin/sh\necho hello\n", "#daywork-boot:???\n", "\x00\xff"])
def test_an_instance_without_a_boot_document_has_no_agent(workers: Workers, text: str | None) -> None:
    """Only what asks for an agent gets one; whatever the user data is, the cloud goes on."""
    ec2 = workers.cloud.admin("ec2", CONTROL_ACCOUNT)
    more = {} if text is None else {"UserData": text}

    made = ec2.run_instances(ImageId=workers.image, MinCount=1, MaxCount=1, InstanceType="c5.large", **more)
    instance = made["Instances"][0]["InstanceId"]
    workers.cloud.wait_for_state(CONTROL_ACCOUNT, instance, "running")

    assert [one for one in page(workers) if one["instance"] == instance] == []
    end(workers, instance)


def test_an_instance_that_is_stopped_and_started_gets_a_new_agent(workers: Workers) -> None:
    """Stopping ends the first agent, starting makes another one, its console goes on."""
    ec2 = workers.cloud.admin("ec2", CONTROL_ACCOUNT)
    (instance,) = workers.launch()
    workers.wait_for(instance, "ready")
    first = pid_of(workers, instance)

    ec2.stop_instances(InstanceIds=[instance])
    workers.cloud.wait_for_state(CONTROL_ACCOUNT, instance, "stopped")
    wait_for(lambda: is_gone(first), seconds=20)
    ec2.start_instances(InstanceIds=[instance])
    second = pid_of(workers, instance)
    wait_for(lambda: workers.console(instance).count(" INFO agent.runner: agent ") == 2, seconds=20)

    assert second != first
    end(workers, instance)


def test_an_instance_that_ends_before_its_agent_has_started_has_none(workers: Workers) -> None:
    """Terminated in the same moment: whatever was under way, nothing is left."""
    instances = workers.launch(20)

    end(workers, *instances)

    wait_for(lambda: not [one for one in page(workers) if one["instance"] in instances], seconds=20)


def test_a_burst_of_instances_gets_an_agent_each(workers: Workers) -> None:
    """Every agent becomes ready, each as itself, and all end with their orders."""
    instances = workers.launch(BURST, boot_seconds=300, heartbeat_seconds=60)

    wait_for(lambda: _ready(workers) >= set(instances), seconds=120)
    pids = {one["pid"] for one in page(workers) if one["instance"] in instances}
    for instance in instances:
        workers.give(instance, order("finish"))
    for instance in instances:
        wait_for(lambda instance=instance: workers.result(instance), seconds=120)
        workers.wait_for_end(instance)

    assert len(pids) == BURST
    wait_for(lambda: all(is_gone(pid) for pid in pids), seconds=20)


def _ready(workers: Workers) -> set[str]:
    return {one.report.instance_id for one in workers.listen() if one.report.kind == "ready"}


def test_the_console_is_what_ec2_shows(workers: Workers) -> None:
    """GetConsoleOutput answers with the agent's own lines; before there are any, with nothing."""
    ec2 = workers.cloud.admin("ec2", CONTROL_ACCOUNT)
    (instance,) = workers.launch()
    workers.wait_for(instance, "ready")

    shown = ec2.get_console_output(InstanceId=instance)

    text = shown["Output"]
    assert f"on {instance}, session {workers.boot.session}" in text
    assert shown["InstanceId"] == instance
    assert code(lambda: ec2.get_console_output(InstanceId="i-00000000000000000")) == "InvalidInstanceID.NotFound"
    end(workers, instance)


def test_a_long_console_is_shown_by_its_end(workers: Workers) -> None:
    """EC2 keeps the last 64 KiB."""
    ec2 = workers.cloud.admin("ec2", CONTROL_ACCOUNT)
    (instance,) = workers.launch()
    workers.wait_for(instance, "ready")
    with fleet_of(workers).consoles.path(instance).open("a") as file:
        file.write("x" * 100_000 + "the end")

    text = ec2.get_console_output(InstanceId=instance)["Output"]

    assert len(text) == 64 * 1024
    assert text.endswith("the end")
    end(workers, instance)


def test_only_who_holds_the_token_sees_or_kills_agents(workers: Workers) -> None:
    """The fleet's page has power: without the token nothing is shown or done."""
    assert workers.cloud.sim("GET", "fleet")[0] == 403
    assert workers.cloud.sim("POST", "fleet/kill", {"instance": "i-0"})[0] == 403


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"instance": "i-00000000000000000"}, 404),
        ({"instance": "i-0", "signal": 12345}, 400),
        ({"instance": "i-0", "signal": "hard"}, 400),
        ({}, 400),
        ([], 400),
        (None, 400),
    ],
)
def test_a_kill_that_cannot_be_is_refused(workers: Workers, body: Any, status: int) -> None:
    """Unknown instance, wrong signal, wrong body."""
    answered, said = workers.cloud.sim("POST", "fleet/kill", body, token=workers.cloud.server.admin_token)

    assert answered == status
    assert said["error"]


def test_pages_of_the_fleet_that_do_not_exist_say_what_does(workers: Workers) -> None:
    """404 with the two that do."""
    status, said = workers.cloud.sim("DELETE", "fleet", token=workers.cloud.server.admin_token)

    assert status == 404
    assert "GET /_sim/fleet" in said["error"]


def test_when_the_fork_server_dies_its_agents_die_and_their_instances_end(workers: Workers) -> None:
    """Nothing is left without a parent, and the next instance gets an agent again."""
    instances = workers.launch(3)
    for instance in instances:
        workers.wait_for(instance, "ready")
    pids = [pid_of(workers, instance) for instance in instances]
    server = fleet_of(workers)._server
    assert server is not None

    server.kill()

    for instance in instances:
        workers.wait_for_end(instance)
    wait_for(lambda: all(is_gone(pid) for pid in pids), seconds=20)
    (another,) = workers.launch()
    workers.wait_for(another, "ready")
    end(workers, another)


def test_a_fork_server_that_cannot_be_started_ends_the_instance(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine has no room for another process: the instance shuts down, and the cloud goes on."""
    fleet = fleet_of(workers)

    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError("Resource temporarily unavailable")

    with monkeypatch.context() as patch:
        patch.setattr(fleet, "_server", None)
        patch.setattr("localcloud.fleet.subprocess.Popen", refuse)
        (instance,) = workers.launch()
        workers.wait_for_end(instance)
    (another,) = workers.launch()

    workers.wait_for(another, "ready")
    end(workers, another)


def test_the_fork_server_has_one_thread(workers: Workers) -> None:
    """A fork keeps only one thread: no library may have started another when it was imported."""
    fleet_of(workers).warm_up()
    (instance,) = workers.launch()
    workers.wait_for(instance, "ready")
    server = fleet_of(workers)._server
    assert server is not None

    assert len(list(Path(f"/proc/{server.pid}/task").iterdir())) == 1
    end(workers, instance)


def test_a_program_that_cannot_be_started_ends_its_instance(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    """The console cannot be written: no agent, and the instance shuts down as if its program had died."""
    consoles = fleet_of(workers).consoles
    monkeypatch.setattr(consoles, "path", lambda _: consoles._directory / "nowhere" / "file")

    (instance,) = workers.launch()

    workers.wait_for_end(instance)


# --- the cloud's end ---


def test_a_cloud_that_stops_leaves_no_process(tmp_path: Path) -> None:
    """Agents and fork server end with it."""
    with _other_cloud(tmp_path) as (cloud, process):
        instances = cloud.launch(3)
        for instance in instances:
            cloud.wait_for(instance, "ready")
        pids = [pid_of(cloud, instance) for instance in instances]
        fleet_process = _children(process.pid)

        process.terminate()
        status = process.wait(30)

    assert status == 0
    assert len(fleet_process) == 1
    wait_for(lambda: all(is_gone(pid) for pid in [*pids, *fleet_process]), seconds=20)


def test_a_cloud_that_is_killed_leaves_no_process(tmp_path: Path) -> None:
    """SIGKILL of the cloud: nobody told anybody, and still nothing is left."""
    with _other_cloud(tmp_path) as (cloud, process):
        instances = cloud.launch(3)
        for instance in instances:
            cloud.wait_for(instance, "ready")
        pids = [pid_of(cloud, instance) for instance in instances]
        fleet_process = _children(process.pid)

        process.kill()
        process.wait()

    assert len(fleet_process) == 1
    wait_for(lambda: all(is_gone(pid) for pid in [*pids, *fleet_process]), seconds=20)


def test_a_cloud_without_a_fleet_starts_no_agent(tmp_path: Path) -> None:
    """`--no-fleet`: instances stay empty, and there is no page."""
    with _other_cloud(tmp_path, "--no-fleet") as (cloud, process):
        (instance,) = cloud.launch()
        cloud.cloud.wait_for_state(CONTROL_ACCOUNT, instance, "running")

        assert _children(process.pid) == []
        assert cloud.cloud.sim("GET", "fleet", token=cloud.cloud.server.admin_token)[0] == 404


def _children(pid: int) -> list[int]:
    return [int(one) for task in Path(f"/proc/{pid}/task").iterdir() for one in (task / "children").read_text().split()]


@dataclass
class _Process:
    """What `LocalCloud` wants to know of a cloud in another process."""

    url: str
    directory: Path

    @property
    def admin_token(self) -> str:
        return (self.directory / "admin-token").read_text()

    @property
    def cloud(self) -> Any:
        return SimpleNamespace(directory=self.directory)


@contextmanager
def _other_cloud(directory: Path, *options: str) -> Iterator[tuple[Workers, subprocess.Popen[str]]]:
    """Run `python -m localcloud serve` as a process of its own."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "localcloud",
            "serve",
            "--dir",
            str(directory),
            "--boot",
            "0",
            "--shutdown",
            "0",
            *options,
        ],
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert process.stdout is not None
    try:
        ready = json.loads(process.stdout.readline())
        cloud = LocalCloud(cast("Any", _Process(ready["url"], directory)))
        try:
            yield prepare(cloud), process
        finally:
            if process.poll() is None:
                cloud.close()
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
