"""The ledger deleted in mid-session: nothing is removed before somebody says so, and no backup is lost with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.stack import REGION, Stack, running_stack, until

from orchestrator.ledger import registry

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One production account with one instance; the sweeper passes often, so that what it leaves alone is meant."""
    directory = tmp_path_factory.mktemp("stack")
    with running_stack(directory, accounts=1, instances=1, DAYWORK_SWEEP_SECONDS="2") as running:
        yield running


def backup(stack: Stack) -> dict[str, Any]:
    """Return a request for a backup of the instance."""
    ((account, (instance,)),) = stack.instances().items()
    resources = [{"account": account, "region": REGION, "id": instance}]
    return {"operation": "ec2-backup", "mode": "backup", "resources": resources}


def written_registry(stack: Stack) -> Path:
    """Return a file with the registry document, as its owner keeps one."""
    with stack.ledger.read() as tx:
        known = registry.load(tx).model_dump(mode="json", by_alias=True, exclude_none=True)
    path = stack.directory / "accounts.json"
    path.write_text(json.dumps(known))
    return path


def sweep(stack: Stack, *options: str) -> dict[str, Any]:
    """Return what a pass of the sweeper has found."""
    found: dict[str, Any] = json.loads(stack.daywork("sweep", "--output", "json", *options))
    return found


def lose_ledger(stack: Stack) -> None:
    """Remove the database, its journal and all."""
    stack.ledger.close()
    for path in stack.directory.glob("ledger.sqlite3*"):
        path.unlink()


def points(stack: Stack) -> list[str]:
    """Return the restore points that the ledger knows."""
    listed = json.loads(stack.daywork("restore-point", "list", "--output", "json"))["restorePoints"]
    return [str(one["id"]) for one in listed]


def test_a_lost_ledger_loses_no_backup_and_removes_nothing_by_itself(stack: Stack) -> None:
    """Deleted while an agent works: told, made anew, and what the repositories hold is entered and restores."""
    document = written_registry(stack)
    made = stack.wait(stack.start(backup(stack)))
    assert made["status"] == "success", made
    point = made["resources"][0]["result"]["restorePoint"]
    until(lambda: sweep(stack, "--dry-run")["distrust"] is None)
    with stack.fault(operation="ebs:GetSnapshotBlock", kind="latency", seconds=3):
        session = stack.start({**backup(stack), "options": {"full": True}})
        stack.wait_for_status(session, {"running"})
        there = stack.left()
        assert {one.kind for one in there} == {"worker", "temporary role", "instance profile", "snapshot", "order"}

        lose_ledger(stack)
        told = stack.run("session", "list")
        stack.daywork("ledger", "upgrade")
        empty = stack.run("repository", "import")
        stack.daywork("account", "apply", "-f", str(document))
        found = sweep(stack)

    assert told.returncode == 9
    assert "no ledger here" in told.stderr
    assert empty.returncode == 7
    assert "account apply" in empty.stderr
    assert "new or restored" in found["distrust"]
    # Machines and snapshots younger than a minute are not even reported.
    assert {one["kind"] for one in found["findings"]} >= {"role", "orders"}
    assert {one["done"] for one in found["findings"]} == {"reported"}

    # The agent of the lost session ends its job and itself: from then on the repository is at rest.
    until(lambda: not [one for one in stack.left() if one.kind == "worker"])
    imported = json.loads(stack.daywork("repository", "import", "--output", "json"))["repositories"][0]
    assert imported["entered"] >= 1
    assert point in points(stack)
    assert json.loads(stack.daywork("repository", "import", "--output", "json"))["repositories"][0]["entered"] == 0

    check_restore(stack, point)
    # What the lost session made and its worker did not remove itself is all still there.
    assert set(there) - set(stack.left()) <= {one for one in there if one.kind == "worker"}

    adopted = sweep(stack, "--adopt")
    assert adopted["distrust"] is None
    assert {one["done"] for one in adopted["findings"] if one["kind"] in ("role", "orders")} == {"marked"}


def check_restore(stack: Stack, point: str) -> None:
    """Restore a point from what the import has entered, and compare every volume block by block."""
    account = min(stack.instances())
    request = {
        "operation": "ec2-restore-volume",
        "mode": "backup",
        "resources": [{"account": account, "region": REGION, "id": point}],
    }

    record = stack.wait(stack.start(request))

    assert record["status"] == "success", record
    volumes = record["resources"][0]["result"]["volumes"]
    assert len(volumes) >= 2
    for one in volumes:
        assert stack.eye.blocks(account, one["newVolumeId"]) == stack.eye.blocks(account, one["volumeId"])
