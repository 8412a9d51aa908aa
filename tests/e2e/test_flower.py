"""What Flower shows of a session: which resource waits, which failed and why; nothing secret, nothing to press."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from support import canaries
from support.stack import REGION, Stack, running_stack, until

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two production accounts with one instance each."""
    with running_stack(tmp_path_factory.mktemp("stack"), accounts=2, instances=1) as running:
        yield running


def shown(stack: Stack, session: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Return a session's tasks as Flower's page lists them, by name and resource."""
    found = {}
    for one in canaries.flower_tasks(stack):
        words = dict(word.split("=", 1) for word in str(one["args"]).split() if "=" in word)
        if words.get("session") == session:
            found[one["name"], words.get("resource", "")] = one
    return found


def test_waiting_failed_and_done_can_be_told_at_a_glance(stack: Stack) -> None:
    """Each step of each resource is a task of its own; nothing of it can be changed from here."""
    (bad, bad_ids), (good, good_ids) = sorted(stack.instances().items())
    missing = "i-0123456789abcdef0"
    request = {
        "operation": "ec2-backup",
        "mode": "production",
        "options": {"full": True},
        "resources": [
            {"account": bad, "region": REGION, "id": bad_ids[0]},
            {"account": bad, "region": REGION, "id": missing},
            {"account": good, "region": REGION, "id": good_ids[0]},
        ],
    }

    with (
        stack.fault(operation="ec2:RunInstances", kind="error", code="InvalidParameterValue", account=bad),
        stack.fault(operation="ebs:GetSnapshotBlock", kind="latency", seconds=1, account=good),
    ):
        session = stack.start(request)
        parked = ("worker.run_job", good_ids[0])
        until(lambda: shown(stack, session).get(parked, {}).get("state") == "WAITING")
        assert shown(stack, session)[parked]["result"] == "parked: result"
        until(lambda: shown(stack, session).get(("worker.teardown", bad_ids[0]), {}).get("state") == "FAILURE")
    stack.wait(session)
    until(lambda: shown(stack, session).get(("session.release", ""), {}).get("state") == "SUCCESS")

    tasks = shown(stack, session)
    states = {name: one["state"] for (name, resource), one in tasks.items() if resource == good_ids[0]}
    assert states == dict.fromkeys(
        ("worker.assume_role", "worker.launch", "worker.run_job", "worker.teardown"), "SUCCESS"
    )
    launch = tasks["worker.launch", bad_ids[0]]
    assert launch["state"] == "FAILURE"
    assert "InvalidParameterValue" in launch["exception"]
    assert launch["args"] == f"session={session} resource={bad_ids[0]}"
    assert tasks["worker.run_job", bad_ids[0]]["state"] == "SKIPPED"
    assert tasks["worker.teardown", bad_ids[0]]["exception"] == launch["exception"]
    assert tasks["session.start", ""]["state"] == "FAILURE"
    assert missing in tasks["session.start", ""]["exception"]
    assert canaries.leaks(stack) == []


def test_nothing_can_be_done_from_flower(stack: Stack) -> None:
    """A step revoked by hand would hang its chord; without a password the API is off altogether."""
    address = stack.record["addresses"]["flower"]
    for path in (
        "/api/task/revoke/1",
        "/api/task/async-apply/session.start",
        "/api/worker/shutdown/steps",
        "/api/tasks",
    ):
        request = urllib.request.Request(address + path, method="GET" if path == "/api/tasks" else "POST")  # noqa: S310 - loopback
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=30)  # noqa: S310 - as above
        assert refused.value.code in (401, 403)
        refused.value.close()
