"""Every allowed cell of the catalogue planned from what is read: whose roles, which account, where, on what."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from support.install import HOME, OTHER_REGION, REGION, A, arn, document
from support.scenarios import restore_point
from support.stage import Stage
from support.stages import *  # noqa: F403 - fixtures are found by their names

from orchestrator import planning, tags
from orchestrator.errors import Refused
from orchestrator.ledger import registry
from orchestrator.ledger.points import RestorePoint, add
from orchestrator.model.account import Registry
from orchestrator.model.plan import Access, ResourcePlan
from orchestrator.model.request import SessionRequest
from orchestrator.model.status import DeploymentMode
from orchestrator.operations import CATALOGUE, ROWS
from orchestrator.planner.selection import spread
from orchestrator.ports import DatabaseView, FileSystemView, MountTargetView

GIB = 2**30
DEPLOY = arn(HOME, "DayworkWorkerDeployment")

#: number, operation, mode -> the operation's own role, the deploying role, profile, Region of the worker, data role,
#: role of the repository, first instance type. The repository is in the other Region, in the backup account.
CELLS: list[tuple[str, str, str, str, str, str | None, str, str | None, str | None, str]] = [
    ("1", "ec2-backup", "backup", arn(A, "DayworkBackup"), DEPLOY, None, REGION, arn(A, "DayworkData"), None,
     "c5.large"),
    ("1", "ec2-backup", "production", arn(A, "DayworkBackup"), arn(A, "DayworkBackup"), "DayworkWorker", REGION, None,
     arn(HOME, "DayworkRepository"), "c5.large"),
    ("2", "ec2-restore-instance", "backup", arn(A, "DayworkRestore"), DEPLOY, None, REGION, arn(A, "DayworkData"), None,
     "c5.large"),
    ("2", "ec2-restore-instance", "production", arn(A, "DayworkRestore"), arn(A, "DayworkRestore"), "DayworkWorker",
     REGION, None, arn(HOME, "DayworkRepository"), "c5.large"),
    ("3", "ec2-restore-volume", "backup", arn(A, "DayworkRestore"), DEPLOY, None, REGION, arn(A, "DayworkData"), None,
     "c5.large"),
    ("3", "ec2-restore-volume", "production", arn(A, "DayworkRestore"), arn(A, "DayworkRestore"), "DayworkWorker",
     REGION, None, arn(HOME, "DayworkRepository"), "c5.large"),
    ("4", "ec2-restore-files", "backup", DEPLOY, DEPLOY, None, OTHER_REGION, None, None, "t3.medium"),
    ("4b", "ec2-restore-files", "backup", arn(A, "DayworkFiles"), DEPLOY, None, REGION, arn(A, "DayworkData"), None,
     "t3.medium"),
    ("4b", "ec2-restore-files", "production", arn(A, "DayworkFiles"), arn(A, "DayworkFiles"), "DayworkFiles", REGION,
     None, arn(HOME, "DayworkRepository"), "t3.medium"),
    ("5", "ec2-retention", "backup", DEPLOY, DEPLOY, None, OTHER_REGION, None, None, "c5.large"),
    ("6", "ec2-archive", "backup", DEPLOY, DEPLOY, None, OTHER_REGION, None, None, "c5.2xlarge"),
    ("7", "rds-archive", "backup", DEPLOY, DEPLOY, None, OTHER_REGION, None, None, "c5.2xlarge"),
    ("8", "ec2-health-check", "backup", DEPLOY, DEPLOY, None, OTHER_REGION, None, None, "c5.large"),
    ("9", "rds-health-check", "backup", DEPLOY, DEPLOY, None, OTHER_REGION, None, None, "c5.large"),
    ("10", "efs-index", "production", arn(A, "DayworkBackup"), arn(A, "DayworkBackup"), "DayworkWorker", REGION, None,
     arn(HOME, "DayworkRepository"), "t3.medium"),
    ("11", "rds-backup", "production", arn(A, "DayworkBackup"), arn(A, "DayworkBackup"), "DayworkWorker", REGION, None,
     arn(HOME, "DayworkRepository"), "c5.xlarge"),
    ("12", "rds-restore-database", "production", arn(A, "DayworkRestore"), arn(A, "DayworkRestore"), "DayworkWorker",
     REGION, None, arn(HOME, "DayworkRepository"), "c5.large"),
]  # fmt: skip

OPTIONS: dict[str, dict[str, Any]] = {
    "ec2-restore-instance": {"subnet": "subnet-production-a-1", "securityGroups": ["sg-production-a"]},
    "ec2-retention": {"keep": {"last": 1}},
    "rds-restore-database": {"instance": "erp"},
}


@pytest.fixture
def furnished(stage: Stage) -> Stage:
    """A stage with the repository in another Region, a DB instance, a file system, and points of both kinds."""
    found = document()
    found["repositories"][0] |= {"region": OTHER_REGION, "archive": {"url": "s3://daywork-archive/main"}}
    stage.document = found
    with stage.ledger.write() as tx:
        registry.apply(tx, Registry.model_validate(found))
    stage.world.add_role(A, "DayworkFiles", profile=True, external_id=stage.world.roles[A, "DayworkBackup"].external_id)
    target = MountTargetView(
        id="fsmt-1", subnet="subnet-theirs", availability_zone=f"{REGION}b", vpc="vpc-fake", state="available",
        security_groups=("sg-mount",),
    )  # fmt: skip
    stage.world.file_systems[A, REGION] = {
        "fs-00000001": FileSystemView(id="fs-00000001", state="available", size_bytes=5 * GIB, mount_targets=(target,))
    }
    stage.world.databases[A, REGION] = {
        "erp": DatabaseView(
            id="erp", engine="postgres", engine_version="16.3", state="available", size_gib=80, vpc="vpc-fake",
            address="erp.example",
        )
    }  # fmt: skip
    return stage


def subject(stage: Stage, number: str) -> str:
    """Return a resource for a row, of account A; what it needs is there."""
    instance = stage.instance(A, 8, 20)
    name = instance.split("/")[2]
    if number == "1":
        return name
    if number in ("2", "3", "4", "6", "8"):
        return restore_point(stage, instance)
    if number == "5":
        restore_point(stage, instance)
        return name
    if number == "4b":
        access = Access(account=A, region=REGION, role=arn(A, "DayworkBackup"))
        made = stage.services.cloud.compute(access).make_snapshots(
            name, exclude_volumes=[], exclude_boot=False, tags={tags.FILES: "test"}, description=""
        )
        stage.clock.pass_by(timedelta(minutes=5))
        return str(made[0].snapshot_id)
    if number in ("7", "9", "12"):
        with stage.ledger.write() as tx:
            add(tx, database_point(stage))
        return "rp-erp"
    return {"10": "fs-00000001", "11": "erp"}[number]


def database_point(stage: Stage, **changes: Any) -> RestorePoint:
    """Return a restore point of a DB instance, as its backup will write it."""
    found = RestorePoint(
        id="rp-erp", account=A, region=REGION, resource_id="erp", repository="main", session="s-before", kind="full",
        status="complete", parent=None, created_at=stage.clock.now(),
        record={"sizeBytes": 80 * GIB, "databases": ["orders"], "engineVersion": "16.1"},
    )  # fmt: skip
    return replace(found, **changes)


def plan(stage: Stage, operation: str, mode: str, resource: str, **options: Any) -> ResourcePlan:
    """Plan one resource of account A through what `start` and `daywork plan` use."""
    body = {
        "source": "test", "id": "1", "operation": operation, "mode": mode, "options": options,
        "resources": [{"account": A, "region": REGION, "id": resource}],
    }  # fmt: skip
    with stage.ledger.read() as tx:
        known = registry.load(tx)
    request = SessionRequest.model_validate(body)
    context = planning.context(stage.services, request, DeploymentMode(mode), known)
    group = planning.read(stage.services, context, A, REGION, [resource])
    with stage.ledger.read() as tx:
        return planning.decide(tx, context, group, resource)


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: f"{cell[0]}-{cell[2]}")
def test_a_cell_is_planned_with_the_roles_the_place_and_the_types_of_its_row(furnished: Stage, cell: Any) -> None:
    """OPERATIONS section 2, whole: nothing is made for it."""
    number, operation, mode, own, deploying, profile, region, data, repository, kind = cell
    resource = subject(furnished, number)
    furnished.world.script.calls.clear()

    found = plan(furnished, operation, mode, resource, **OPTIONS.get(operation, {}))

    assert found.operation.role == own
    assert (found.worker.access.role, found.worker.profile, found.worker.access.region) == (deploying, profile, region)
    assert found.worker.access.account == (HOME if mode == "backup" else A)
    assert (found.worker.role is None) == (mode == "backup")
    assert (found.data_role, found.repository_role) == (data, repository)
    assert found.worker.instance_types[0] == kind
    making = {"create_role", "make_snapshots", "start_snapshot", "make_volume", "launch", "give"}
    assert not making & {call.operation for call in furnished.world.script.calls}


def test_every_allowed_cell_is_among_those_above() -> None:
    """A new row needs a line."""
    assert {(row.number, mode) for row in ROWS for mode in row.modes} == {(cell[0], cell[2]) for cell in CELLS}


#: operation, resource, options -> words of the refusal.
REFUSED: list[tuple[str, str, str, dict[str, Any], str]] = [
    ("ec2-restore-files", "production", "rp-erp", {}, "cannot run in production mode"),
    ("ec2-restore-files", "backup", "rp-erp", {}, "is of RDS DB instance erp"),
    ("ec2-restore-files", "backup", "snap-00000bad", {}, "snap-00000bad does not exist"),
    ("ec2-archive", "backup", "rp-nobody", {}, "rp-nobody is not known"),
    ("ec2-archive", "backup", "rp-erp", {}, "takes points of an EC2 instance"),
    ("ec2-retention", "backup", "i-00000bad", {"keep": {"last": 1}}, "no restore point of i-00000bad is known"),
    ("efs-index", "production", "fs-00000bad", {}, "fs-00000bad does not exist"),
    ("rds-backup", "production", "nobody", {}, "DB instance nobody does not exist"),
    ("rds-restore-database", "production", "rp-erp", {"instance": "nobody"}, "DB instance nobody does not exist"),
    ("rds-restore-database", "production", "rp-erp", {"instance": "erp", "databases": ["x"]}, "holds no database x"),
]


@pytest.mark.parametrize(("operation", "mode", "resource", "options", "words"), REFUSED)
def test_what_cannot_be_planned_is_refused_with_reason_and_remedy(
    furnished: Stage, operation: str, mode: str, resource: str, options: dict[str, Any], words: str
) -> None:
    """Each for its own resource."""
    subject(furnished, "7")

    with pytest.raises(Refused, match=words) as caught:
        plan(furnished, operation, mode, resource, **options)

    assert caught.value.remedy


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"engine": "mysql"}, "runs mysql"),
        ({"state": "stopped"}, "erp is stopped"),
        ({"vpc": None}, "is in no VPC"),
    ],
)
def test_a_db_instance_that_no_worker_can_dump_is_refused(
    furnished: Stage, changes: dict[str, Any], words: str
) -> None:
    """Before anything is launched, with what to do."""
    databases = furnished.world.databases[A, REGION]
    databases["erp"] = replace(databases["erp"], **changes)

    with pytest.raises(Refused, match=words) as caught:
        plan(furnished, "rds-backup", "production", "erp")

    assert caught.value.remedy


def test_a_snapshot_is_opened_from_the_backup_account_only_with_its_owners_leave(furnished: Stage) -> None:
    """Its mark is none of ours, so nothing of ours ever removes it; in its own account it needs none."""
    marked = subject(furnished, "4b")
    access = Access(account=A, region=REGION, role=arn(A, "DayworkBackup"))
    (made,) = furnished.services.cloud.compute(access).make_snapshots(
        furnished.instance(A, 8).split("/")[2], exclude_volumes=[], exclude_boot=False, tags={}, description=""
    )
    furnished.clock.pass_by(timedelta(minutes=5))

    with pytest.raises(Refused, match="is not marked") as caught:
        plan(furnished, "ec2-restore-files", "backup", made.snapshot_id)

    assert f"{tags.FILES}=test" in caught.value.remedy
    assert plan(furnished, "ec2-restore-files", "production", made.snapshot_id).details["snapshot"] == made.snapshot_id
    assert plan(furnished, "ec2-restore-files", "backup", marked).data_role == arn(A, "DayworkData")


def test_a_point_of_a_later_major_version_is_not_loaded_into_an_older_one(furnished: Stage) -> None:
    """PostgreSQL's dumps go forward."""
    with furnished.ledger.write() as tx:
        add(tx, database_point(furnished, record={"engineVersion": "17.2"}))

    with pytest.raises(Refused, match=r"runs PostgreSQL 16\.3"):
        plan(furnished, "rds-restore-database", "production", "rp-erp", instance="erp")


def test_a_file_system_without_a_mount_target_is_refused(furnished: Stage) -> None:
    """There is no place for its worker."""
    systems = furnished.world.file_systems[A, REGION]
    systems["fs-00000001"] = replace(systems["fs-00000001"], mount_targets=())

    with pytest.raises(Refused, match="no mount target"):
        plan(furnished, "efs-index", "production", "fs-00000001")


def test_an_instance_restored_elsewhere_needs_a_network(furnished: Stage) -> None:
    """The recorded one means nothing in another account; a subnet that is not there is refused as well."""
    instance = furnished.instance(A)
    point = restore_point(furnished, instance, account=HOME)

    with pytest.raises(Refused) as caught:
        plan(furnished, "ec2-restore-instance", "backup", point)
    assert caught.value.field == "options.subnet"
    with pytest.raises(Refused, match="security"):
        plan(furnished, "ec2-restore-instance", "backup", point, subnet="subnet-production-a-1")
    with pytest.raises(Refused, match="subnet-0bad does not exist"):
        plan(furnished, "ec2-restore-instance", "backup", point, subnet="subnet-0bad", securityGroups=["sg-1"])


def test_a_repository_without_an_archive_cannot_be_archived(furnished: Stage) -> None:
    """The registry lacks it, and the refusal says where."""
    del furnished.document["repositories"][0]["archive"]
    with furnished.ledger.write() as tx:
        registry.apply(tx, Registry.model_validate(furnished.document))

    with pytest.raises(Refused) as caught:
        plan(furnished, "ec2-archive", "backup", restore_point(furnished, furnished.instance(A)))

    assert caught.value.field == "repositories.archive"


@pytest.mark.parametrize(
    ("operation", "options"),
    [("efs-index", {}), ("rds-backup", {}), ("ec2-retention", {"keep": {"last": 1}}), ("ec2-backup", {})],
)
def test_a_selector_finds_what_the_operation_works_on(
    furnished: Stage, operation: str, options: dict[str, Any]
) -> None:
    """File systems, DB instances, instances; for retention the instances whose points are due."""
    world, tagged = furnished.world, {"backup": "daily"}
    for kind in (world.databases, world.file_systems):
        for name, one in kind[A, REGION].items():
            kind[A, REGION][name] = replace(one, tags=tagged)  # type: ignore[type-var]
    instance = furnished.instance(A, tags=tagged).split("/")[2]
    body = {
        "source": "test", "id": "1", "operation": operation, "options": options,
        "select": [{"account": A, "region": REGION, "tags": {"backup": "dai*"}}],
    }  # fmt: skip
    with furnished.ledger.read() as tx:
        known = registry.load(tx)
    request = SessionRequest.model_validate(body)
    context = planning.context(furnished.services, request, CATALOGUE[operation].default, known)

    found = [one for selector in spread(context) for one in planning.select(furnished.services, context, selector)]

    expected = {"efs-index": "fs-00000001", "rds-backup": "erp"}.get(operation, instance)
    assert [(one.account, one.region, one.resource_id) for one in found] == [(A, REGION, expected)]
