"""The work itself knows since when a step is under way; the outbox, which nothing ever used, goes."""

import sqlalchemy as sa
from alembic import op

from orchestrator.ledger.schema import Moment

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the tables."""
    op.add_column("work", sa.Column("begun_at", Moment(), nullable=True))
    op.drop_table("outbox")
