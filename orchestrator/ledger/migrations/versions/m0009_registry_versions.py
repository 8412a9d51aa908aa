"""The registry's versions: what it was, when, and who changed it."""

import sqlalchemy as sa
from alembic import op

from orchestrator.ledger.schema import Moment

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table; the first version is written by the next apply."""
    op.create_table(
        "registry_versions",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("changes", sa.JSON(), nullable=False),
        sa.Column("applied_at", Moment(), nullable=False),
        sa.Column("applied_by", sa.String(length=128), nullable=True),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_registry_versions")),
    )
