"""Ending workers that have nothing left to do: one TerminateInstances for all of a place, as launching is one call.

Whoever wants a worker to end asks for a look at its account and Region; the look finds what is wanted in the ledger:
live workers whose resource has come to its teardown, or that belong to nobody. A look comes a moment after the first
has asked for it, and takes all that have asked by then.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta

import sqlalchemy as sa
import structlog

from orchestrator.errors import CloudError
from orchestrator.ledger import leases, pools, schema, things, workers
from orchestrator.ledger.store import Transaction
from orchestrator.model.plan import Access
from orchestrator.model.status import Step
from orchestrator.services import Services

log = structlog.get_logger(__name__)

#: How often `watch` asks for a look at workers that should be ending and are not.
AGAIN = timedelta(seconds=4)

#: States from which an instance does not end by itself.
LIVING = ("pending", "running", "stopping", "stopped")


def ask(tx: Transaction, account: str, region: str, *, gather: timedelta) -> bool:
    """Return whether the caller shall have the place looked at, after `gather`: that look sees the others too."""
    return _is_first(tx, f"ending:{account}:{region}", gather)


def ask_again(tx: Transaction, account: str, region: str) -> bool:
    """Return whether `watch` shall have the place looked at: what was asked for may have been lost or refused."""
    return _is_first(tx, f"ending-again:{account}:{region}", AGAIN)


def _is_first(tx: Transaction, name: str, span: timedelta) -> bool:
    return leases.holder(tx, name) is None and leases.acquire(tx, name, "ending", span) is not None


def end_workers(services: Services, account: str, region: str) -> None:
    """Terminate what has nothing left to do in an account and Region. Safe to run twice at the same time."""
    with services.ledger.read() as tx:
        wanted = _wanted(tx, account, region)
    for access, ids in wanted.items():
        try:
            services.cloud.compute(access).terminate(ids)
        except CloudError as error:
            # Whoever waits for the end sees that it does not come, and asks AWS for the reason itself.
            log.warning("workers not ended", account=account, region=region, count=len(ids), code=error.code)


def places(tx: Transaction) -> list[tuple[str, str]]:
    """List (account, Region) in which workers live that have nothing left to do."""
    query = _query().order_by(None).with_only_columns(schema.workers.c.account, schema.workers.c.region).distinct()
    return [(row.account, row.region) for row in tx.rows(query)]


def _wanted(tx: Transaction, account: str, region: str) -> dict[Access, list[str]]:
    found: dict[Access, list[str]] = defaultdict(list)
    query = _query().where(schema.workers.c.account == account, schema.workers.c.region == region)
    for row in tx.rows(query):
        found[Access(account=account, region=region, role=row.role)].append(row.instance_id)
    return found


def _query() -> sa.Select[tuple[str, str, str, str | None]]:
    table, work = schema.workers, schema.work
    joined = table.outerjoin(work, sa.and_(work.c.session_id == table.c.session_id, work.c.ordinal == table.c.ordinal))
    is_done = sa.or_(
        work.c.step.is_(None), work.c.step.in_((Step.TEARDOWN, Step.DONE)), work.c.attempt > table.c.attempt
    )
    return (
        sa.select(table.c.instance_id, table.c.account, table.c.region, table.c.role)
        .select_from(joined)
        .where(table.c.state.in_(LIVING), is_done)
        .order_by(table.c.instance_id)
    )


def note_gone(tx: Transaction, session: str, instance_id: str) -> None:
    """Write down that a worker is terminated, in both places that know it; then its account's quota has room again."""
    if workers.seen(tx, instance_id, workers.TERMINATED) and (gone := workers.get(tx, instance_id)) is not None:
        pools.has_room(tx, gone.account, gone.region, instance_type=pools.ANY, subnet=pools.ANY)
    things.removed(tx, session, "instance", instance_id)
