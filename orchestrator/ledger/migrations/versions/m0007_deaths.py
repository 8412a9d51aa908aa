"""Work counts how often whoever held it has died."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; nobody has died yet."""
    op.add_column("work", sa.Column("deaths", sa.Integer(), nullable=False, server_default="0"))
