"""Policies with principals: who is let in, and when nobody can tell."""

from __future__ import annotations

from typing import Any

import pytest
from support.rights import HOME, PRODUCTION, facts

from orchestrator.rights.purposes import PURPOSES
from orchestrator.rights.trust import Answer, Question, lets_in

TEMPORARY = f"arn:aws:iam::{HOME}:role/daywork/blue/dw-1"
TAKE = "sts:AssumeRole"


def trust(purpose: str, account: str = PRODUCTION) -> dict[str, Any]:
    """Return a purpose's trust policy."""
    made = PURPOSES[purpose].trust
    assert made is not None
    return made(facts(account))


def temporary(arn: str = TEMPORARY) -> Question:
    """Return the question of a temporary role."""
    return Question(principal=arn, account=HOME, action=TAKE, context={"aws:principalarn": arn})


def test_data_roles_let_temporary_roles_of_this_install_in_and_no_other() -> None:
    """By the path of the install."""
    assert lets_in(trust("data"), temporary()) is Answer.YES
    assert lets_in(trust("data"), temporary(f"arn:aws:iam::{HOME}:role/daywork/green/dw-1")) is Answer.NO
    other = f"arn:aws:iam::{PRODUCTION}:role/daywork/blue/dw-1"
    question = Question(principal=other, account=PRODUCTION, action=TAKE, context={"aws:principalarn": other})
    assert lets_in(trust("data"), question) is Answer.NO


def test_worker_roles_let_ec2_in() -> None:
    """And the role for files as well, beside the control plane."""
    ec2 = Question(principal="ec2.amazonaws.com", action=TAKE)

    assert [lets_in(trust(name), ec2) for name in ("worker", "files", "data", "backup-ec2")] == [
        Answer.YES,
        Answer.YES,
        Answer.NO,
        Answer.NO,
    ]


def test_the_repository_lets_worker_roles_in() -> None:
    """Those of the registered accounts."""
    worker = f"arn:aws:iam::{PRODUCTION}:role/DayworkWorker"
    question = Question(principal=worker, account=PRODUCTION, action=TAKE, context={"aws:principalarn": worker})

    assert lets_in(trust("repository", HOME), question) is Answer.YES


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ({"Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}}, Answer.UNKNOWN),
        ({"Condition": {"IpAddress": {"aws:PrincipalArn": TEMPORARY}}}, Answer.UNKNOWN),
        ({"Principal": {"AWS": TEMPORARY}, "Condition": {}}, Answer.YES),
        ({"Principal": "*", "Condition": {}}, Answer.YES),
        ({"Principal": {"Federated": "x"}}, Answer.NO),
        ({"Action": "sts:*"}, Answer.YES),
        ({"Action": ["sts:TagSession"]}, Answer.NO),
        ({"NotPrincipal": {"AWS": TEMPORARY}}, Answer.UNKNOWN),
        ({"Effect": "Deny"}, Answer.NO),
    ],
)
def test_statements_are_judged_by_what_they_say(change: dict[str, Any], answer: Answer) -> None:
    """What is not understood is unknown, never no."""
    (own,) = trust("data")["Statement"]

    assert lets_in({"Statement": {**own, **change}}, temporary()) is answer


def test_a_denial_beside_an_allowance_wins() -> None:
    """One that cannot be judged makes the whole unknown."""
    (own,) = trust("data")["Statement"]
    unsure = {**own, "Effect": "Deny", "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "false"}}}

    assert lets_in({"Statement": [own, {**own, "Effect": "Deny"}]}, temporary()) is Answer.NO
    assert lets_in({"Statement": [own, unsure]}, temporary()) is Answer.UNKNOWN
