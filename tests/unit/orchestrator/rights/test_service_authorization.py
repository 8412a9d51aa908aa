"""Role documents against AWS's own list of actions, resource forms and condition keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pytest
from support.rights import HOME, PRODUCTION, facts
from support.service_authorization import complaints, expect

from orchestrator.rights.purposes import PURPOSES
from orchestrator.statements import allow, document

#: What AWS's list says of documents that are right all the same, and why.
ALLOWED: Final[Mapping[str, str]] = {}


def test_documents_fit_the_service_authorization_reference() -> None:
    """Actions exist, take these resources and are told these condition keys; stars stand where AWS takes no less."""
    found = {
        row.name: complaints(row.policy(facts(PRODUCTION if row.stands_in == "production" else HOME)))
        for row in PURPOSES.values()
    }

    assert expect(found, ALLOWED) == []


def test_trust_policies_fit_it_as_well() -> None:
    """`sts:AssumeRole` is told the external id and the principal's ARN."""
    found = {
        row.name: complaints(row.trust(facts(PRODUCTION if row.stands_in == "production" else HOME)), trust=True)
        for row in PURPOSES.values()
        if row.trust is not None
    }

    assert expect(found, {}) == []


@pytest.mark.parametrize(
    ("action", "resource", "key", "complaint"),
    [
        ("ec2:LaunchInstances", "*", None, "does not exist"),
        ("nothing:Run", "*", None, "does not exist"),
        ("ec2:runInstances", "arn:aws:ec2:*:*:instance/*", None, "is spelt"),
        ("ec2:DeleteSnapshot", "*", None, "could be limited to snapshot"),
        ("ec2:DeleteSnapshot", "arn:aws:ec2:*:*:volume/*", None, "does not take"),
        ("s3:ListBucket", "arn:aws:s3:::bucket/*", None, "does not take"),
        ("ec2:DeleteSnapshot", "arn:aws:ec2:*::snapshot/*", "aws:RequestTag/daywork:install", "is not told"),
        ("s3:GetObject", "arn:aws:s3:::bucket/*", "s3:prefix", "is not told"),
    ],
)
def test_the_judge_sees_mistakes(action: str, resource: str, key: str | None, complaint: str) -> None:
    """Otherwise its silence would mean nothing."""
    condition = {"StringEquals": {key: "x"}} if key else None

    (said,) = complaints(document(allow("One", [action], [resource], condition)))

    assert complaint in said
