"""The permissions boundary of temporary roles: all that a session needs fits inside, nothing else does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from support.cloud import EVERYTHING, REGION, Keys, code
from support.seeded import FIRST, HOME, INSTALL, World, seeded_world

from agent.protocol import order_key
from config.settings import Settings
from console.roles.known import known
from orchestrator import tags
from orchestrator.errors import AccessDenied
from orchestrator.model.account import Registry
from orchestrator.model.plan import TemporaryRole
from orchestrator.ports import LaunchCall
from orchestrator.rights.facts import Facts
from orchestrator.rights.purposes import PURPOSES

SESSION = "s-01JD8ZQWB2M3N4P5Q6R7S8T9VB"
DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A seeded cloud."""
    with seeded_world(tmp_path_factory.mktemp("world"), accounts=1) as made:
        yield made


@pytest.fixture(scope="module")
def bounded(world: World) -> Facts:
    """The backup account with a boundary, and a worker deployment role that must use it."""
    registry = Registry.model_validate(world.seeded.registry)
    settings = Settings(
        broker_url="redis://127.0.0.1:1/0",
        install_id=INSTALL,
        control_bucket=world.install.control_bucket,
        report_queue=world.install.report_queue,
        home_account=HOME,
    )
    facts = known(settings, registry, None, PURPOSES["worker-deployment"])
    iam = world.cloud.admin("iam", HOME)
    document = json.dumps(PURPOSES["temporary-boundary"].policy(facts))
    arn = iam.create_policy(PolicyName="DayworkTemporaryRoles", PolicyDocument=document)["Policy"]["Arn"]
    made = replace(facts, boundary=arn, session=SESSION)
    iam.put_role_policy(
        RoleName="DayworkWorkerDeployment",
        PolicyName="daywork",
        PolicyDocument=json.dumps(PURPOSES["worker-deployment"].policy(made)),
    )
    return made


def role(world: World, name: str, policy: dict[str, object], boundary: str | None) -> str:
    """Make a temporary role as the product does; return its profile."""
    made = TemporaryRole(name=name, path=tags.path_of(INSTALL), account=HOME, region=REGION)
    world.product.roles(world.access(HOME, "workerDeployment")).ensure_temporary_role(
        made, policy=policy, tags=tags.session_tags(INSTALL, SESSION), boundary=boundary
    )
    return name


def worker(world: World, profile: str) -> Keys:
    """Launch a worker with a profile; return what it finds in its metadata."""
    subnet, group = world.network(HOME)
    (made,) = world.product.compute(world.access(HOME, "workerDeployment")).launch(
        LaunchCall(
            token=profile,
            count=1,
            instance_type="c5.large",
            image=world.foundation.worker_image,
            subnet=subnet,
            security_groups=(group,),
            profile=profile,
            user_data="none",
            tags=tags.session_tags(INSTALL, SESSION),
        )
    )
    world.cloud.wait_for_state(HOME, made.instance_id, "running")
    return world.worker_keys(HOME, made.instance_id)


def test_roles_cannot_be_made_without_the_boundary(world: World, bounded: Facts) -> None:
    """Nor with another one."""
    policy = PURPOSES["temporary-worker"].policy(bounded)

    for number, boundary in enumerate((None, "arn:aws:iam::aws:policy/AdministratorAccess")):
        with pytest.raises(AccessDenied):
            role(world, f"dw-none-{number}", policy, boundary)


def test_a_worker_inside_the_boundary_can_do_its_work(world: World, bounded: Facts) -> None:
    """Its order, a report, another account's data role, the repository."""
    keys = worker(world, role(world, "dw-bounded", PURPOSES["temporary-worker"].policy(bounded), bounded.boundary))
    user = world.cloud.client("sts", keys).get_caller_identity()["UserId"]
    s3, bucket = world.cloud.client("s3", keys), bounded.repository.bucket
    world.cloud.admin("s3", HOME).put_object(Bucket=bounded.control_bucket, Key=order_key(SESSION, user), Body=b"order")

    assert s3.get_object(Bucket=bounded.control_bucket, Key=order_key(SESSION, user))["Body"].read() == b"order"
    world.cloud.client("sqs", keys).send_message(QueueUrl=world.foundation.report_queue, MessageBody="report")
    assert world.cloud.assume(keys, world.role(FIRST, "data")).token
    s3.put_object(Bucket=bucket, Key="packs/1", Body=b"pack")
    s3.put_object(Bucket=bucket, Key="lease/1", Body=b"held")
    s3.delete_object(Bucket=bucket, Key="lease/1")
    assert s3.list_objects_v2(Bucket=bucket, Prefix="packs/")["KeyCount"] == 1
    made = world.cloud.client("kms", keys).generate_data_key(KeyId=bounded.repository.key, KeySpec="AES_256")
    assert made["Plaintext"]


def test_whatever_policy_a_role_is_given_it_gets_no_further(world: World, bounded: Facts) -> None:
    """The deployment role may write any policy; the boundary is what it cannot write.

    It has to let sessions of retention delete packs; what opens everything else stays.
    """
    keys = worker(world, role(world, "dw-everything", EVERYTHING, bounded.boundary))
    bucket = bounded.repository.bucket

    assert code(lambda: world.cloud.client("iam", keys).list_roles()) in DENIED
    assert code(lambda: world.cloud.client("ec2", keys).describe_instances()) in DENIED
    for key in ("repo.json", "owner.json", "keys/1"):
        assert code(lambda key=key: world.cloud.client("s3", keys).delete_object(Bucket=bucket, Key=key)) in DENIED
    assert code(lambda: world.cloud.client("s3", keys).list_objects_v2(Bucket=bounded.control_bucket)) in DENIED
    assert code(lambda: world.cloud.assume(keys, world.role(HOME, "workerDeployment"))) in DENIED
