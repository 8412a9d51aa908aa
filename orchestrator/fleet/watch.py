"""Looking at the cloud for everybody at once: workers, snapshots, volumes, deadlines. The same work every time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import TypeVar

import structlog

from orchestrator.errors import CloudError
from orchestrator.fleet import endings, heartbeats
from orchestrator.ledger import launches, things, waiting, work, workers
from orchestrator.ledger.store import Transaction
from orchestrator.ledger.waiting import Waiting
from orchestrator.model.plan import Access
from orchestrator.model.status import Step
from orchestrator.model.work import WorkKey
from orchestrator.services import Services

log = structlog.get_logger(__name__)

#: Workers of an account and Region, or resources of a session that wait, in one round: ten describing calls each.
_MOST = 1000

#: So many looks are not worth a thread; above that so many are under way at once.
_FEW, _AT_ONCE = 4, 8


def watch(services: Services) -> None:
    """Wake what waits for something that has happened. One account's failure does not keep the others waiting."""
    with services.ledger.write() as tx:
        expired = heartbeats.signal_expired(tx, services.install.deadlines)
    services.dispatch.drive(expired)
    with services.ledger.read() as tx:
        places = workers.places(tx, _MOST)
        snapshots = waiting.for_things(tx, "snapshot", most=_MOST)
        volumes = waiting.for_things(tx, "volume", most=_MOST)
        launching = launches.places(tx)
        ending = endings.places(tx)
    of_workers = {Access(account=account, region=region, role=role): ids for account, region, role, ids in places}
    looks = [partial(_guarded, services, access, _workers, ids) for access, ids in of_workers.items()]
    looks += [partial(_guarded, services, access, _snapshots, wanted) for access, wanted in snapshots.items()]
    looks += [partial(_guarded, services, access, _volumes, wanted) for access, wanted in volumes.items()]
    _take(looks)
    for account, region in launching:
        services.dispatch.launch(account, region)
    if ending:
        with services.ledger.write() as tx:
            ending = [place for place in ending if endings.ask_again(tx, *place)]
    for account, region in ending:
        services.dispatch.terminate(account, region)


def _take(looks: Sequence[Callable[[], None]]) -> None:
    """Take looks; many of them at the same time, because hundreds of accounts would take a minute one by one."""
    if len(looks) <= _FEW:
        for look in looks:
            look()
        return
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="watch") as pool:
        for taken in [pool.submit(look) for look in looks]:
            taken.result()


W = TypeVar("W")


def _guarded(services: Services, access: Access, look: Callable[[Services, Access, W], None], wanted: W) -> None:
    try:
        look(services, access, wanted)
    except CloudError as error:
        log.warning("watch failed", account=access.account, region=access.region, code=error.code, reason=error.reason)


def _workers(services: Services, access: Access, ids: Sequence[str]) -> None:
    shown = {one.instance_id: one.state for one in services.cloud.compute(access, yields=True).workers(ids=ids)}
    with services.ledger.read() as tx:
        news = workers.news(tx, shown)
    if not news:
        return
    with services.ledger.write() as tx:
        units = workers.units(tx, news)
        work.lock(tx, [key for key in units.values() if key is not None])
        changed: dict[WorkKey, str] = {}
        for name, state in news.items():
            if workers.seen(tx, name, state) and (key := units.get(name)) is not None:
                changed[key] = state
        woken = work.signal(tx, _concerned(tx, changed))
    services.dispatch.drive(woken)


def _concerned(tx: Transaction, changed: dict[WorkKey, str]) -> list[WorkKey]:
    """Leave out teardowns whose worker is merely on its way: they wait for its end alone."""
    ending = [key for key, state in changed.items() if state != workers.TERMINATED]
    quiet = {place.key for place in work.places(tx, ending) if place.step is Step.TEARDOWN}
    return [key for key in changed if key not in quiet]


def _snapshots(services: Services, access: Access, wanted: Waiting) -> None:
    seen = services.cloud.compute(access, yields=True).snapshots(ids=_ids(wanted))
    _wake(services, wanted, "snapshot", {one.snapshot_id: one.state for one in seen}, unfinished="pending")


def _volumes(services: Services, access: Access, wanted: Waiting) -> None:
    seen = services.cloud.compute(access, yields=True).volumes(ids=_ids(wanted))
    _wake(services, wanted, "volume", {one.volume_id: one.state for one in seen}, unfinished="creating")


def _ids(wanted: Waiting) -> list[str]:
    return [name for waiting in wanted.values() for name in waiting]


def _wake(services: Services, wanted: Waiting, kind: str, states: Mapping[str, str], *, unfinished: str) -> None:
    """Wake the work whose things are all finished, or one of whose things has failed or is gone.

    What was seen is written down with it, so that nobody who is woken has to ask AWS the same.
    """
    now, visible = services.clock.now(), services.install.deadlines.visible

    def is_over(names: dict[str, datetime]) -> bool:
        shown = {name: states.get(name) for name in names}
        gone = [name for name, state in shown.items() if state is None and now - names[name] >= visible]
        return bool(gone) or "error" in shown.values() or not {None, unfinished} & set(shown.values())

    ready = [key for key, names in wanted.items() if is_over(names)]
    if not ready:
        return
    with services.ledger.write() as tx:
        woken = work.signal(tx, ready)
        things.show(tx, kind, {name: states[name] for key in ready for name in wanted[key] if name in states})
    services.dispatch.drive(woken)
