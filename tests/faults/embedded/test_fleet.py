"""What AWS refuses to a whole fleet, on the embedded cloud: real adapters, rights, token buckets, and errors of EC2."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from support.embedded_stage import EmbeddedStage, embedded_stage
from support.seeded import FIRST, HOME, World, seeded_world

from orchestrator.ledger import sessions

RESOURCES = 12
SUBNETS = 3
_PROFILE = "InvalidParameterValue"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A seeded cloud; one for all tests of this module."""
    with seeded_world(tmp_path_factory.mktemp("cloud")) as made:
        yield made


@pytest.fixture(scope="module")
def document(world: World) -> dict[str, object]:
    """The registry, its backup account with three subnets."""
    ec2, first = world.cloud.admin("ec2", HOME), world.network(HOME)[0]
    found = ec2.describe_subnets(SubnetIds=[first])["Subnets"][0]
    tables = ec2.describe_route_tables(Filters=[{"Name": "association.subnet-id", "Values": [first]}])["RouteTables"]
    subnets = [first]
    for number in range(1, SUBNETS):
        made = ec2.create_subnet(
            VpcId=found["VpcId"],
            CidrBlock=_block(found["CidrBlock"], number),
            AvailabilityZone=found["AvailabilityZone"],
        )["Subnet"]["SubnetId"]
        for one in tables:
            ec2.associate_route_table(RouteTableId=one["RouteTableId"], SubnetId=made)
        subnets.append(made)
    world.document(HOME)["workerConfigurations"][0]["subnets"] = subnets
    return dict(world.seeded.registry)


def _block(block: str, number: int) -> str:
    head, _, size = block.partition("/")
    first, second, _, _ = head.split(".")
    return f"{first}.{second}.{200 + number}.0/{max(24, int(size))}"


@pytest.fixture(scope="module")
def sources(world: World) -> list[str]:
    """Instances to back up."""
    return [world.source(FIRST) for _ in range(RESOURCES)]


@pytest.fixture
def stage(world: World, document: dict[str, object], sources: list[str]) -> Iterator[EmbeddedStage]:
    """An installation on it; from now on AWS's token buckets count."""
    assert len(sources) == RESOURCES
    with embedded_stage(world) as made:
        made.apply(document)
        world.cloud.sim("PUT", "throttle", {"on": True})
        yield made
        world.cloud.sim("PUT", "throttle", {"on": False})
        world.cloud.sim("DELETE", "quotas", token=world.cloud.server.admin_token)


def no_capacity(stage: EmbeddedStage) -> None:
    """Nothing in two of three subnets, and nothing of the first type."""
    subnets = stage.world.document(HOME)["workerConfigurations"][0]["subnets"]
    for about in (*subnets[:2], "c5.large"):
        stage.world.cloud.fault("ec2:RunInstances", "error", code="InsufficientInstanceCapacity", about=about)


def small_quota(stage: EmbeddedStage) -> None:
    """Quota for 30 % of the workers: two vCPUs each."""
    cloud, vcpus = stage.world.cloud, RESOURCES * 3 // 10 * 2
    cloud.sim("PUT", "quotas", {"account": HOME, "vcpus": vcpus}, token=cloud.server.admin_token)


def throttled(stage: EmbeddedStage) -> None:
    """Whatever is launched or ended is refused for its rate, for two minutes."""
    for call in ("RunInstances", "TerminateInstances"):
        stage.fault_for(timedelta(minutes=2), f"ec2:{call}", "error", code="RequestLimitExceeded", status=503)


def lost_answers(stage: EmbeddedStage) -> None:
    """Three launches and one ending happen, and nobody hears of it."""
    stage.world.cloud.fault("ec2:RunInstances", "reset-after", times=3)
    stage.world.cloud.fault("ec2:TerminateInstances", "reset-after", times=1)


def late_profile(stage: EmbeddedStage) -> None:
    """EC2 sees the instance profile after forty seconds: its name first, then the role in it."""
    for seconds, text in ((20, "Invalid IAM Instance Profile name"), (40, "has no associated IAM Roles")):
        stage.fault_for(
            timedelta(seconds=seconds), "ec2:RunInstances", "error", code=_PROFILE, message=f"Value: {text}"
        )


TROUBLES: dict[str, tuple[Callable[[EmbeddedStage], None], ...]] = {
    "no capacity": (no_capacity,),
    "small quota": (small_quota,),
    "throttled": (throttled,),
    "lost answers": (lost_answers,),
    "late profile": (late_profile,),
    "all together": (no_capacity, small_quota, throttled, lost_answers, late_profile),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_the_session_succeeds_and_launches_no_more_than_it_must(
    stage: EmbeddedStage, sources: list[str], trouble: str
) -> None:
    """At most five in a hundred instances beyond one for each resource; nothing stays, and no bucket was ever empty."""
    for make in TROUBLES[trouble]:
        make(stage)
    session = stage.submit(sources)

    stage.run(session, seconds=90)

    with stage.ledger.read() as tx:
        ends = [(str(one.status), one.reason) for one in sessions.resources(tx, session)]
    assert ends == [("success", None)] * RESOURCES
    assert RESOURCES <= stage.launched(session) <= RESOURCES * 1.05
    assert stage.left(session) == []
    assert stage.world.cloud.sim("GET", "throttle")[1]["refused"] == 0
