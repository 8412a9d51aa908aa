"""From a request to a plan: pure, so every case is a line."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support import install as values
from support.clock import BEGINNING
from support.install import HOME, OTHER_REGION, REGION, A, B, arn

from orchestrator import planner
from orchestrator.errors import Refused
from orchestrator.ledger.points import RestorePoint
from orchestrator.model.account import Registry
from orchestrator.model.plan import Access, ResourcePlan, SourceVolume
from orchestrator.model.request import SessionRequest
from orchestrator.model.status import DeploymentMode
from orchestrator.planner.place import Site, requirement
from orchestrator.ports import InstanceView

BACKUP, PRODUCTION = DeploymentMode.BACKUP, DeploymentMode.PRODUCTION
PROFILE = ("worker-profile", arn(A, "DayworkWorker"))
ROOT = SourceVolume(volume_id="vol-00000001", device="/dev/xvda", size_gib=8)
DATA = SourceVolume(volume_id="vol-00000002", device="/dev/sdf", size_gib=20, encrypted=True)


def context(
    operation: str = "ec2-backup",
    mode: DeploymentMode = BACKUP,
    document: dict[str, Any] | None = None,
    **request: Any,
) -> planner.Context:
    """Return what planning knows."""
    resource = {"account": A, "region": REGION, "id": "x"}
    body = {"source": "test", "id": "1", "operation": operation, "resources": [resource], **request}
    return planner.Context(
        request=SessionRequest.model_validate(body),
        mode=mode,
        registry=Registry.model_validate(document or values.document()),
        install="test",
        home_account=HOME,
        worker_image="ami-1",
    )


def access(account: str = A, purpose: str = "Backup", region: str = REGION) -> Access:
    """Return the operation's own access."""
    return Access(account=account, region=region, role=arn(account, f"Daywork{purpose}"))


def view(*volumes: SourceVolume, zone: str = f"{REGION}a") -> InstanceView:
    """Return a described instance."""
    return InstanceView(
        instance_id="i-00000001",
        state="running",
        instance_type="m5.large",
        availability_zone=zone,
        volumes=volumes,
        configuration={"rootDevice": "/dev/xvda", "availabilityZone": zone},
    )


def point(**changes: Any) -> RestorePoint:
    """Return a restore point of an instance with two volumes."""
    volumes = [one.model_dump(mode="json", by_alias=True, exclude_none=True) for one in (ROOT, DATA)]
    base: dict[str, Any] = {
        "id": "rp-1", "account": A, "region": REGION, "resource_id": "i-00000001", "repository": "main",
        "session": "s-1", "kind": "full", "status": "complete", "parent": None, "created_at": BEGINNING,
        "record": {"volumes": volumes, "configuration": {"availabilityZone": f"{REGION}a"}},
    }  # fmt: skip
    return RestorePoint(**{**base, **changes})


def backup(instance: InstanceView | None, **changes: Any) -> ResourcePlan:
    """Plan a backup in backup mode."""
    return planner.plan_backup(context(**changes), access(), instance, "i-00000001", None)


def restore(found: RestorePoint | None = None, place: Access | None = None, **changes: Any) -> ResourcePlan:
    """Plan a restore into account A."""
    more = {name: changes.pop(name) for name in ("target", "taken") if name in changes}
    where = place or access(purpose="Restore")
    return planner.plan_restore_volume(
        context("ec2-restore-volume", **changes), where, found or point(), "rp-1", None, **more
    )


def test_backup_mode_deploys_in_the_backup_account_and_reads_with_the_data_role() -> None:
    """The worker's own role cannot reach another account's blocks."""
    plan = backup(view(ROOT, DATA))

    assert plan.worker.access == Access(account=HOME, region=REGION, role=arn(HOME, "DayworkWorkerDeployment"))
    assert (plan.worker.profile, plan.worker.role) == (None, None)
    assert plan.data_role == arn(A, "DayworkData")
    assert plan.repository_role is None, "the repository is in the worker's own account"
    assert plan.size_bytes == 28 * planner.GIB
    assert plan.chain == f"{A}/{REGION}/i-00000001"


def test_production_mode_deploys_in_the_resources_account_and_reaches_the_repository_by_its_role() -> None:
    """The worker role holds the rights on blocks itself."""
    plan = planner.plan_backup(context(mode=PRODUCTION), access(), view(ROOT), "i-00000001", PROFILE)

    assert plan.worker.access == access()
    assert (plan.worker.profile, plan.worker.role) == PROFILE
    assert plan.data_role is None
    assert plan.repository_role == arn(HOME, "DayworkRepository")


def test_a_resource_of_the_backup_account_needs_no_data_role() -> None:
    """Its blocks are in the worker's own account."""
    plan = planner.plan_backup(context(), access(HOME), view(ROOT), "i-00000001", None)

    assert plan.data_role is None


def test_excluded_volumes_are_left_out_and_the_root_volume_by_a_word_of_its_own() -> None:
    """EC2 takes the root volume in no list."""
    without_data = backup(view(ROOT, DATA), options={"excludeVolumes": [DATA.volume_id, "vol-99999999"]})
    without_root = backup(view(ROOT, DATA), options={"excludeVolumes": [ROOT.volume_id]})

    assert (without_data.details["excludeVolumes"], without_data.details["excludeBoot"]) == ([DATA.volume_id], False)
    assert (without_root.details["excludeVolumes"], without_root.details["excludeBoot"]) == ([], True)
    assert [one.volume_id for one in without_root.volumes] == [DATA.volume_id]


def test_what_cannot_be_backed_up_is_refused_with_a_remedy() -> None:
    """No instance, no volume, everything excluded."""
    cases = [(None, {}), (view(), {}), (view(ROOT), {"options": {"excludeVolumes": [ROOT.volume_id]}})]
    for instance, changes in cases:
        with pytest.raises(Refused) as caught:
            backup(instance, **changes)
        assert "i-00000001" in caught.value.reason
        assert caught.value.remedy


@pytest.mark.parametrize(
    ("break_it", "field"),
    [
        (lambda accounts: accounts[1]["roles"].pop("data"), "roles.data"),
        (lambda accounts: accounts[0].update(workerConfigurations=[]), "workerConfigurations"),
    ],
)
def test_what_the_registry_lacks_is_named(break_it: Any, field: str) -> None:
    """And how to add it."""
    document = values.document()
    break_it(document["accounts"])

    with pytest.raises(Refused) as caught:
        backup(view(ROOT), document=document)

    assert caught.value.field == field
    assert caught.value.remedy


def test_without_a_backup_account_the_control_planes_own_deploys_with_its_own_identity() -> None:
    """The default of OPERATIONS section 1."""
    document = values.document()
    del document["accounts"][0]["backupAccount"], document["accounts"][0]["roles"]["workerDeployment"]

    plan = backup(view(ROOT), document=document)

    assert plan.worker.access == Access(account=HOME, region=REGION, role=None)


def test_another_account_needs_a_deployment_role() -> None:
    """Its own identity is not ours."""
    document = values.document()
    del document["accounts"][0]["backupAccount"]
    document["accounts"][1]["backupAccount"] = True

    with pytest.raises(Refused) as caught:
        backup(view(ROOT), document=document)

    assert caught.value.field == "roles.workerDeployment"


def test_a_role_of_the_request_replaces_the_registrys_in_its_own_account_alone() -> None:
    """Other accounts keep theirs."""
    known = context(roles={"operation": arn(A, "Special")})

    assert planner.operation_access(known, A, REGION).role == arn(A, "Special")
    assert planner.operation_access(known, B, REGION).role == arn(B, "DayworkBackup")


def test_a_restore_goes_where_the_source_was_unless_it_cannot() -> None:
    """Zone: asked for, the source's in the same Region, or wherever the worker is."""
    elsewhere = access(purpose="Restore", region=OTHER_REGION)

    assert restore().details["zone"] == f"{REGION}a"
    assert restore(options={"availabilityZone": f"{REGION}b"}).details["zone"] == f"{REGION}b"
    assert "zone" not in restore(place=elsewhere).details


def test_a_restore_into_an_instance_takes_its_zone_and_a_free_device() -> None:
    """The volume's own name if it is free."""
    options = {"attachTo": "i-00000001"}
    target = view(ROOT, zone=f"{REGION}c")

    plan = restore(options=options, target=target)

    assert plan.details["zone"] == f"{REGION}c"
    assert plan.details["devices"] == {ROOT.volume_id: "/dev/sdf", DATA.volume_id: "/dev/sdg"}
    assert restore(options=options, target=target, taken={"/dev/sdf"}).details["devices"][ROOT.volume_id] == "/dev/sdg"


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"volumes": ["vol-99999999"]}, "options.volumes"),
        ({"availabilityZone": "us-east-1a"}, "options.availabilityZone"),
        ({"attachTo": "i-00000009"}, "options.attachTo"),
        ({"kmsKey": f"arn:aws:kms:us-east-1:{A}:key/1"}, "options.kmsKey"),
    ],
)
def test_a_restore_that_cannot_be_is_refused_by_its_field(options: dict[str, Any], field: str) -> None:
    """Before a worker is launched, and with what to do."""
    with pytest.raises(Refused) as caught:
        restore(options=options)

    assert caught.value.field == field
    assert caught.value.remedy


def test_a_zone_that_is_not_the_target_instances_is_refused() -> None:
    """A volume can only be attached in its own zone."""
    with pytest.raises(Refused, match="can only be attached there"):
        restore(options={"attachTo": "i-00000001", "availabilityZone": f"{REGION}b"}, target=view(ROOT))


def test_a_point_of_another_repository_is_refused_with_its_name() -> None:
    """The worker would look in the wrong place."""
    with pytest.raises(Refused) as caught:
        restore(point(repository="other"))

    assert "other" in caught.value.remedy


def test_the_sessions_plan_holds_the_temporary_role_in_backup_mode_alone() -> None:
    """And the repository's entry as it is now."""
    common: dict[str, Any] = {"role_name": "dw-1", "path": "/daywork/test/"}

    made = planner.plan_session(context(), **common)
    other = planner.plan_session(context(mode=PRODUCTION), **common)

    assert made.temporary_role is not None
    assert (made.temporary_role.account, made.temporary_role.path) == (HOME, "/daywork/test/")
    assert made.settled == context().repository(), "later changes of the registry do not touch it"
    assert other.temporary_role is None


def test_a_worker_carries_the_tags_of_its_own_account_in_both_modes() -> None:
    """Variables are filled in at launch; that they will not grow too long is seen before."""
    document = values.document()
    document["accounts"][1]["tags"] = {"team": "%policyName%/%sessionId%"}
    planned = context(mode=PRODUCTION, document=document)

    home = planner.plan_backup(context(document=document), access(), view(ROOT), "i-00000001", None)
    theirs = planner.plan_backup(planned, access(), view(ROOT), "i-00000001", PROFILE)

    assert home.worker.tags == {"cost-center": "backup-%policyName%", "session": "%sessionId%"}
    assert theirs.worker.tags == {"team": "%policyName%/%sessionId%"}
    with pytest.raises(Refused, match="longer than 256"):
        planner.plan_backup(replace(planned, policy="p" * 250), access(), view(ROOT), "i-00000001", PROFILE)


def test_an_accounts_profiles_replace_the_catalogues_types() -> None:
    """By size, for one Region before all, and for one operation before any size; where the worker is launched."""
    document = values.document()
    document["accounts"][0]["workerProfiles"] = [
        {"small": ["m7g.large"], "medium": ["m7g.xlarge"]},
        {"region": REGION, "small": ["c7i.large", "c6i.large"]},
    ]

    def types(gib: int, where: str = REGION) -> tuple[str, ...]:
        volume = SourceVolume(volume_id="vol-00000001", device="/dev/xvda", size_gib=gib)
        found = planner.plan_backup(context(document=document), access(region=where), view(volume), "i-00000001", None)
        return found.worker.instance_types

    assert types(8) == ("c7i.large", "c6i.large")
    assert types(2048) == ("m7g.xlarge",)
    assert types(8, OTHER_REGION) == ("m7g.large",)
    assert types(20 * 1024)[0] == "c5.4xlarge", "what no profile names is the catalogue's"
    document["accounts"][0]["workerProfiles"][1]["operations"] = {"ec2-backup": ["r7i.large"]}
    assert types(8) == types(2048) == ("r7i.large",)


def test_a_network_by_tags_is_asked_of_the_resolver_by_its_tags() -> None:
    """VPC, subnets and security groups; the VPC of the resource goes before a configured one."""
    document = values.document()
    document["accounts"][1]["workerConfigurations"] = [
        {"region": REGION, "vpc": {"tags": {"a": "1"}}, "subnets": {"tags": {"b": "2"}}, "securityGroups": ["sg-1"]}
    ]
    found = Registry.model_validate(document).accounts[1]
    options: dict[str, Any] = {"control_region": REGION, "repository_region": REGION}

    wanted = requirement(found, REGION, PRODUCTION, **options)
    beside = requirement(found, REGION, PRODUCTION, site=Site(vpc="vpc-9", zones=("z",)), **options)

    assert (wanted.vpc, wanted.vpc_tags, wanted.subnets, wanted.subnet_tags) == (None, (("a", "1"),), (), (("b", "2"),))
    assert (wanted.security_groups, wanted.group_tags, wanted.default_vpc) == (("sg-1",), (), False)
    assert (beside.vpc, beside.zones) == ("vpc-9", ("z",))


def test_no_worker_is_planned_where_the_backup_account_is_not_registered() -> None:
    """Nobody would look there for what is left behind."""
    document = values.document()
    document["accounts"][0]["regions"] = [OTHER_REGION]

    with pytest.raises(Refused) as caught:
        backup(view(ROOT), document=document)

    assert (caught.value.field, caught.value.value) == ("accounts.regions", REGION)
