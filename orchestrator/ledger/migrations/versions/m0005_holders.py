"""Claims carry who holds them."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; claims of before have no known holder and run out as ever."""
    op.add_column("work", sa.Column("holder", sa.String(length=64), nullable=True))
