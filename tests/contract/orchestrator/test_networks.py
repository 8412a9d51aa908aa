"""The promises of `orchestrator.ports.Networks`, `Limits` and `Keys`."""

from __future__ import annotations

import pytest
from support.labs import FIRST, HOME, Lab
from support.networks import REGION

from orchestrator.errors import AccessDenied, Missing
from orchestrator.network import Requirement, resolve, services_of_a_worker
from orchestrator.ports import Networks

SERVICES = services_of_a_worker(region=REGION, control_region=REGION, repository_region=REGION)
UNKNOWN_KEY = f"arn:aws:kms:{REGION}:{FIRST}:key/00000000-0000-0000-0000-000000000000"


@pytest.fixture
def networks(lab: Lab) -> Networks:
    """The network as the backup role sees it."""
    return lab.cloud.networks(lab.access(FIRST, "backup"))


def test_named_subnets_are_described_with_all_that_decides_over_them(lab: Lab, networks: Networks) -> None:
    """Their VPC, its routes, endpoints and security groups; neighbours and what does not exist are left out."""
    call = lab.call(FIRST)

    found = networks.network(subnets=[call.subnet, "subnet-0123456789abcdef0"])

    (subnet,) = found.subnets
    assert (subnet.id, subnet.is_available) == (call.subnet, True)
    assert subnet.free_addresses > 100
    assert [one.id for one in found.vpcs] == [subnet.vpc]
    assert found.route_table(subnet) is not None
    assert {one.id for one in found.groups} >= set(call.security_groups)
    wanted = Requirement(region=REGION, subnets=(call.subnet,), security_groups=call.security_groups, services=SERVICES)
    assert resolve(found, wanted).fitting, resolve(found, wanted)


def test_a_vpc_and_the_region_are_described_whole(lab: Lab, networks: Networks) -> None:
    """By the VPC: all of its subnets. Without a name: everything; the default VPC can be had alone."""
    call = lab.call(FIRST)
    vpc = networks.network(subnets=[call.subnet]).subnets[0].vpc

    of_vpc, everything = networks.network(vpcs=[vpc]), networks.network()

    assert len(of_vpc.subnets) > 1
    assert {one.vpc for one in of_vpc.subnets} == {vpc}
    assert {one.id for one in everything.subnets} >= {one.id for one in of_vpc.subnets}
    default = networks.network(default_only=True)
    assert [one.id for one in default.vpcs] == [one.id for one in everything.vpcs if one.is_default]


def test_the_default_vpc_is_a_place_for_workers_when_nothing_is_configured(networks: Networks) -> None:
    """As AWS makes it: public subnets with a route to the internet."""
    wanted = Requirement(region=REGION, default_vpc=True, services=SERVICES)

    assert resolve(networks.network(default_only=True), wanted).fitting


def test_what_does_not_exist_is_an_empty_network(networks: Networks) -> None:
    """No error: the resolver names what is missing."""
    found = networks.network(subnets=["subnet-0123456789abcdef0"], vpcs=["vpc-0123456789abcdef0"])

    assert (found.vpcs, found.subnets) == ((), ())


def test_types_are_offered_in_zones(networks: Networks) -> None:
    """Each that was asked for is answered."""
    found = networks.offered(["c5.large", "m5.large"])

    assert set(found) == {"c5.large", "m5.large"}
    assert all(zone.startswith(REGION) for zone in found["c5.large"])
    assert found["c5.large"]


def test_a_role_that_cannot_be_assumed_sees_nothing(lab: Lab) -> None:
    """As with every other client."""
    with pytest.raises(AccessDenied):
        lab.wrong_cloud().networks(lab.access(FIRST, "backup")).network()


def test_vcpus_are_counted_by_type_and_used_by_what_runs(lab: Lab) -> None:
    """An unknown type is left out; an instance more takes its own."""
    limits = lab.cloud.limits(lab.access(FIRST, "backup"))
    assert limits.vcpus(["c5.large", "c5.2xlarge", "c99.gigantic"]) == {"c5.large": 2, "c5.2xlarge": 8}
    before = limits.room_for_vcpus()

    lab.source(FIRST)

    after = limits.room_for_vcpus()
    assert (after.used - before.used, after.most) == (2, before.most)
    assert after.left == after.most - after.used


def test_a_launch_can_ask_for_addresses_and_rate(lab: Lab) -> None:
    """A subnet that does not exist is left out; the rate is the documented one where the account has no other."""
    limits, subnet = lab.cloud.limits(lab.access(FIRST, "backup")), lab.call(FIRST).subnet

    free = limits.free_addresses([subnet, "subnet-0123456789abcdef0"])

    assert set(free) == {subnet}
    assert free[subnet] > 10
    assert limits.launch_rate() == (5, 2)


def test_iam_has_room_in_the_backup_account(lab: Lab) -> None:
    """Roles and instance profiles are counted against their quotas."""
    limits = lab.cloud.limits(lab.access(HOME, "workerDeployment"))

    roles, profiles = limits.room_for_roles(), limits.room_for_profiles()

    assert 0 < roles.used < roles.most
    assert 0 <= profiles.used < profiles.most


def test_a_key_that_does_not_exist_is_missing(lab: Lab) -> None:
    """So that a plan can say so."""
    with pytest.raises(Missing):
        lab.cloud.keys(lab.access(FIRST, "backup")).key(UNKNOWN_KEY)


def test_a_key_is_described_with_its_policy(lab: Lab) -> None:
    """And what the data role's own policies say of it."""
    key, role = lab.key(FIRST), lab.access(FIRST, "data").role
    assert role is not None
    keys = lab.cloud.keys(lab.access(FIRST, "backup"))

    found = keys.key(key)

    assert (found.arn, found.is_enabled, found.is_managed_by_aws) == (key, True, False)
    assert f"arn:aws:iam::{FIRST}:root" in found.policy
    via = {"kms:ViaService": f"ec2.{REGION}.amazonaws.com"}
    assert keys.allows(role, "kms:Decrypt", key, via)
    lab.forbid(FIRST, "data", "kms:Decrypt", key)
    assert not keys.allows(role, "kms:Decrypt", key, via)
