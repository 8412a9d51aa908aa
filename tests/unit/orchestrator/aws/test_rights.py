"""Answers of the IAM policy simulator, in the form of today and in the one before it."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.aws.rights import AwsRights
from orchestrator.model.plan import Access

A, B = "arn:aws:s3:::bucket/a", "arn:aws:s3:::bucket/b"


class Simulator:
    """Stands where identities stand: its client answers with what it was given."""

    def __init__(self, *results: dict[str, Any]) -> None:
        self.results = list(results)

    def client(self, *_: object) -> Simulator:
        """Be the client."""
        return self

    def get_paginator(self, name: str) -> Simulator:
        """Be the paginator."""
        assert name == "simulate_principal_policy"
        return self

    def paginate(self, **asked: Any) -> list[dict[str, Any]]:
        """Answer on two pages."""
        assert asked["ContextEntries"] == [
            {"ContextKeyName": "aws:userid", "ContextKeyValues": ["AROA:i-1"], "ContextKeyType": "string"}
        ]
        return [{"EvaluationResults": self.results[:1]}, {"EvaluationResults": self.results[1:]}]


def result(action: str, decision: str, **more: Any) -> dict[str, Any]:
    """Return a result of the simulator."""
    return {"EvalActionName": action, "EvalDecision": decision, **more}


def part(resource: str, decision: str, **more: Any) -> dict[str, Any]:
    """Return a result for one resource."""
    return {"EvalResourceName": resource, "EvalResourceDecision": decision, **more}


@pytest.mark.parametrize(
    ("resources", "results", "refused"),
    [
        ([A], [result("s3:GetObject", "allowed", EvalResourceName=A)], set()),
        (["*"], [result("s3:GetObject", "implicitDeny", EvalResourceName="*")], {("s3:GetObject", "*")}),
        (
            [A, B],
            [
                result(
                    "s3:GetObject",
                    "implicitDeny",
                    EvalResourceName="arn:${Partition}:s3:::${BucketName}/${KeyName}",
                    ResourceSpecificResults=[part(A, "allowed"), part(B, "explicitDeny")],
                )
            ],
            {("s3:GetObject", B)},
        ),
        (
            [A, B],
            [
                result("s3:GetObject", "allowed", EvalResourceName=A),
                result("s3:GetObject", "implicitDeny", EvalResourceName=B),
            ],
            {("s3:GetObject", B)},
        ),
        (
            [A],
            [
                result(
                    "s3:GetObject",
                    "implicitDeny",
                    ResourceSpecificResults=[
                        part(
                            A,
                            "implicitDeny",
                            EvalDecisionDetails={"IAM Policy": "allowed", "Resource Policy": "implicitDeny"},
                        )
                    ],
                )
            ],
            set(),
        ),
    ],
    ids=["one", "all", "by resource", "result by result", "another account's side"],
)
def test_pairs_are_refused_by_the_roles_own_policies(
    resources: list[str], results: list[dict[str, Any]], refused: set[tuple[str, str]]
) -> None:
    """What policies of resources say does not count."""
    rights = AwsRights(Simulator(*results), Access(account="1" * 12, region="eu-west-1", role=None))  # type: ignore[arg-type]  # a stand-in

    found = rights.refused("arn", actions=["s3:GetObject"], resources=resources, context={"aws:userid": "AROA:i-1"})

    assert found == refused
