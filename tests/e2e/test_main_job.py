"""The main job on a whole stack: what the product promises, checked in the cloud and not only in its own records."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest
from support.guard import Expected, Guard, Spare
from support.stack import HOME, REGION, Stack, running_stack, until

pytestmark = pytest.mark.timeout(600)

_GONE: Final = "a removal that is repeated: what is gone has no path and no tag, so AWS refuses rather than says so"
#: What the tests of this module bring about on purpose. Everything else that is refused is a mistake.
REFUSED: Final = (
    Expected("*:user/daywork-control-plane", "sts:AssumeRole", "*:role/Daywork*", "a wrong external id"),
    Expected("*:assumed-role/DayworkBackup/*", "ec2:CreateSnapshots", "*:snapshot/*", "a statement taken away"),
    Expected("*:assumed-role/DayworkData/i-*", "ebs:List*Blocks", "*:snapshot/*", "a statement taken away"),
    Expected(
        "*:assumed-role/Daywork*/i-*", "ebs:GetSnapshotBlock", "*:snapshot/*",
        "a call of a worker that was ended, held up by a fault until its snapshot was gone",
    ),
    Expected("*:assumed-role/DayworkWorkerDeployment/*", "iam:Delete*", "*/dw-*", _GONE),
    Expected("*:assumed-role/DayworkWorkerDeployment/*", "iam:RemoveRole*", "*/dw-*", _GONE),
    Expected("*:assumed-role/Daywork*", "ec2:DeleteSnapshot", "*:snapshot/*", _GONE),
    Expected("*:assumed-role/Daywork*", "ec2:TerminateInstances", "*:instance/*", _GONE),
)  # fmt: skip
_NO_KEYS: Final = "no volume of the seed has a key of its own"
_FIRST_BACKUP: Final = "the first backup makes the key, whichever role its worker has"
_HOME: Final = "no instance of the backup account itself is backed up here"
_REFUSED_BEFORE: Final = "the plan ends with what does not exist"
#: Grants that these sessions do not need, each with why; test_role_documents.py of the embedded cloud uses them.
SPARE: Final = (
    Spare("*", "BlockKeys", "kms:Decrypt", _NO_KEYS),
    Spare("DayworkRestore", "VolumeKeys", "kms:*", _NO_KEYS),
    Spare("DayworkRestore", "SeeKeys", "kms:*", "no restore names a key"),
    Spare("DayworkRestore", "Attach*", "ec2:AttachVolume", "no restore attaches"),
    Spare("DayworkRestore", "DropOwnVolumes", "ec2:DeleteVolume", "no restore fails after its volume was made"),
    Spare("DayworkRestore", "Rebuild*", "ec2:*", "no instance is restored: tests/e2e/operations does"),
    Spare("DayworkRestore", "See", "ec2:DescribeImages", "the sweeper looks for images", is_chance=True),
    Spare("DayworkRestore", "SeeTargets", "rds:*", "there is no restore point of a database"),
    Spare("DayworkBackup", "SeeFileSystems", "*:DescribeMountTarget*", _REFUSED_BEFORE),
    Spare("DayworkFiles", "See", "ec2:*", _REFUSED_BEFORE),
    Spare("DayworkFiles", "SeeQuota", "servicequotas:*", _REFUSED_BEFORE),
    Spare("DayworkFiles", "Launch*", "ec2:*", _REFUSED_BEFORE),
    Spare("DayworkFiles", "TagAtLaunch", "ec2:*", _REFUSED_BEFORE),
    Spare("DayworkFiles", "Pass", "iam:*", _REFUSED_BEFORE),
    Spare("DayworkFiles", "Own*", "s3:*", _REFUSED_BEFORE),
    Spare("DayworkFiles", "Reports", "sqs:*", _REFUSED_BEFORE),
    Spare("Daywork*", "File*", "*", _REFUSED_BEFORE),
    Spare("daywork-control-*", "OwnFiles", "s3:*", "no worker of another account restores files here"),
    Spare("DayworkRepository", "RepositoryKey", "kms:GenerateDataKey", _FIRST_BACKUP, is_chance=True),
    Spare("temporary", "RepositoryKey", "kms:GenerateDataKey", _FIRST_BACKUP, is_chance=True),
    Spare("DayworkRepositoryReader", "OpenHeads", "kms:Decrypt", "the ledger knows all points already", is_chance=True),
    Spare("Daywork*", "Archive*", "*", "nothing is archived"),
    Spare("DayworkRepositoryReader", "*Archived*", "s3:*", "nothing is archived", is_chance=True),
    Spare("DayworkRepositoryReader", "Retrieve", "s3:RestoreObject", "nothing is archived"),
    Spare("temporary", "Blocks", "ebs:*", _HOME),
    Spare("DayworkWorker", "Repository*", "*", _HOME),
    Spare("DayworkRepositoryOpener", "Repository*", "*", "nobody looks into points: tests/e2e/operations does"),
    Spare("temporary", "Bases", "ebs:*", _HOME),
    Spare("*", "ReadConsoles", "ec2:GetConsoleOutput", "read when an agent does not start", is_chance=True),
    Spare("Daywork*", "Terminate", "ec2:TerminateInstances", "agents end their instances themselves", is_chance=True),
    Spare("daywork-control-plane", "LedgerBackups", "s3:*", "the ledger is copied from time to time", is_chance=True),
    Spare("daywork-control-plane", "Epoch", "s3:PutObject", "written when a ledger is new", is_chance=True),
    Spare("daywork-control-plane", "Orders", "s3:GetObject", "results are read when a report was lost", is_chance=True),
)  # fmt: skip


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Stack]:
    """Three production accounts with two instances each, their roles made from our own documents.

    At the end nothing may have been refused unexpectedly and, when all tests of this module ran, no grant be unused.
    """
    with running_stack(tmp_path_factory.mktemp("stack"), accounts=3, instances=2) as running:
        yield running
        guard = Guard(running)
        assert guard.refused(REFUSED) == []
        mine = [one for one in request.session.items if one.path == request.path]
        if {one.originalname for one in mine if isinstance(one, pytest.Function)} == _tests():
            assert guard.spare(SPARE) == []
            assert guard.superfluous(SPARE) == []


def _tests() -> set[str]:
    return {name for name in globals() if name.startswith("test_")}


def backup(stack: Stack, mode: str, count: int | None = None) -> dict[str, Any]:
    """Return a request over the stack's instances, or the first `count` of them."""
    resources = [
        {"account": account, "region": REGION, "id": one} for account, ids in stack.instances().items() for one in ids
    ]
    return {"operation": "ec2-backup", "mode": mode, "resources": resources[:count]}


#: An incremental of what has not changed reads nothing, so that nothing can hold it up.
FULL: Final = {"options": {"full": True}}


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

    request = {
        "operation": "ec2-restore-volume",
        "mode": mode,
        "resources": [{"account": account, "region": REGION, "id": point}],
    }
    planned = plan(stack, request)

    record = stack.wait(stack.start(request))

    assert [one["status"] for one in planned["resources"]] == ["ok"]
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
        session = stack.start({**backup(stack, "backup", 2), **FULL})
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
        session = stack.start({**backup(stack, mode, 3), **FULL})
        stack.wait_for_status(session, {"running"})
        kill_celery(stack)

    record = stack.wait(session, seconds=240)

    assert record["status"] == "success", record
    assert record["receipt"]["remaining"] == []
    assert stack.left(kept=all_kept(stack)) == []


@contextmanager
def without(stack: Stack, account: str, role: str, sid: str) -> Iterator[None]:
    """Take a statement away from a role for a while."""
    iam = stack.eye.client(account, "iam")
    document = iam.get_role_policy(RoleName=role, PolicyName="daywork")["PolicyDocument"]
    rest = [one for one in document["Statement"] if one["Sid"] != sid]

    def put(statements: list[Any]) -> None:
        text = json.dumps({**document, "Statement": statements})
        iam.put_role_policy(RoleName=role, PolicyName="daywork", PolicyDocument=text)

    assert rest != document["Statement"]
    put(rest)
    try:
        yield
    finally:
        put(document["Statement"])


def test_a_right_that_was_taken_away_is_named_and_fails_its_account_alone(stack: Stack) -> None:
    """By `account check` beforehand, and as the reason of the resources; a right of a role and one of its workers'."""
    first, second, third = sorted(stack.instances())
    with without(stack, first, "DayworkBackup", "SnapshotTagged"), without(stack, second, "DayworkData", "Blocks"):
        checked = json.loads(stack.daywork("account", "check", "--output", "json", expect=8))
        record = stack.wait(stack.start(backup(stack, "backup")))

    named = {(one["account"], one["add"]["Sid"]) for one in checked["findings"] if one["state"] == "missing"}
    assert named == {(first, "SnapshotTagged"), (second, "Blocks")}
    assert record["status"] == "warning", record
    reasons = {one["account"]: one["reason"] or "" for one in record["resources"] if one["status"] == "failed"}
    assert set(reasons) == {first, second}
    assert "ec2:CreateSnapshots" in reasons[first]
    assert "ListSnapshotBlocks" in reasons[second]
    assert {one["status"] for one in record["resources"] if one["account"] == third} == {"success"}
    assert record["receipt"]["remaining"] == []
    assert stack.left(kept=all_kept(stack)) == []


def plan(stack: Stack, request: dict[str, Any], *, expect: int = 0) -> dict[str, Any]:
    """Have a request planned; return what would be done."""
    path = stack.directory / f"plan-{request['operation']}.json"
    path.write_text(json.dumps({"source": "test", "id": path.stem, **request}))
    forecast: dict[str, Any] = json.loads(stack.daywork("plan", "-f", str(path), "--output", "json", expect=expect))
    return forecast


def test_accounts_and_plans_are_well_and_change_nothing(stack: Stack) -> None:
    """Every right is there, and the plan of a session over all accounts refuses nothing, in both modes."""
    checked = json.loads(stack.daywork("account", "check", "--output", "json"))
    plans = [plan(stack, backup(stack, mode)) for mode in ("backup", "production")]

    assert checked["ok"] is True
    assert [one for one in checked["findings"] if one["state"] != "ok"] == []
    assert [len(one["resources"]) for one in plans] == [6, 6]
    assert stack.left(kept=all_kept(stack)) == []


@pytest.mark.parametrize("operation", ["rds-backup", "efs-index", "ec2-restore-files"])
def test_what_does_not_exist_is_looked_for_and_refused_by_name(stack: Stack, operation: str) -> None:
    """With the rights that its role has for it."""
    account = min(stack.instances())
    name = {"efs-index": "fs-0123456789abcdef0", "ec2-restore-files": "snap-0123456789abcdef0"}.get(
        operation, "nowhere"
    )
    request = {"operation": operation, "resources": [{"account": account, "region": REGION, "id": name}]}
    if operation == "ec2-restore-files":
        request["mode"] = "production"

    forecast = plan(stack, request, expect=8)

    assert [one["status"] for one in forecast["resources"]] == ["refused"]
    assert "does not exist" in json.dumps(forecast) or "not known" in json.dumps(forecast)


def test_the_repositories_are_read_with_the_readers_role(stack: Stack) -> None:
    """What restore points there are is known also without the ledger."""
    made = stack.wait(stack.start(backup(stack, "backup", 1)))

    stack.daywork("repository", "import")

    points = json.loads(stack.daywork("restore-point", "list", "--output", "json"))["restorePoints"]
    assert made["resources"][0]["result"]["restorePoint"] in {one["id"] for one in points}


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
