"""Roles of operations whose job this version does not carry out yet: what planning reads, nothing else.

The documents grow with the jobs. Beside a general role, that of the `backup` or `restore` purpose, only what it lacks
is granted; a role of their own has what every deploying role reads as well.
"""

from __future__ import annotations

from orchestrator import policies
from orchestrator.statements import Document, allow, checked, document, prove

_DATABASES = "arn:aws:rds:*:*:db:*"


def databases(sid: str, *, worker_role_arn: str, own: str, is_alone: bool = False) -> Document:
    """Policy of a role that backs up or restores RDS databases. `is_alone`: the role has no other document."""
    return _role(
        allow(sid, ["rds:DescribeDBInstances"], [_DATABASES]),
        worker_role_arn=worker_role_arn,
        own=own,
        is_alone=is_alone,
    )


def _role(reading: Document, *, worker_role_arn: str, own: str, is_alone: bool) -> Document:
    if not is_alone:
        return checked(document(reading))
    return checked(
        document(reading, *policies.looking(), policies.finding(worker_role_arn), prove(own, worker_role_arn)),
    )
