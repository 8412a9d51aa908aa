"""The main job on a whole stack: what the product promises, checked in the cloud and not only in its own records."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from support.stack import HOME, REGION, Stack, running_stack, until

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Three production accounts with two instances each."""
    with running_stack(tmp_path_factory.mktemp("stack"), accounts=3, instances=2) as running:
        yield running


def backup(stack: Stack, mode: str, count: int | None = None) -> dict[str, Any]:
    """Return a request over the stack's instances, or the first `count` of them."""
    resources = [
        {"account": account, "region": REGION, "id": one} for account, ids in stack.instances().items() for one in ids
    ]
    return {"operation": "ec2-backup", "mode": mode, "resources": resources[:count]}


def kept(record: dict[str, Any]) -> frozenset[str]:
    """Return the ids that a receipt says are kept."""
    return frozenset(one["id"] for one in record["receipt"]["kept"])


def all_kept(stack: Stack) -> frozenset[str]:
    """Return what the receipts of all sessions so far say is kept."""
    listed = json.loads(stack.daywork("session", "list", "--output", "json"))["sessions"]
    return frozenset().union(*(kept(stack.show(one["id"])) for one in listed))


@pytest.mark.parametrize("mode", ["backup", "production"])
def test_six_instances_in_three_accounts_are_backed_up_and_nothing_is_left(stack: Stack, mode: str) -> None:
    """Success, an empty remainder, no worker, role, profile or order in any account; worker roles untouched."""
    before = {account: stack.eye.profile_of(account, "DayworkWorker") for account in stack.instances()}

    record = stack.wait(stack.start(backup(stack, mode)))

    assert record["status"] == "success", record
    assert record["counts"]["success"] == 6
    assert record["receipt"]["remaining"] == []
    assert stack.left(kept=all_kept(stack)) == []
    roles = {one["kind"] for one in record["receipt"]["created"]} & {"role"}
    assert roles == ({"role"} if mode == "backup" else set())
    assert {account: stack.eye.profile_of(account, "DayworkWorker") for account in before} == before


@pytest.mark.parametrize("mode", ["backup", "production"])
def test_restored_volumes_are_identical(stack: Stack, mode: str) -> None:
    """Every volume of an instance, the sparse one too, read back through the EBS direct API."""
    made = stack.wait(stack.start(backup(stack, mode, 1)))
    assert made["status"] == "success", made
    resource = made["resources"][0]
    point, account = resource["result"]["restorePoint"], resource["account"]

    record = stack.wait(
        stack.start(
            {
                "operation": "ec2-restore-volume",
                "mode": mode,
                "resources": [{"account": account, "region": REGION, "id": point}],
            }
        )
    )

    assert record["status"] == "success", record
    volumes = record["resources"][0]["result"]["volumes"]
    assert len(volumes) >= 2
    for one in volumes:
        assert stack.eye.blocks(account, one["newVolumeId"]) == stack.eye.blocks(account, one["volumeId"])
    assert stack.left(kept=all_kept(stack)) == []


def test_the_same_request_twice_is_one_session(stack: Stack) -> None:
    """Once from the command line, once as a Celery call: one session."""
    request = {"source": "twice", "id": "1", **backup(stack, "backup", 1)}
    session = stack.start(request)

    call = [
        sys.executable, "-m", "celery", "-A", "tasks", "call", "daywork.submit",
        "--kwargs", json.dumps({"request": request}),
    ]  # fmt: skip
    environment = {**stack.environment, "DAYWORK_CONFIG": str(stack.directory / "daywork.toml")}
    called = subprocess.run(call, env=environment, capture_output=True, text=True, check=False, timeout=60)

    assert called.returncode == 0, called.stderr
    record = stack.wait(session)
    assert record["status"] == "success"
    listed = json.loads(stack.daywork("session", "list", "--output", "json"))["sessions"]
    assert [one["id"] for one in listed if one["source"] == "twice"] == [session]


def test_an_instance_that_does_not_exist_fails_alone(stack: Stack) -> None:
    """The others go on; reason and remedy say what to do."""
    request = backup(stack, "backup", 1)
    account = request["resources"][0]["account"]
    request["resources"].append({"account": account, "region": REGION, "id": "i-0123456789abcdef0"})

    record = stack.wait(stack.start(request))

    assert record["status"] == "warning"
    by_id = {one["id"]: one for one in record["resources"]}
    assert by_id["i-0123456789abcdef0"]["status"] == "failed"
    assert "does not exist" in by_id["i-0123456789abcdef0"]["reason"]
    assert by_id["i-0123456789abcdef0"]["remedy"]
    assert record["counts"]["success"] == 1
    assert stack.left(kept=all_kept(stack)) == []


def kill_celery(stack: Stack) -> None:
    """Kill all Celery processes with -9 and wait until the supervisor has started others."""
    killed = {one["pid"] for one in stack.record["processes"] if "celery" in one["name"] or one["name"] == "beat"}
    assert killed
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    until(lambda: killed.isdisjoint({one["pid"] for one in stack.record["processes"]}))


def test_a_wrong_external_id_fails_its_account_alone(stack: Stack) -> None:
    """A role that cannot be assumed is one account's trouble; the external id itself is told nowhere."""
    account = min(stack.instances())
    path = stack.directory / "external-ids" / account
    right = path.read_text()
    path.write_text("not-the-one")
    kill_celery(stack)  # who has assumed the role already keeps it for an hour
    try:
        record = stack.wait(stack.start(backup(stack, "backup")))
    finally:
        path.write_text(right)

    failed = {one["account"] for one in record["resources"] if one["status"] == "failed"}
    assert failed == {account}
    assert record["status"] == "warning"
    assert "not-the-one" not in json.dumps(record)


@pytest.mark.parametrize(
    ("statuses", "fault"),
    [
        ({"pending", "assuming-role"}, {"operation": "iam:CreateRole", "kind": "latency", "seconds": 8}),
        ({"launching", "waiting-for-capacity"}, {"operation": "ec2:RunInstances", "kind": "latency", "seconds": 8}),
        ({"booting"}, {"operation": "sts:GetCallerIdentity", "kind": "latency", "seconds": 8}),
        ({"running"}, {"operation": "ebs:GetSnapshotBlock", "kind": "latency", "seconds": 8}),
    ],
    ids=["assuming", "launching", "booting", "running"],
)
def test_a_stop_ends_the_session_in_every_phase(stack: Stack, statuses: set[str], fault: dict[str, Any]) -> None:
    """It ends `stopped`, twice asked or once, and nothing is left."""
    with stack.fault(**fault):
        session = stack.start(backup(stack, "backup", 2))
        stack.wait_for_status(session, statuses)
        stack.daywork("session", "stop", session)
        stack.daywork("session", "stop", session)
    record = stack.wait(session)

    assert record["status"] == "stopped", record
    assert record["receipt"]["remaining"] == []
    assert stack.left(kept=all_kept(stack)) == []


@pytest.mark.parametrize("mode", ["backup", "production"])
def test_all_celery_processes_killed_in_mid_session(stack: Stack, mode: str) -> None:
    """Killed with -9 while jobs run; started again, the session ends in success and nothing is left."""
    with stack.fault(operation="ebs:GetSnapshotBlock", kind="latency", seconds=0.3):
        session = stack.start(backup(stack, mode, 3))
        stack.wait_for_status(session, {"running"})
        kill_celery(stack)

    record = stack.wait(session, seconds=240)

    assert record["status"] == "success", record
    assert record["receipt"]["remaining"] == []
    assert stack.left(kept=all_kept(stack)) == []


def test_refusals_name_the_field_and_create_nothing(stack: Stack) -> None:
    """Exit 2 or 8, field and remedy on stderr, no session."""
    before = stack.daywork("session", "list", "--output", "json")
    good = backup(stack, "backup", 1)
    for change, field in [
        ({"operation": "ec2-magic"}, "operation"),
        ({"surprise": 1}, "surprise"),
        ({"mode": "neither"}, "mode"),
        ({"resources": [{"account": "999999999999", "region": REGION, "id": "i-1"}]}, "account"),
    ]:
        path = stack.directory / "bad.json"
        path.write_text(json.dumps({"source": "test", "id": f"bad-{field}", **good, **change}))
        done = stack.run("session", "start", "-f", str(path))
        assert done.returncode in (2, 7, 8), done.stderr
        assert field in done.stderr

    assert (
        json.loads(stack.daywork("session", "list", "--output", "json"))["sessions"] == json.loads(before)["sessions"]
    )


def test_the_report_queue_is_drained(stack: Stack) -> None:
    """Reports of ended workers do not pile up."""
    queue = stack.eye.client(HOME, "sqs").get_queue_url(QueueName="daywork-reports")["QueueUrl"]

    until(lambda: stack.eye.waiting_reports(HOME, queue) == 0)
