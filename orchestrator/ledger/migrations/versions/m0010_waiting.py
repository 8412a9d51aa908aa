"""What waits, and what has ended, is out of the way of what moves; what is counted for metrics has a table."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Index only those rows that are looked for."""
    op.drop_index("ix_work_parked_wait_until", table_name="work")
    op.drop_index("ix_work_step_moved_at", table_name="work")
    op.drop_index("ix_workers_state", table_name="workers")
    op.drop_index("ix_cloud_things_session_id_state", table_name="cloud_things")
    op.create_index("ix_cloud_things_session_id_ordinal", "cloud_things", ["session_id", "ordinal"])
    parked = sa.column("parked", sa.Boolean())
    moving = sa.and_(sa.not_(parked), sa.column("step") != sa.literal_column("'done'"))
    _partial("ix_work_moving", "work", ["moved_at"], moving)
    _partial("ix_work_wait_until", "work", ["wait_until"], parked.is_(sa.true()))
    _partial("ix_work_wait_for", "work", ["wait_for", "session_id", "ordinal"], parked.is_(sa.true()))
    _partial("ix_work_sessions", "work", ["step"], sa.column("ordinal") == sa.literal_column("-1"))
    alive = sa.column("state") != sa.literal_column("'terminated'")
    _partial("ix_workers_alive", "workers", ["account", "region", "role", "instance_id"], alive)
    op.create_table(
        "counters",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("label", sa.String(64), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "label", name=op.f("pk_counters")),
    )


def _partial(name: str, table: str, columns: list[str], where: sa.ColumnElement[bool]) -> None:
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
