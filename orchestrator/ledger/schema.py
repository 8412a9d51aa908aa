"""The tables of the ledger. Nothing here is special to one database.

Times are stored as seconds since 1970 (a float), because SQLite has no time type that sorts and PostgreSQL's would have
to be treated differently; `Moment` turns them into aware UTC datetimes and back.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator


class Moment(TypeDecorator[datetime]):
    """An aware UTC datetime, kept as seconds since 1970."""

    impl = sa.Double
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> float | None:  # noqa: ARG002 - interface
        """Turn a datetime into seconds."""
        return None if value is None else value.timestamp()

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - interface
        """Turn seconds into a datetime."""
        return None if value is None else datetime.fromtimestamp(value, UTC)


#: Names of constraints, so that migrations can name them on every database.
metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _text(name: str, length: int, **options: Any) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), **options)


sessions = sa.Table(
    "sessions",
    metadata,
    _text("id", 32, primary_key=True),
    _text("source", 256, nullable=False),
    _text("request_id", 256, nullable=False),
    _text("digest", 64, nullable=False),
    _text("operation", 64, nullable=False),
    _text("mode", 16, nullable=False),
    _text("status", 16, nullable=False),
    _text("policy", 64),
    _text("retry_of", 32),
    sa.Column("request", sa.JSON, nullable=False),
    sa.Column("plan", sa.JSON),
    _text("reason", 2000),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("started_at", Moment),
    sa.Column("stop_at", Moment),
    sa.Column("ended_at", Moment),
    sa.UniqueConstraint("source", "request_id"),
    sa.Index(None, "status"),
    sa.Index(None, "policy", "status"),
    sa.Index(None, "created_at"),
)

resources = sa.Table(
    "resources",
    metadata,
    sa.Column("session_id", sa.String(32), sa.ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("ordinal", sa.Integer, primary_key=True, autoincrement=False),
    _text("account", 12, nullable=False),
    _text("region", 32, nullable=False),
    _text("resource_id", 256, nullable=False),
    _text("status", 24, nullable=False),
    _text("reason", 2000),
    _text("remedy", 2000),
    sa.Column("attempt", sa.Integer, nullable=False, default=1),
    sa.Column("outcome", sa.String(16)),
    sa.Column("plan", sa.JSON),
    sa.Column("state", sa.JSON),
    sa.Column("result", sa.JSON),
    sa.Column("done", sa.BigInteger, nullable=False, default=0),
    sa.Column("total", sa.BigInteger, nullable=False, default=0),
    _text("unit", 16, nullable=False, default="bytes"),
    _text("instance_id", 32),
    sa.Column("started_at", Moment),
    sa.Column("ended_at", Moment),
    sa.Index(None, "session_id", "status"),
    sa.Index(None, "instance_id"),
)

#: One row for each unit of work: a resource, or (ordinal -1) the session's own start and release.
work = sa.Table(
    "work",
    metadata,
    sa.Column("session_id", sa.String(32), sa.ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("ordinal", sa.Integer, primary_key=True, autoincrement=False),
    _text("step", 16, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False, default=1),
    sa.Column("fence", sa.BigInteger, nullable=False, default=0),
    sa.Column("claimed_until", Moment),
    _text("holder", 64),
    sa.Column("signals", sa.Integer, nullable=False, default=0),
    sa.Column("tries", sa.Integer, nullable=False, default=0),
    sa.Column("deaths", sa.Integer, nullable=False, default=0, server_default="0"),
    sa.Column("begun_at", Moment),
    sa.Column("parked", sa.Boolean, nullable=False, default=False),
    _text("wait_for", 64),
    sa.Column("wait_until", Moment),
    sa.Column("moved_at", Moment, nullable=False),
    sa.Column("drives", sa.Integer, nullable=False, default=0),
)

#: What has to be written out wherever an index is to be used that holds such rows alone: neither database recognises
#: a bound value. What waits stands in no index of what moves, and what is done stands in none at all.
PARKED = work.c.parked.is_(sa.true())
MOVING = sa.and_(sa.not_(work.c.parked), work.c.step != sa.literal_column("'done'"))
OF_SESSION = work.c.ordinal == sa.literal_column("-1")


def _partial(name: str, where: sa.ColumnElement[bool], *columns: sa.Column[Any]) -> None:
    """Give a table an index over those of its rows for which `where` holds."""
    sa.Index(name, *columns, sqlite_where=where, postgresql_where=where)


_partial("ix_work_moving", MOVING, work.c.moved_at)
_partial("ix_work_wait_until", PARKED, work.c.wait_until)
_partial("ix_work_wait_for", PARKED, work.c.wait_for, work.c.session_id, work.c.ordinal)
_partial("ix_work_sessions", OF_SESSION, work.c.step)

steps = sa.Table(
    "steps",
    metadata,
    sa.Column("session_id", sa.String(32), sa.ForeignKey("sessions.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("ordinal", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("attempt", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("step", sa.String(16), primary_key=True),
    sa.Column("started_at", Moment, nullable=False),
    sa.Column("ended_at", Moment),
    _text("outcome", 16),
)

log_lines = sa.Table(
    "log_lines",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("session_id", sa.String(32), sa.ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False),
    sa.Column("ordinal", sa.Integer),
    sa.Column("at", Moment, nullable=False),
    _text("level", 8, nullable=False),
    _text("text", 2000, nullable=False),
    sa.Index(None, "session_id", "id"),
)

workers = sa.Table(
    "workers",
    metadata,
    _text("instance_id", 32, primary_key=True),
    _text("account", 12, nullable=False),
    _text("region", 32, nullable=False),
    _text("session_id", 32, nullable=False),
    sa.Column("ordinal", sa.Integer),
    sa.Column("attempt", sa.Integer, nullable=False, default=1),
    _text("role", 256),
    _text("state", 16, nullable=False),
    _text("instance_type", 32, nullable=False),
    _text("availability_zone", 32, nullable=False),
    _text("user_id", 128),
    sa.Column("sequence", sa.BigInteger, nullable=False, default=0),
    sa.Column("report", sa.JSON),
    sa.Column("launched_at", Moment, nullable=False),
    sa.Column("ready_at", Moment),
    sa.Column("heard_at", Moment),
    sa.Column("terminated_at", Moment),
    sa.Index(None, "session_id", "ordinal"),
)

#: Workers that are not known to be terminated; see `MOVING`.
ALIVE = workers.c.state != sa.literal_column("'terminated'")
_partial("ix_workers_alive", ALIVE, workers.c.account, workers.c.region, workers.c.role, workers.c.instance_id)

#: Everything that is made in the cloud: written as intended before the call, so that nothing can be made unseen.
cloud_things = sa.Table(
    "cloud_things",
    metadata,
    _text("id", 32, primary_key=True),
    _text("session_id", 32, nullable=False),
    sa.Column("ordinal", sa.Integer),
    _text("kind", 24, nullable=False),
    _text("account", 12, nullable=False),
    _text("region", 32, nullable=False),
    _text("role", 256),
    _text("name", 256, nullable=False),
    _text("cloud_id", 256),
    _text("state", 12, nullable=False),
    sa.Column("keep", sa.Boolean, nullable=False, default=False),
    sa.Column("details", sa.JSON),
    _text("shown", 16),
    sa.Column("intended_at", Moment, nullable=False),
    sa.Column("created_at", Moment),
    sa.Column("removed_at", Moment),
    sa.UniqueConstraint("session_id", "kind", "name"),
    sa.Index(None, "session_id", "ordinal"),
    sa.Index(None, "kind", "cloud_id"),
)

leases = sa.Table(
    "leases",
    metadata,
    _text("name", 300, primary_key=True),
    _text("owner", 128, nullable=False),
    sa.Column("fence", sa.BigInteger, nullable=False),
    sa.Column("until", Moment, nullable=False),
    sa.Index(None, "owner"),
)

launch_requests = sa.Table(
    "launch_requests",
    metadata,
    _text("id", 32, primary_key=True),
    _text("session_id", 32, nullable=False),
    sa.Column("ordinal", sa.Integer, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    _text("account", 12, nullable=False),
    _text("region", 32, nullable=False),
    _text("spec_digest", 64, nullable=False),
    sa.Column("spec", sa.JSON, nullable=False),
    _text("state", 12, nullable=False),
    _text("batch_id", 32),
    _text("instance_id", 32),
    _text("reason", 2000),
    _text("remedy", 2000),
    sa.Column("filed_at", Moment, nullable=False),
    sa.Column("admitted_at", Moment),
    sa.UniqueConstraint("session_id", "ordinal", "attempt"),
    sa.Index(None, "state", "account", "region"),
    sa.Index(None, "batch_id"),
)

launch_batches = sa.Table(
    "launch_batches",
    metadata,
    _text("id", 32, primary_key=True),
    _text("session_id", 32, nullable=False),
    _text("account", 12, nullable=False),
    _text("region", 32, nullable=False),
    _text("token", 64, nullable=False),
    sa.Column("call", sa.JSON, nullable=False),
    sa.Column("rung", sa.Integer, nullable=False, default=0),
    _text("state", 12, nullable=False),
    sa.Column("in_doubt", sa.Boolean, nullable=False, default=False),
    sa.Column("tries", sa.Integer, nullable=False, default=0),
    sa.Column("made_at", Moment, nullable=False),
    sa.Column("not_before", Moment),
    _text("error", 2000),
    sa.UniqueConstraint("token"),
    sa.Index(None, "state", "account", "region"),
)

#: Where nothing is to be had for a while. `*` as the type means the whole subnet, as the subnet the whole Region.
full_pools = sa.Table(
    "full_pools",
    metadata,
    _text("account", 12, primary_key=True),
    _text("region", 32, primary_key=True),
    _text("instance_type", 32, primary_key=True),
    _text("subnet", 32, primary_key=True),
    sa.Column("until", Moment, nullable=False),
    sa.Column("times", sa.Integer, nullable=False),
    _text("reason", 2000, nullable=False),
)

launch_rooms = sa.Table(
    "launch_rooms",
    metadata,
    _text("account", 12, primary_key=True),
    _text("region", 32, primary_key=True),
    sa.Column("asked_at", Moment, nullable=False),
    sa.Column("vcpus", sa.Integer),
    sa.Column("addresses", sa.JSON, nullable=False),
)

accounts = sa.Table(
    "accounts",
    metadata,
    _text("id", 12, primary_key=True),
    _text("name", 64, nullable=False, unique=True),
    sa.Column("document", sa.JSON, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("applied_at", Moment, nullable=False),
)

repositories = sa.Table(
    "repositories",
    metadata,
    _text("name", 64, primary_key=True),
    sa.Column("document", sa.JSON, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("applied_at", Moment, nullable=False),
)

restore_points = sa.Table(
    "restore_points",
    metadata,
    _text("id", 32, primary_key=True),
    _text("account", 12, nullable=False),
    _text("region", 32, nullable=False),
    _text("resource_id", 256, nullable=False),
    _text("repository", 64, nullable=False),
    _text("session_id", 32, nullable=False),
    _text("kind", 16, nullable=False),
    _text("status", 16, nullable=False),
    _text("parent", 32),
    sa.Column("record", sa.JSON, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Index(None, "account", "region", "resource_id", "created_at"),
)

#: What the sweeper has found that nobody owns, until it is gone or owned.
sweep_marks = sa.Table(
    "sweep_marks",
    metadata,
    _text("kind", 24, primary_key=True),
    _text("account", 12, primary_key=True),
    _text("region", 32, primary_key=True),
    _text("name", 256, primary_key=True),
    sa.Column("first_seen_at", Moment, nullable=False),
)

#: What is only ever counted up, by its name and what it is counted for: `orphans_found`, `snapshot`.
counters = sa.Table(
    "counters",
    metadata,
    _text("name", 64, primary_key=True),
    _text("label", 64, primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)

#: Policies. Ticks up to `seen_at` are settled or `owed` (times in RFC 3339), the next look is at `next_at`.
schedules = sa.Table(
    "schedules",
    metadata,
    _text("name", 64, primary_key=True),
    sa.Column("document", sa.JSON, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("applied_at", Moment, nullable=False),
    _text("applied_by", 128),
    sa.Column("seen_at", Moment, nullable=False),
    sa.Column("owed", sa.JSON, nullable=False, server_default="[]"),
    sa.Column("next_at", Moment),
    _text("note", 2000),
    sa.Index(None, "enabled", "next_at"),
)

#: What was ever applied under a policy's name.
policy_versions = sa.Table(
    "policy_versions",
    metadata,
    _text("name", 64, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("document", sa.JSON, nullable=False),
    sa.Column("applied_at", Moment, nullable=False),
    _text("applied_by", 128),
)

#: The whole registry as it was after each time that somebody changed it.
registry_versions = sa.Table(
    "registry_versions",
    metadata,
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("document", sa.JSON, nullable=False),
    sa.Column("changes", sa.JSON, nullable=False),
    sa.Column("applied_at", Moment, nullable=False),
    _text("applied_by", 128),
)

settings = sa.Table(
    "settings",
    metadata,
    _text("name", 64, primary_key=True),
    sa.Column("value", sa.JSON, nullable=False),
)
