"""Documents turned into questions: every statement is asked for, and only by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from support.rights import HOME, PRODUCTION, REGION, facts

from localcloud.policy import Decision, Query, ask_identity, parse
from orchestrator.rights.probes import Probe, probes
from orchestrator.rights.purposes import PURPOSES, Kind, Purpose
from orchestrator.statements import Document

_AT_HOME = (
    "control-plane", "worker-deployment", "repository", "repository-reader", "temporary-worker", "temporary-boundary",
)  # fmt: skip
IDENTITY = [row for row in PURPOSES.values() if row.kind not in (Kind.BUCKET, Kind.QUEUE)]


def home_or_away(purpose: Purpose) -> str:
    """Return the account that a purpose's role stands in."""
    return HOME if purpose.name in _AT_HOME else PRODUCTION


def policy(purpose: Purpose) -> tuple[Document, str]:
    """Return a purpose's policy and its account."""
    account = home_or_away(purpose)
    return purpose.policy(facts(account)), account


def questions(probe: Probe) -> Iterator[Query]:
    """Return a probe's questions for the embedded cloud's evaluator."""
    context = {key.lower(): value for key, value in probe.context.items()}
    for action in probe.actions:
        for resource in probe.resources:
            yield Query(action, resource, context)


@pytest.mark.parametrize("purpose", IDENTITY, ids=lambda one: one.name)
def test_a_document_answers_all_questions_made_from_it(purpose: Purpose) -> None:
    """Another evaluator than IAM's says yes to each of them."""
    document, account = policy(purpose)

    asked = [query for probe in probes(document, account=account, region=REGION) for query in questions(probe)]

    assert asked
    assert [query for query in asked if ask_identity([parse(document)], query) is not Decision.ALLOWED] == []


@pytest.mark.parametrize("purpose", IDENTITY, ids=lambda one: one.name)
def test_without_a_statement_its_own_questions_alone_are_refused(purpose: Purpose) -> None:
    """So no statement stands for another, and whichever is taken away is named."""
    document, account = policy(purpose)
    asked = list(probes(document, account=account, region=REGION))

    for probe in asked:
        rest = {**document, "Statement": [one for one in document["Statement"] if one["Sid"] != probe.sid]}
        refused = {
            other.sid
            for other in asked
            for query in questions(other)
            if ask_identity([parse(rest)], query) is not Decision.ALLOWED
        }
        assert refused == {probe.sid}


def test_what_is_lacking_is_the_statement_with_the_refused_parts_alone() -> None:
    """Ready to paste: Sid, effect and condition stay."""
    statement: dict[str, Any] = {
        "Sid": "One",
        "Effect": "Allow",
        "Action": ["ec2:CreateTags", "ec2:DeleteTags"],
        "Resource": ["arn:aws:ec2:*:*:volume/*", "arn:aws:ec2:*::snapshot/*"],
        "Condition": {"StringEquals": {"ec2:CreateAction": "CreateVolume"}},
    }
    (probe,) = probes({"Statement": [statement]}, account=HOME, region=REGION)

    assert probe.resources == (
        f"arn:aws:ec2:{REGION}:{HOME}:volume/vol-0123456789abcdef0",
        f"arn:aws:ec2:{REGION}::snapshot/snap-0123456789abcdef0",
    )
    assert probe.lacking({("ec2:CreateTags", probe.resources[1])}) == {
        **statement,
        "Action": ["ec2:CreateTags"],
        "Resource": ["arn:aws:ec2:*::snapshot/*"],
    }
