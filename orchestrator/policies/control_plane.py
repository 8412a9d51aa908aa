"""What the control plane's own identity may do, and where it keeps its things in the control bucket."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.statements import Document, allow, document, prove

#: Where the control bucket remembers how old the newest ledger was (`orchestrator.ledger.marks`).
EPOCH_KEY = "ledger/epoch"

#: Where it keeps copies of the ledger (`orchestrator.ports`).
BACKUP_PREFIX = "ledger/backups/"


def control_plane(
    roles: Sequence[str], *, control_bucket: str, report_queue_arn: str, own: str | None = None
) -> Document:
    """Policy of the control plane's own identity: assume the registered roles, write orders, read reports.

    `own` is the ARN of that identity, so that it may prove its own rights.
    """
    return document(
        allow("Assume", ["sts:AssumeRole"], sorted(roles)) if roles else None,
        allow(
            "Orders", ["s3:PutObject", "s3:GetObject", "s3:DeleteObject"], [f"arn:aws:s3:::{control_bucket}/orders/*"]
        ),
        allow("Epoch", ["s3:PutObject", "s3:GetObject"], [f"arn:aws:s3:::{control_bucket}/{EPOCH_KEY}"]),
        allow(
            "LedgerBackups",
            ["s3:PutObject", "s3:GetObject", "s3:DeleteObject"],
            [f"arn:aws:s3:::{control_bucket}/{BACKUP_PREFIX}*"],
        ),
        allow("OrderList", ["s3:ListBucket"], [f"arn:aws:s3:::{control_bucket}"]),
        allow("ProveBucket", ["s3:GetBucketPolicy"], [f"arn:aws:s3:::{control_bucket}"]),
        allow("Reports", ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], [report_queue_arn]),
        prove(own),
    )
