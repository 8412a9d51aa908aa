"""Policies and how far their schedules have been followed."""

import sqlalchemy as sa
from alembic import op

from orchestrator.ledger.schema import Moment

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table, and find a policy's open sessions without reading all of them."""
    op.create_table(
        "schedules",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("applied_at", Moment(), nullable=False),
        sa.Column("seen_at", Moment(), nullable=False),
        sa.Column("next_at", Moment(), nullable=True),
        sa.Column("note", sa.String(length=2000), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_schedules")),
    )
    op.create_index(op.f("ix_schedules_enabled_next_at"), "schedules", ["enabled", "next_at"], unique=False)
    op.create_index(op.f("ix_sessions_policy_status"), "sessions", ["policy", "status"], unique=False)
