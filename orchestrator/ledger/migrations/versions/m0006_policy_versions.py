"""Policies keep all their versions and who applied them; runs that wait for a session are written down."""

import sqlalchemy as sa
from alembic import op

from orchestrator.ledger.schema import Moment

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and the table; what is applied now is the first version that is known."""
    op.add_column("schedules", sa.Column("applied_by", sa.String(length=128), nullable=True))
    op.add_column("schedules", sa.Column("owed", sa.JSON(), nullable=False, server_default="[]"))
    op.create_table(
        "policy_versions",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("applied_at", Moment(), nullable=False),
        sa.Column("applied_by", sa.String(length=128), nullable=True),
        sa.PrimaryKeyConstraint("name", "version", name=op.f("pk_policy_versions")),
    )
    op.execute(
        "INSERT INTO policy_versions (name, version, document, applied_at) "
        "SELECT name, version, document, applied_at FROM schedules"
    )
