"""The producers of docs/examples, each on a whole stack: a session for a good request, a reason for a bad one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from support import canaries
from support.stack import REGION, Stack, running_stack, until

pytestmark = pytest.mark.timeout(600)

PRODUCERS = Path(__file__).parents[2] / "docs" / "examples" / "producers"
PROGRAMS = ("plain_python", "kombu_client", "celery_client")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One production account with two instances."""
    with running_stack(tmp_path_factory.mktemp("stack"), accounts=1, instances=2) as running:
        yield running


def produce(stack: Stack, program: str, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Run a producer as its reader would, in an empty environment; returns its exit status and the answer it prints."""
    path = next(PRODUCERS.glob(f"{program}.*"))
    interpreter = [sys.executable] if path.suffix == ".py" else ["bash"]
    done = subprocess.run(
        [*interpreter, str(path), canaries.settings_of(stack).broker_url, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.fixture(scope="module")
def instances(stack: Stack) -> list[str]:
    """The stack's instances in a producer's words."""
    return [f"{account}/{REGION}/{one}" for account, ids in stack.instances().items() for one in ids]


def shell_request(**more: Any) -> str:
    """Return a request for the shell's producer."""
    return json.dumps({"schemaVersion": 1, "source": "shell", "operation": "ec2-backup", **more})


def rejected(stack: Stack) -> list[dict[str, Any]]:
    """Return what stands on `daywork.rejected`, the newest first."""
    with redis.Redis.from_url(canaries.settings_of(stack).broker_url) as broker:
        return [json.loads(json.loads(raw)["body"]) for raw in broker.lrange("daywork.rejected", 0, -1)]


def test_each_producer_starts_a_session_that_succeeds(stack: Stack, instances: list[str]) -> None:
    """All four at once; sessions of one instance wait for each other."""
    first, second = instances
    account, region, one = second.split("/")
    resources = [{"account": account, "region": region, "id": one}]
    targets = (first, second, first)
    answered = {program: produce(stack, program, target) for program, target in zip(PROGRAMS, targets, strict=True)}
    request = shell_request(id="1", resources=resources, replyTo="shell.replies")
    answered["shell"] = produce(stack, "shell", request, "shell.replies")

    assert {program: status for program, (status, _) in answered.items()} == dict.fromkeys(answered, 0), answered
    records = [stack.wait(answer["sessionId"]) for _, answer in answered.values()]
    assert [record["status"] for record in records] == ["success"] * 4
    assert {record["source"] for record in records} == {"erp", "erp-kombu", "erp-celery", "shell"}


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_refused_request_is_told_why(stack: Stack, instances: list[str], program: str) -> None:
    """The answer names the field and what to do about it; the producer ends with 1."""
    status, answer = produce(stack, program, instances[0], "--operation", "ec2-backupp")

    assert status == 1
    assert answer["refused"]["field"] == "operation"
    assert answer["refused"]["remedy"]


def test_sent_twice_it_is_one_session(stack: Stack, instances: list[str]) -> None:
    """`source` and `id` are the key: a producer in doubt sends again."""
    first = produce(stack, "plain_python", instances[0], "--id", "again")
    second = produce(stack, "plain_python", instances[0], "--id", "again")

    assert first[1]["sessionId"] == second[1]["sessionId"]
    assert (first[1]["created"], second[1]["created"]) == (True, False)


def test_a_refused_message_of_the_shell_is_answered_and_kept(stack: Stack) -> None:
    """The reason goes to `replyTo`, and with the message itself to `daywork.rejected`."""
    request = shell_request(id="2", resources=[], colour="red", replyTo="shell.replies")

    status, answer = produce(stack, "shell", request, "shell.replies")

    assert status == 1
    assert "colour" in {one["field"] for one in answer["refused"]["problems"]}
    assert request in [one["message"] for one in rejected(stack)]


def test_what_is_no_json_is_kept_with_its_reason(stack: Stack) -> None:
    """It cannot name a queue for an answer, so it is found on `daywork.rejected` alone; the intake goes on."""
    with redis.Redis.from_url(canaries.settings_of(stack).broker_url) as broker:
        broker.lpush("daywork.requests", "back up everything, please")

    until(lambda: "back up everything, please" in [one["message"] for one in rejected(stack)], seconds=30)
    (kept,) = [one for one in rejected(stack) if one["message"] == "back up everything, please"]
    assert kept["refused"]["reason"] == "the message is not JSON"
