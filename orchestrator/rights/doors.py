"""Policies of the control bucket and of the report queue: by which workers of other accounts come in."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.policies import own_files, own_orders
from orchestrator.statements import Document, checked, document

#: S3's limit for the policy of a bucket, in characters.
_BUCKET_LIMIT = 20_480


def control_bucket(bucket: str, accounts: Sequence[str]) -> Document:
    """Bucket policy: workers of the production accounts reach their own orders and folders and nothing else."""
    principals = {"AWS": [f"arn:aws:iam::{account}:root" for account in sorted(accounts)]}
    return checked(
        document(*[{**one, "Principal": principals} for one in (*own_orders(bucket), own_files(bucket))]),
        limit=_BUCKET_LIMIT,
    )


def report_queue(queue_arn: str, accounts: Sequence[str]) -> Document:
    """Queue policy: these accounts' workers may send (SQS takes 50 principals at most)."""
    return document(
        {
            "Sid": "Workers",
            "Effect": "Allow",
            "Principal": {"AWS": [f"arn:aws:iam::{account}:root" for account in sorted(accounts)]},
            "Action": "sqs:SendMessage",
            "Resource": queue_arn,
        }
    )
