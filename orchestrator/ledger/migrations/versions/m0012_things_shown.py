"""The state in which AWS showed a snapshot or volume to whoever looked for everybody."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; nothing has been shown yet."""
    op.add_column("cloud_things", sa.Column("shown", sa.String(length=16), nullable=True))
