"""Looking at the cloud for everybody at once: workers, snapshots, volumes, deadlines. The same work every time."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar

import sqlalchemy as sa
import structlog

from orchestrator.errors import CloudError
from orchestrator.fleet import endings
from orchestrator.ledger import launches, schema, things, work, workers
from orchestrator.ledger.store import Transaction
from orchestrator.model.plan import Access
from orchestrator.model.status import Step
from orchestrator.model.work import WorkKey
from orchestrator.services import Services

log = structlog.get_logger(__name__)

#: Workers, or resources that wait, in one look at an account and Region: ten describing calls, whatever is going on.
_MOST = 1000


def watch(services: Services) -> None:
    """Wake what waits for something that has happened. One account's failure does not keep the others waiting."""
    with services.ledger.write() as tx:
        expired = work.signal_expired(tx)
    services.dispatch.drive(expired)
    with services.ledger.read() as tx:
        places = workers.places(tx)
        parked = _parked_things(tx)
        launching = launches.places(tx)
        ending = endings.places(tx)
    for account, region, role, ids in places:
        _guarded(services, Access(account=account, region=region, role=role), _workers, list(ids))
    for access, kinds in parked.items():
        _guarded(services, access, _snapshots, kinds["snapshot"])
        _guarded(services, access, _volumes, kinds["volume"])
    for account, region in launching:
        services.dispatch.launch(account, region)
    if ending:
        with services.ledger.write() as tx:
            ending = [place for place in ending if endings.ask_again(tx, *place)]
    for account, region in ending:
        services.dispatch.terminate(account, region)


W = TypeVar("W")


def _guarded(services: Services, access: Access, look: Callable[[Services, Access, W], None], wanted: W) -> None:
    try:
        look(services, access, wanted)
    except CloudError as error:
        log.warning("watch failed", account=access.account, region=access.region, code=error.code, reason=error.reason)


def _workers(services: Services, access: Access, ids: list[str]) -> None:
    if len(ids) > _MOST:
        ids = random.sample(ids, _MOST)
    seen = services.cloud.compute(access).workers(ids=ids)
    with services.ledger.write() as tx:
        work.lock(tx, workers.units(tx, ids))
        changed: dict[WorkKey, str] = {}
        for one in seen:
            if workers.seen(tx, one.instance_id, one.state):
                worker = workers.get(tx, one.instance_id)
                if worker is not None and worker.ordinal is not None:
                    changed[WorkKey(worker.session, worker.ordinal)] = one.state
        woken = work.signal(tx, _concerned(tx, changed))
    services.dispatch.drive(woken)


def _concerned(tx: Transaction, changed: dict[WorkKey, str]) -> list[WorkKey]:
    """Leave out teardowns whose worker is merely on its way: they wait for its end alone."""
    ending = [key for key, state in changed.items() if state != workers.TERMINATED]
    quiet = {place.key for place in work.places(tx, ending) if place.step is Step.TEARDOWN}
    return [key for key in changed if key not in quiet]


#: What one resource waits for: the id of each snapshot or volume, and when it was made.
Waiting = dict[WorkKey, dict[str, datetime]]


def _parked_things(tx: Transaction) -> dict[Access, dict[str, Waiting]]:
    """Return the snapshots and volumes that parked work waits for, by who may describe them and by kind."""
    table, parked = schema.cloud_things, schema.work
    rows = tx.rows(
        sa.select(
            table.c.kind,
            table.c.cloud_id,
            table.c.account,
            table.c.region,
            table.c.role,
            table.c.session_id,
            table.c.ordinal,
            table.c.created_at,
        )
        .select_from(
            table.join(parked, sa.and_(parked.c.session_id == table.c.session_id, parked.c.ordinal == table.c.ordinal))
        )
        .where(
            parked.c.parked,
            parked.c.wait_for == table.c.kind,
            table.c.kind.in_(("snapshot", "volume")),
            table.c.state == things.CREATED,
        )
    )
    found: dict[Access, dict[str, Waiting]] = defaultdict(lambda: {"snapshot": {}, "volume": {}})
    for row in rows:
        access = Access(account=row.account, region=row.region, role=row.role)
        waiting = found[access][row.kind].setdefault(WorkKey(row.session_id, row.ordinal), {})
        waiting[row.cloud_id] = row.created_at
    return found


def _snapshots(services: Services, access: Access, wanted: Waiting) -> None:
    chosen, ids = _some(wanted)
    if ids:
        seen = services.cloud.compute(access).snapshots(ids=ids)
        _wake(services, chosen, {one.snapshot_id: one.state for one in seen}, unfinished="pending")


def _volumes(services: Services, access: Access, wanted: Waiting) -> None:
    chosen, ids = _some(wanted)
    if ids:
        seen = services.cloud.compute(access).volumes(ids=ids)
        _wake(services, chosen, {one.volume_id: one.state for one in seen}, unfinished="creating")


def _some(wanted: Waiting) -> tuple[Waiting, list[str]]:
    """Return as many of the waiting resources as one look may be about, and all their ids.

    They are drawn by lot: whoever is left out now is looked at in one of the next rounds.
    """
    keys = list(wanted)
    if len(keys) > _MOST:
        keys = random.sample(keys, _MOST)
    chosen = {key: wanted[key] for key in keys}
    return chosen, [name for waiting in chosen.values() for name in waiting]


def _wake(services: Services, wanted: Waiting, states: Mapping[str, str], *, unfinished: str) -> None:
    """Wake the work whose things are all finished, or one of whose things has failed or is gone."""
    now, visible = services.clock.now(), services.install.deadlines.visible

    def is_over(waiting: dict[str, datetime]) -> bool:
        shown = {name: states.get(name) for name in waiting}
        gone = [name for name, state in shown.items() if state is None and now - waiting[name] >= visible]
        return bool(gone) or "error" in shown.values() or not {None, unfinished} & set(shown.values())

    ready = [key for key, waiting in wanted.items() if is_over(waiting)]
    if not ready:
        return
    with services.ledger.write() as tx:
        woken = work.signal(tx, ready)
    services.dispatch.drive(woken)
