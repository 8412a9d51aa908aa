"""Sessions and the networks their workers are to stand in: what fits nowhere fails alone, before anything is made."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.expectations import assert_nothing_left, record, statuses
from support.install import HOME, REGION, A, B
from support.networks import network, subnet, table
from support.scenarios import hurry
from support.stage import Stage

from orchestrator.errors import AccessDenied, Throttled
from orchestrator.ledger import registry
from orchestrator.model.account import Registry
from orchestrator.model.network import Network


def of_production_a(*, free: int = 200) -> Network:
    """Return a network with both subnets of production-a, the first one full."""
    given = network(
        subnet("subnet-production-a-1", free_addresses=0),
        subnet("subnet-production-a-2", free_addresses=free, zone=f"{REGION}b"),
    )
    return replace(given, groups=(replace(given.groups[0], id="sg-production-a"),))


def test_workers_are_launched_into_the_subnets_that_fit(stage: Stage) -> None:
    """The full one is not even tried."""
    hurry(stage)
    stage.world.networks[A, REGION] = of_production_a()
    session = stage.submit(stage.instance(A), mode="production")

    stage.run(session)

    assert statuses(stage, session) == ["success"]
    assert {one.subnet for one in stage.world.instances.values() if one.tags.get("daywork:session") == session} == {
        "subnet-production-a-2"
    }
    assert_nothing_left(stage, session)


def test_a_network_in_which_nothing_fits_fails_its_own_resources_alone(stage: Stage) -> None:
    """Every candidate stands in the reason, and what to do; the other account's backup is made."""
    hurry(stage)
    stage.world.networks[A, REGION] = replace(of_production_a(free=0), route_tables=(table(None),))
    session = stage.submit(stage.instance(A), stage.instance(B), mode="production")

    stage.run(session)

    assert statuses(stage, session) == ["failed", "success"]
    failed = stage.resources(session)[0]
    assert "no subnet of production-a in eu-west-1 fits the worker" in (failed.reason or "")
    for text in (
        "subnet-production-a-1",
        "subnet-production-a-2",
        "no free addresses",
        "no route to ebs, kms, s3, sqs, sts in",
    ):
        assert text in (failed.reason or "")
    assert "add a VPC endpoint for the service" in (failed.remedy or "")
    assert_nothing_left(stage, session)


def test_types_that_no_zone_offers_are_not_tried(stage: Stage) -> None:
    """The ladder begins with the first one on offer."""
    hurry(stage)
    stage.world.offers["c5.large"] = []
    session = stage.submit(stage.instance(A))

    stage.run(session)

    assert [one["worker"]["instanceType"] for one in record(stage, session)["resources"]] == ["c5a.large"]
    assert_nothing_left(stage, session)


def test_a_network_is_read_once_for_all_accounts_whose_workers_stand_there(stage: Stage) -> None:
    """In backup mode it is the backup account's."""
    hurry(stage)
    session = stage.submit(stage.instance(A), stage.instance(B))

    stage.run(session)

    assert [(one.account) for one in stage.world.script.calls if one.operation in ("network", "offered")] == [HOME] * 2
    assert statuses(stage, session) == ["success", "success"]


@pytest.mark.parametrize("operation", ["network", "offered"])
def test_a_network_that_may_not_be_seen_fails_with_the_remedy(stage: Stage, operation: str) -> None:
    """A right is missing: planning says which call, and makes nothing."""
    denied = AccessDenied("describe the network: UnauthorizedOperation", remedy="Compare the role's policy")
    stage.world.script.fail(operation, denied, times=None, account=A)
    session = stage.submit(stage.instance(A), mode="production")

    stage.run(session)

    failed = stage.resources(session)[0]
    assert (failed.reason, failed.remedy) == (denied.reason, denied.remedy)
    assert record(stage, session)["receipt"]["created"] == []


def test_a_throttled_look_at_the_network_is_repeated(stage: Stage) -> None:
    """The whole planning waits; nothing is decided on half of what there is."""
    hurry(stage)
    stage.world.script.fail("network", Throttled("slow down"), times=2)
    session = stage.submit(stage.instance(A))

    stage.run(session)

    assert statuses(stage, session) == ["success"]
    assert stage.world.script.count("network") == 3


def test_a_public_address_is_asked_for_when_nothing_is_configured_and_nothing_else_leads_out(stage: Stage) -> None:
    """The launch carries what the plan has decided."""
    hurry(stage)
    next(one for one in stage.document["accounts"] if one["id"] == A)["workerConfigurations"] = []
    with stage.ledger.write() as tx:
        registry.apply(tx, Registry.model_validate(stage.document))
    stage.world.networks[A, REGION] = network(
        subnet("subnet-public", gives_public_addresses=True), route_tables=(table("igw-1"),)
    )
    session = stage.submit(stage.instance(A), mode="production")

    stage.run(session)

    (plan,) = (one.plan for one in stage.resources(session))
    assert plan is not None
    assert plan.worker.configuration.public_address
    launched = [call for call, _ in stage.world.tokens.values() if getattr(call, "subnet", "") == "subnet-public"]
    assert [call.public_address for call in launched] == [True]
