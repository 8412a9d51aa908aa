"""The promises of `orchestrator.ports.Roles` and `orchestrator.ports.Cloud`."""

from __future__ import annotations

import pytest
from support.install import EXTERNAL_IDS
from support.labs import FIRST, HOME, Lab, temporary_role

from orchestrator import policies, tags
from orchestrator.errors import AccessDenied, Missing, WrongRequest
from orchestrator.model.plan import Access
from orchestrator.ports import Roles

MARKS = tags.session_tags("test", "s-contract")
POLICY = policies.temporary_role(
    install="test",
    session="s-contract",
    control_bucket="bucket",
    report_queue_arn=f"arn:aws:sqs:eu-west-1:{HOME}:queue",
    repository=None,
    roles=[],
)


@pytest.fixture
def roles(lab: Lab) -> Roles:
    """IAM as the worker deployment role sees it."""
    return lab.cloud.roles(lab.access(HOME, "workerDeployment"))


def test_a_temporary_role_is_made_once_and_completed(roles: Roles) -> None:
    """Asked again, it is the same role."""
    role = temporary_role()

    first = roles.ensure_temporary_role(role, policy=POLICY, tags=MARKS, boundary=None)
    second = roles.ensure_temporary_role(role, policy=POLICY, tags=MARKS, boundary=None)

    assert first == second
    assert first.arn == f"arn:aws:iam::{HOME}:role/daywork/test/{role.name}"
    assert first.role_id.startswith("AROA")
    assert role.name in roles.temporary_names("/daywork/test/")
    roles.absent_temporary_role(role)


def test_a_temporary_role_is_removed_with_everything_of_it_and_again(roles: Roles) -> None:
    """What is not there is done."""
    role = temporary_role()
    roles.absent_temporary_role(role)
    roles.ensure_temporary_role(role, policy=POLICY, tags=MARKS, boundary=None)

    roles.absent_temporary_role(role)
    roles.absent_temporary_role(role)

    assert role.name not in roles.temporary_names("/daywork/test/")


def test_a_role_outside_our_path_is_not_touched(roles: Roles) -> None:
    """Neither made nor removed, whatever the rights would allow."""
    role = temporary_role("/theirs/")

    with pytest.raises(WrongRequest):
        roles.ensure_temporary_role(role, policy=POLICY, tags=MARKS, boundary=None)
    with pytest.raises(WrongRequest):
        roles.absent_temporary_role(role)


def test_the_profile_of_a_worker_role_is_found(lab: Lab) -> None:
    """By the role's ARN, with the role's unique id."""
    access = lab.access(FIRST, "backup")
    name, role = lab.cloud.roles(access).worker_profile(lab.access(FIRST, "worker").role or "")

    assert name
    assert role.role_id.startswith("AROA")


def test_a_worker_role_that_is_not_there_is_missing_or_out_of_reach(lab: Lab) -> None:
    """A role may only ask about the worker role that it is for."""
    with pytest.raises((Missing, AccessDenied)):
        lab.cloud.roles(lab.access(FIRST, "backup")).worker_profile(f"arn:aws:iam::{FIRST}:role/Nobody")


def test_a_registered_role_can_be_assumed(lab: Lab) -> None:
    """`check` says nothing when all is well, also about our own identity."""
    lab.cloud.check(lab.access(FIRST, "backup"))
    lab.cloud.check(Access(account=HOME, region="eu-west-1", role=None))


def test_a_wrong_external_id_is_refused_with_a_remedy_and_never_shown(lab: Lab) -> None:
    """Neither the right one nor the wrong one stands in the error."""
    with pytest.raises(AccessDenied) as caught:
        lab.wrong_cloud().check(lab.access(FIRST, "backup"))

    shown = f"{caught.value} {caught.value.reason} {caught.value.remedy}"
    assert "external id" in caught.value.remedy
    assert not [secret for secret in (*EXTERNAL_IDS.values(), "wrong-external-id") if secret in shown]


def test_every_client_of_a_role_that_cannot_be_assumed_refuses(lab: Lab) -> None:
    """The refusal comes with the first call."""
    compute = lab.wrong_cloud().compute(lab.access(FIRST, "backup"))

    with pytest.raises(AccessDenied) as caught:
        compute.find_instances({"a": "b"})

    assert "external id" in caught.value.remedy


def test_a_role_that_does_not_exist_cannot_be_assumed(lab: Lab) -> None:
    """It is no different from one that does not trust us."""
    with pytest.raises(AccessDenied):
        lab.cloud.check(Access(account=FIRST, region="eu-west-1", role=f"arn:aws:iam::{FIRST}:role/Nobody"))
