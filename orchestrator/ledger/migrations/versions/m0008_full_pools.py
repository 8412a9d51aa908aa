"""Pools without capacity are remembered; requests know when they were admitted, batches whether they are in doubt."""

import sqlalchemy as sa
from alembic import op

from orchestrator.ledger.schema import Moment

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table and the columns; calls of before are in doubt, because nobody wrote down that they are not."""
    op.create_table(
        "full_pools",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=32), nullable=False),
        sa.Column("instance_type", sa.String(length=32), nullable=False),
        sa.Column("subnet", sa.String(length=32), nullable=False),
        sa.Column("until", Moment(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(length=2000), nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "instance_type", "subnet", name=op.f("pk_full_pools")),
    )
    op.add_column("launch_batches", sa.Column("in_doubt", sa.Boolean(), nullable=False, server_default=sa.true()))
    with op.batch_alter_table("launch_batches") as batches:
        batches.alter_column("in_doubt", server_default=None)
    with op.batch_alter_table("launch_requests") as requests:
        requests.add_column(sa.Column("admitted_at", Moment(), nullable=True))
        requests.drop_column("not_before")
    op.execute("UPDATE launch_requests SET admitted_at = filed_at WHERE state <> 'queued'")
