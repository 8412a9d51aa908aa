"""Who may assume which role."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.statements import TRUST_LIMIT, Document, checked, document


def ec2_trust() -> Document:
    """Trust of every role that is attached to workers: EC2 alone, so nobody else can choose the session's name."""
    return document({"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"})


def operation_trust(control_plane: str, external_id: str | None) -> Document:
    """Trust of backup, restore and worker deployment roles: the control plane's principal, with the external id."""
    statement: Document = {"Effect": "Allow", "Principal": {"AWS": control_plane}, "Action": "sts:AssumeRole"}
    if external_id is not None:
        statement["Condition"] = {"StringEquals": {"sts:ExternalId": external_id}}
    return document(statement)


def worker_trust(account: str, role_pattern: str) -> Document:
    """Trust of data and repository roles: workers' roles of `account` whose ARN matches `role_pattern`."""
    return document(
        {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
            "Action": "sts:AssumeRole",
            "Condition": {"ArnLike": {"aws:PrincipalArn": role_pattern}},
        }
    )


def workers_trust(patterns: Sequence[tuple[str, str]]) -> Document:
    """Trust of a role that workers of several accounts reach: (account, role ARN pattern) each.

    Accounts whose pattern differs in nothing but the account share a statement: a trust policy is short. Raises
    `WrongRequest` when it is longer than AWS takes all the same.
    """
    alike: dict[str, list[str]] = {}
    for account, pattern in patterns:
        alike.setdefault(pattern.replace(f":{account}:", ":*:"), []).append(account)
    return checked(
        document(
            *[
                {
                    "Effect": "Allow",
                    "Principal": {"AWS": [f"arn:aws:iam::{account}:root" for account in sorted(set(accounts))]},
                    "Action": "sts:AssumeRole",
                    "Condition": {"ArnLike": {"aws:PrincipalArn": pattern}},
                }
                for pattern, accounts in alike.items()
            ]
        ),
        limit=TRUST_LIMIT,
    )
