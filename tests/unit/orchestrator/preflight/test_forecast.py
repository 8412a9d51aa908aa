"""Plans on a fake cloud: what a session would do, told without doing any of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from support import install
from support.install import HOME, OTHER_REGION, REGION, A, B, arn
from support.networks import network, subnet
from support.scenarios import SCENARIOS, hurry, restore_point
from support.stage import Stage

from orchestrator.errors import AccessDenied, Refused, Throttled
from orchestrator.ledger import registry
from orchestrator.model.account import Registry
from orchestrator.ports import KeyView
from orchestrator.preflight import Forecast, forecast, record

KEY = f"arn:aws:kms:{REGION}:{A}:key/aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
READING = {
    "check", "instances", "find_instances", "worker_profile", "network", "offered", "vcpus", "room_for_vcpus",
    "room_for_roles", "room_for_profiles", "key", "allows",
}  # fmt: skip


def request(*resources: str, **more: Any) -> dict[str, Any]:
    """Return a request over `ACCOUNT/REGION/ID`s."""
    named = [dict(zip(("account", "region", "id"), one.split("/", 2), strict=True)) for one in resources]
    return {"source": "test", "id": "plan", "operation": "ec2-backup", "resources": named, **more}


def statuses(found: Forecast) -> list[str]:
    """Return the status of each resource; whatever was found of it has a remedy."""
    assert all(finding.remedy for one in found.resources for finding in one.findings), reasons(found)
    return [one.status for one in found.resources]


def reasons(found: Forecast, number: int = 0) -> str:
    """Return all that was found of a resource."""
    return "; ".join(f"{one.severity}: {one.reason} -> {one.remedy}" for one in found.resources[number].findings)


def key_policy(principal: str, action: str = "kms:*") -> str:
    """Return a key policy that allows one principal."""
    return f'{{"Statement": [{{"Effect": "Allow", "Principal": {{"AWS": "{principal}"}}, "Action": "{action}"}}]}}'


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_session_executes_the_very_plan_that_was_shown(stage: Stage, scenario: str) -> None:
    """Object for object; and showing it made nothing."""
    hurry(stage)
    mode, _, kind = scenario.partition("-")
    sources = [stage.instance(A, 8, 20), stage.instance(B)]
    body = request(*sources, mode=mode)
    if kind == "restore":
        points = [restore_point(stage, one) for one in sources]
        named = [f"{account}/{REGION}/{point}" for account, point in zip((B, A), points, strict=True)]
        body = request(*named, operation="ec2-restore-volume", mode=mode)
    before = stage.iam()

    found = forecast(stage.services, body)

    calls = {one.operation for one in stage.world.script.calls}
    assert calls <= READING
    assert (stage.iam(), found.is_refused, statuses(found)) == (before, False, ["ok", "ok"])
    session = stage.submit(operation=body["operation"], mode=mode, resources=body["resources"])
    stage.run(session)
    executed = [one.plan.model_dump_json() for one in stage.resources(session) if one.plan is not None]
    assert executed == [plan.model_dump_json() for _, plan in found.planned()]


def test_a_plan_is_written_as_json_with_roles_place_and_room(stage: Stage) -> None:
    """Who deploys, what is attached, where it stands, what is left."""
    shown = record(forecast(stage.services, request(stage.instance(A), stage.instance(B))))

    assert (shown["refused"], shown["counts"], shown["mode"]) == (False, {"ok": 2}, "backup")
    assert shown["temporaryRole"] == {"account": HOME, "path": "/daywork/test/"}
    first = shown["resources"][0]
    assert first["roles"] == {
        "operation": arn(A, "DayworkBackup"),
        "deploying": arn(HOME, "DayworkWorkerDeployment"),
        "attached": None,
        "data": arn(A, "DayworkData"),
        "repository": None,
    }
    assert first["plan"]["worker"]["instanceTypes"] == ["c5.large", "c5a.large", "m5.large"]
    assert [one["id"] for one in first["subnets"]] == ["subnet-backup-1", "subnet-backup-2"]
    assert first["subnets"][0]["reaches"]["com.amazonaws.eu-west-1.sqs"] == "nat-fake"
    (place,) = shown["places"]
    assert (place["account"], place["workers"]) == (HOME, 2)
    assert place["vcpus"] == {"needed": 4, "used": 0, "quota": 1152, "left": 1152}
    assert place["launch"] == {"seconds": 0.0, "calls": 1}
    assert place["roles"]["quota"] == 1000


def test_a_subnet_without_addresses_is_named_and_not_used(stage: Stage) -> None:
    """The worker goes to the one that fits; when none does, every one is named."""
    full = subnet("subnet-production-a-1", free_addresses=0)
    roomy = subnet("subnet-production-a-2")
    given = network(full, roomy)
    stage.world.networks[A, REGION] = replace(given, groups=(replace(given.groups[0], id="sg-production-a"),))
    body = request(stage.instance(A), mode="production")

    found = forecast(stage.services, body)

    assert found.resources[0].plan is not None
    assert found.resources[0].plan.worker.configuration.subnets == ("subnet-production-a-2",)
    assert statuses(found) == ["ok"]
    assert "subnet-production-a-1 is not used: no free addresses -> To use it, free addresses" in reasons(found)
    stage.world.networks[A, REGION] = replace(
        stage.world.networks[A, REGION], subnets=(full, replace(roomy, free_addresses=0))
    )
    again = forecast(stage.services, body)
    assert (statuses(again), again.is_refused) == (["refused"], True)
    assert [one.subnet for one in again.resources[0].candidates] == ["subnet-production-a-1", "subnet-production-a-2"]


def test_types_that_are_not_offered_are_left_out_and_none_at_all_is_refused(stage: Stage) -> None:
    """In the zones of the subnets that fit."""
    stage.world.offers = {"c5.large": [f"{REGION}c"], "c5a.large": [f"{REGION}b"]}
    body = request(stage.instance(A))

    found = forecast(stage.services, body)

    assert found.resources[0].plan is not None
    assert found.resources[0].plan.worker.instance_types == ("c5a.large", "m5.large")
    stage.world.offers |= {"c5a.large": [], "m5.large": []}
    again = forecast(stage.services, body)
    assert statuses(again) == ["refused"]
    assert "none of c5.large, c5a.large, m5.large is offered in eu-west-1a or eu-west-1b" in reasons(again)


def test_half_the_workers_wait_for_a_quota_that_is_too_small(stage: Stage) -> None:
    """In the order of the request, with how much would do. It is no refusal: they start as others end."""
    stage.world.vcpu_quotas[HOME] = 4
    body = request(*[stage.instance(A) for _ in range(4)])

    found = forecast(stage.services, body)

    assert statuses(found) == ["ok", "ok", "waits", "waits"]
    assert "may run 4 vCPUs, 0 run already, 2 more for each worker" in reasons(found, 2)
    assert "raise the quota Running On-Demand Standard instances (L-1216C47A) to 8 or more" in reasons(found, 2)
    assert found.resources[2].findings == found.resources[3].findings
    assert not found.is_refused


def test_a_quota_below_one_worker_refuses(stage: Stage) -> None:
    """Waiting would not help."""
    stage.world.vcpu_quotas[HOME] = 1

    found = forecast(stage.services, request(stage.instance(A)))

    assert (statuses(found), found.is_refused) == (["refused"], True)
    assert "may run 1 vCPUs in all, one c5.large takes 2" in reasons(found)


def test_our_own_limits_let_workers_wait(stage: Stage) -> None:
    """Those of the account's registry entry, and those of every session; the lower one counts."""
    register(stage, lambda account: account.update(limits={"workers": 2}), HOME)
    body = request(*[stage.instance(A) for _ in range(3)])

    found = forecast(stage.services, body)
    capped = forecast(replace(stage.services, install=replace(stage.install, session_workers=1)), body)

    assert statuses(found) == ["ok", "ok", "waits"]
    assert "account backup has at most 2 workers at once in eu-west-1, 0 live now" in reasons(found, 2)
    assert statuses(capped) == ["ok", "waits", "waits"]
    assert "a session has at most 1 workers at once" in reasons(capped, 1)


def test_workers_wait_for_addresses(stage: Stage) -> None:
    """One address in all, two workers."""
    given = network(subnet("subnet-backup-1", free_addresses=1), subnet("subnet-backup-2", free_addresses=0))
    stage.world.networks[HOME, REGION] = replace(given, groups=(replace(given.groups[0], id="sg-backup"),))

    found = forecast(stage.services, request(stage.instance(A), stage.instance(B)))

    assert statuses(found) == ["ok", "waits"]
    assert found.places[0].free_addresses == 1


def test_without_a_role_left_in_the_account_backup_mode_is_refused(stage: Stage) -> None:
    """Its temporary role could not be made; production mode needs none."""
    for number in range(1000):
        stage.world.add_role(HOME, f"filler-{number}")
    body = request(stage.instance(A))

    assert statuses(forecast(stage.services, body)) == ["refused"]
    assert statuses(forecast(stage.services, {**body, "mode": "production"})) == ["ok"]


def test_a_role_that_cannot_be_assumed_refuses_the_resources_of_its_account_alone(stage: Stage) -> None:
    """With the remedy, and without any external id."""
    stage.world.roles[A, "DayworkBackup"].is_trusting = False

    found = forecast(stage.services, request(stage.instance(A), stage.instance(B)))

    assert statuses(found) == ["refused", "ok"]
    assert "cannot be assumed" in reasons(found)
    assert "canary" not in str(record(found))


def test_a_quota_that_may_not_be_seen_is_said_and_refuses_nothing(stage: Stage) -> None:
    """The session does not need it."""
    stage.world.script.fail("room_for_vcpus", AccessDenied("see the quota of vCPUs: denied"), times=None)

    found = forecast(stage.services, request(stage.instance(A)))

    assert (statuses(found), found.is_refused) == (["ok"], False)
    assert "not looked at: see the quota of vCPUs" in found.places[0].findings[0].reason


ALLOWED_TO_ACCOUNT = key_policy(f"arn:aws:iam::{A}:root")
MANAGED = KeyView(arn=KEY, is_enabled=True, is_managed_by_aws=True, policy="")
OWN = KeyView(arn=KEY, is_enabled=True, is_managed_by_aws=False, policy=ALLOWED_TO_ACCOUNT)


@pytest.mark.parametrize("mode", ["backup", "production"])
@pytest.mark.parametrize(
    ("key", "forbidden", "status", "text"),
    [
        (MANAGED, False, "ok", ""),
        (OWN, False, "ok", ""),
        (OWN, True, "refused", "the role's policies do not allow it -> Allow kms:Decrypt on the key"),
        (replace(OWN, is_enabled=False), False, "refused", "is not enabled"),
        (None, False, "refused", "does not exist"),
        (
            replace(OWN, policy=key_policy(f"arn:aws:iam::{A}:role/Administrator")),
            False,
            "refused",
            "the key's policy allows neither the role nor its account",
        ),
        (replace(OWN, policy="{}"), False, "doubtful", "depends on conditions of the key's policy"),
    ],
)
def test_a_volume_whose_key_the_data_role_may_not_use_is_named(
    stage: Stage,
    mode: str,
    key: KeyView | None,
    forbidden: bool,  # noqa: FBT001 - a table
    status: str,
    text: str,
) -> None:
    """The data role in backup mode, the worker role in production mode; the other account is not touched by it."""
    role = arn(A, "DayworkData" if mode == "backup" else "DayworkWorker")
    sealed = stage.instance(A, 8, encrypted=True, kms_key=KEY)
    if key is not None:
        stage.world.keys[KEY] = key
    if forbidden:
        stage.world.forbidden.add((role, "kms:Decrypt", KEY))

    found = forecast(stage.services, request(sealed, stage.instance(B), mode=mode))

    assert statuses(found) == [status, "ok"]
    assert text in reasons(found)
    if status != "ok":
        assert stage.world.instances[sealed.rsplit("/", 1)[-1]].volumes[0].volume_id in reasons(found)
    if forbidden:
        assert role in reasons(found)


def test_a_key_that_may_not_be_seen_is_doubtful(stage: Stage) -> None:
    """Its policy may name the data role; nobody can tell from here."""
    stage.world.script.fail("key", AccessDenied("describe the key: denied", code="AccessDeniedException"))

    found = forecast(stage.services, request(stage.instance(A, 8, encrypted=True, kms_key=KEY)))

    assert (statuses(found), found.is_refused) == (["doubtful"], False)
    assert "it is not known whether" in reasons(found)


def test_a_key_is_asked_about_once(stage: Stage) -> None:
    """However many volumes have it."""
    stage.world.keys[KEY] = OWN

    found = forecast(
        stage.services, request(*[stage.instance(A, 8, 20, encrypted=True, kms_key=KEY) for _ in range(5)])
    )

    assert statuses(found) == ["ok"] * 5
    assert (stage.world.script.count("key"), stage.world.script.count("allows")) == (1, 1)


def test_what_is_selected_by_tags_is_planned_and_a_selection_that_fails_is_refused(stage: Stage) -> None:
    """Each resource once, in the order of the request."""
    first = stage.instance(A, tags={"backup": "daily"})
    stage.instance(A, tags={"backup": "daily"})
    tags = {"backup": "daily"}
    selects = [{"account": one, "region": REGION, "tags": tags} for one in ("production-a", "production-b")]
    stage.world.script.fail("find_instances", Throttled("slow down"), account=B)

    found = forecast(stage.services, request(first, select=selects))

    assert [(one.account, one.status) for one in found.resources] == [(B, "refused"), (A, "ok"), (A, "ok")]
    assert found.resources[0].resource_id == "tags:backup=daily"


def test_an_operation_without_a_job_yet_is_planned_and_refused(stage: Stage) -> None:
    """The whole plan is shown; the document says that a session of it would be refused."""
    point = restore_point(stage, stage.instance(A), resource_id="orders-db")

    found = forecast(stage.services, request(f"{HOME}/{REGION}/{point}", operation="rds-health-check", options={}))

    assert found.resources[0].plan is not None
    assert (found.is_available, found.is_refused, statuses(found)) == (False, True, ["ok"])


def test_a_wrong_request_is_refused_as_submitting_it_would(stage: Stage) -> None:
    """All mistakes at once, before anything is read."""
    with pytest.raises(Refused) as caught:
        forecast(stage.services, request(f"{A}/us-east-1/i-0", f"production-z/{REGION}/i-1"))

    assert [one.field for one in caught.value.problems] == ["resources[0].region", "resources[1].account"]
    assert stage.world.script.calls == []


def test_a_thousand_workers_are_launched_in_seconds_and_read_with_few_calls(stage: Stage) -> None:
    """Ten calls of RunInstances; reading does not grow with the session."""
    body = request(*[stage.instance(A) for _ in range(1000)])

    found = forecast(stage.services, body)

    assert (found.places[0].launch, found.places[0].launch_calls) == (timedelta(seconds=2.5), 10)
    assert len(stage.world.script.calls) < 12


@pytest.mark.parametrize(
    ("mode", "remove", "subnets"),
    [
        ("backup", HOME, ("subnet-backup-1", "subnet-backup-2")),
        ("production", A, ("subnet-production-a-1", "subnet-production-a-2")),
    ],
)
def test_nothing_configured_takes_the_default_vpc_or_what_fits(
    stage: Stage, mode: str, remove: str, subnets: tuple[str, ...]
) -> None:
    """Backup mode stands in the Region's default VPC, production mode wherever a subnet fits."""
    register(stage, lambda account: account.update(workerConfigurations=[]), remove)

    found = forecast(stage.services, request(stage.instance(A), mode=mode))

    plan = found.resources[0].plan
    assert plan is not None, reasons(found)
    assert set(subnets) <= set(plan.worker.configuration.subnets)
    assert plan.worker.configuration.vpc == "vpc-fake"


def test_a_region_without_a_network_says_what_is_missing(stage: Stage) -> None:
    """No default VPC, nothing configured."""
    register(stage, lambda account: account.update(workerConfigurations=[]), HOME)
    given = network()
    stage.world.networks[HOME, OTHER_REGION] = replace(given, vpcs=(replace(given.vpcs[0], is_default=False),))
    instance = stage.world.add_instance(A, OTHER_REGION, 8)
    stage.foreign |= {one.volume_id for one in instance.volumes}

    found = forecast(stage.services, request(f"{A}/{OTHER_REGION}/{instance.id}"))

    assert statuses(found) == ["refused"]
    assert "there is no default VPC in eu-central-1" in reasons(found)


def register(stage: Stage, change: Callable[[dict[str, Any]], Any], account: str) -> None:
    """Change an account of the registry."""
    document = install.document()
    change(next(one for one in document["accounts"] if one["id"] == account))
    with stage.ledger.write() as tx:
        registry.apply(tx, Registry.model_validate(document))
