"""What AWS had room for where workers are launched, when somebody last asked."""

import sqlalchemy as sa
from alembic import op

from orchestrator.ledger.schema import Moment

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table; it is filled by the next launch."""
    op.create_table(
        "launch_rooms",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=32), nullable=False),
        sa.Column("asked_at", Moment(), nullable=False),
        sa.Column("vcpus", sa.Integer(), nullable=True),
        sa.Column("addresses", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("account", "region", name=op.f("pk_launch_rooms")),
    )
