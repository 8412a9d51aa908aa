"""Any one statement taken away from any role is named, ready to be put back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from support.seeded import FIRST, HOME, World

from config.settings import Settings
from console.checks.findings import Finding, State
from console.checks.roles import Look, prove
from console.checks.shared import look_at_control_plane
from console.roles.known import known
from localcloud.control import CONTROL_PLANE
from orchestrator.model.account import Registry
from orchestrator.rights.purposes import PURPOSES

#: (account, role, policy, purpose of the policy, the registered role that asks).
ROLES = [
    (HOME, "DayworkWorkerDeployment", "daywork", "worker-deployment", "workerDeployment"),
    (HOME, "DayworkRepository", "daywork", "repository", "workerDeployment"),
    (HOME, "DayworkRepositoryReader", "daywork", "repository-reader", "workerDeployment"),
    (HOME, "DayworkRepositoryOpener", "daywork", "repository-opener", "workerDeployment"),
    (HOME, "DayworkWorker", "daywork", "worker", "backup"),
    (FIRST, "DayworkBackup", "daywork", "backup-ec2", "backup"),
    (FIRST, "DayworkBackup", "daywork-rds", "backup-rds", "backup"),
    (FIRST, "DayworkBackup", "daywork-efs", "backup-efs", "backup"),
    (FIRST, "DayworkRestore", "daywork", "restore-ec2", "restore"),
    (FIRST, "DayworkRestore", "daywork-rds", "restore-rds", "restore"),
    (FIRST, "DayworkFiles", "daywork", "files", "files"),
    (FIRST, "DayworkWorker", "daywork", "worker", "restore"),
    (FIRST, "DayworkData", "daywork", "data", "backup"),
]


def look(world: World, account: str) -> Look:
    """Return a look at an account of the seeded registry."""
    registry = Registry.model_validate(world.seeded.registry)
    settings = Settings(
        broker_url="redis://127.0.0.1:1/0",
        install_id=world.install.id,
        control_bucket=world.install.control_bucket,
        report_queue=world.install.report_queue,
        home_account=HOME,
    )
    found = next(one for one in registry.accounts if one.id == account)
    facts = known(settings, registry, found, PURPOSES["backup-ec2"])
    return Look(cloud=world.product, facts=facts, account=found, region="eu-west-1")


@contextmanager
def without(world: World, account: str, role: str, policy: str, sid: str) -> Iterator[dict[str, Any]]:
    """Take a statement away from a role for a while; give it."""
    iam = world.cloud.admin("iam", account)
    document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
    taken = next(one for one in document["Statement"] if one["Sid"] == sid)
    rest = [one for one in document["Statement"] if one["Sid"] != sid]

    def put(statements: list[Any]) -> None:
        if statements:
            text = json.dumps({**document, "Statement": statements})
            iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=text)
        else:
            iam.delete_role_policy(RoleName=role, PolicyName=policy)

    put(rest)
    try:
        yield taken
    finally:
        put(document["Statement"])


def sids(world: World, account: str, role: str, policy: str) -> list[str]:
    """Return the statements of a role's policy."""
    document = world.cloud.admin("iam", account).get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
    return [one["Sid"] for one in document["Statement"]]


def lacking(findings: Iterator[Finding], role: str) -> dict[str, dict[str, Any]]:
    """Return the statements that a role lacks, by their Sid."""
    return {
        one.add["Sid"]: dict(one.add)
        for one in findings
        if one.add is not None and one.target.endswith(f"/{role}") and one.state in (State.MISSING, State.NOTE)
    }


@pytest.mark.parametrize(("account", "role", "policy", "purpose", "asker"), ROLES)
def test_a_statement_taken_away_is_named_and_no_other(
    world: World, account: str, role: str, policy: str, purpose: str, asker: str
) -> None:
    """With those of its actions and resources that nothing else allows, and its condition."""
    looked = look(world, account)
    rights = world.product.rights(world.access(account, asker))

    def found() -> dict[str, Any]:
        return lacking(prove(looked, PURPOSES[purpose], f"arn:aws:iam::{account}:role/{role}", rights), role)

    assert found() == {}
    for sid in sids(world, account, role, policy):
        with without(world, account, role, policy, sid) as taken:
            said = found()
            assert said.keys() == {sid}
            # What another statement allows as well is not lacking.
            assert set(said[sid]["Action"]) <= set(taken["Action"])
            assert set(said[sid]["Resource"]) <= set(taken["Resource"])
            assert said[sid].get("Condition") == taken.get("Condition")


def test_what_the_control_plane_lacks_is_named(world: World) -> None:
    """It proves its own rights."""
    iam = world.cloud.admin("iam", HOME)
    looked = look(world, HOME)
    document = iam.get_user_policy(UserName=CONTROL_PLANE, PolicyName=CONTROL_PLANE)["PolicyDocument"]

    def put(statements: list[Any]) -> None:
        text = json.dumps({**document, "Statement": statements})
        iam.put_user_policy(UserName=CONTROL_PLANE, PolicyName=CONTROL_PLANE, PolicyDocument=text)

    identity = world.product.doors().identity()
    look_at: Callable[[], dict[str, Any]] = lambda: lacking(  # noqa: E731 - a short name
        look_at_control_plane(looked, identity), CONTROL_PLANE
    )
    assert look_at() == {}
    try:
        for statement in document["Statement"]:
            put([one for one in document["Statement"] if one is not statement])
            assert look_at() == {statement["Sid"]: statement}
    finally:
        put(document["Statement"])
