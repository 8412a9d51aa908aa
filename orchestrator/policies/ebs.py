"""What roles of both sides say of snapshots and of the keys behind them."""

from __future__ import annotations

from orchestrator.statements import Document, allow

SNAPSHOTS = "arn:aws:ec2:*::snapshot/*"


def keys_through(sid: str, *actions: str) -> Document:
    """Return the use of customers' own keys, through EBS alone. The key's policy must allow it as well."""
    through = {"StringLike": {"kms:ViaService": ["ec2.*.amazonaws.com", "ebs.*.amazonaws.com"]}}
    return allow(sid, actions, ["arn:aws:kms:*:*:key/*"], through)
