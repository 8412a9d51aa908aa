"""Letting those whose turn it is into launch batches, and telling the others why they wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from orchestrator.fleet.admission import Queue, Vcpus, share
from orchestrator.ledger import batches, journal, launches, pools, registry, rooms
from orchestrator.ledger.launches import LaunchSpec, Waiting
from orchestrator.ledger.rooms import LaunchRoom
from orchestrator.ledger.store import Transaction
from orchestrator.model.account import AccountLimits
from orchestrator.model.work import WorkKey
from orchestrator.services import Services

#: So many workers of one spec that never became ready, and none that did: the next ones would not either.
BOOT_FAILURES = 3


def admit(services: Services, tx: Transaction, account: str, region: str, room: int) -> list[WorkKey]:
    """Open batches for those whose turn it is, and show the others why they wait. Returns the work to drive.

    `room` is how many workers AWS's rate lets us ask for now.
    """
    queued = launches.waiting(tx, account, region)
    if not queued:
        return []
    woken: list[WorkKey] = []
    full = pools.full(tx, account, region)
    able: list[Waiting] = []
    for one in queued:
        if failures := launches.boot_failures(tx, one.session, one.digest)[BOOT_FAILURES - 1 :]:
            woken += _stop_launching(tx, one, failures[-1].reason or "no reason known", failures[-1].remedy or "")
        elif (opens := full.opens(one.spec.rungs())) is not None:
            why = f"{full.why(one.spec.rungs())}; asked again at {opens:%H:%M} UTC"
            launches.explain(tx, account, region, session=one.session, digest=one.digest, why=why)
        else:
            able.append(one)
    if able and room:
        # While no call can be made, requests gather: one that is opened now could not be joined any more.
        _open(services, tx, _Place.look(tx, account, region), able, room)
    return woken


def _stop_launching(tx: Transaction, one: Waiting, reason: str, remedy: str) -> list[WorkKey]:
    """Fail what would start workers that do not start: they cost money and find out nothing new."""
    why = f"no more workers are launched: {BOOT_FAILURES} of them did not start; the last one: {reason}"
    journal.write(tx, one.session, why, level="error")
    return launches.give_up(tx, one.session, one.digest, reason=why, remedy=remedy)


@dataclass(frozen=True, kw_only=True)
class _Place:
    """An account and Region with its limits; `vcpus` are those that our workers have or are about to have."""

    account: str
    region: str
    name: str
    limits: AccountLimits
    there: LaunchRoom
    busy: dict[str, int]
    vcpus: int

    @classmethod
    def look(cls, tx: Transaction, account: str, region: str) -> _Place:
        known = registry.locked(tx, account)
        return cls(
            account=account,
            region=region,
            name=account if known is None else known.name,
            limits=AccountLimits() if known is None else known.limits,
            there=rooms.get(tx, account, region),
            busy=launches.busy(tx, account, region),
            vcpus=launches.vcpus(tx, account, region),
        )

    @property
    def most_vcpus(self) -> int | None:
        """How many vCPUs our workers may have at once: the smaller one of our own limit and what the quota leaves."""
        return min((one for one in (self.limits.vcpus, self.there.vcpus) if one is not None), default=None)

    def free_vcpus(self) -> Vcpus:
        most = self.most_vcpus
        return Vcpus() if most is None else Vcpus(free=most - self.vcpus, most=most)


def _open(services: Services, tx: Transaction, place: _Place, able: Sequence[Waiting], room: int) -> None:
    alive = sum(place.busy.values())
    free = place.there.free(subnet for one in able for subnet in one.spec.subnets)
    ceilings = (alive + room, place.limits.workers, None if free is None else alive + free)
    of_session = services.install.session_workers
    left = share(
        _queues(able),
        place.busy,
        limit=min(one for one in ceilings if one is not None),
        of_session=of_session,
        vcpus=place.free_vcpus(),
    )
    addresses, vcpus = dict(place.there.addresses), 0
    unserved: list[Waiting] = []
    for one in able:
        count = _reserve(addresses, one.spec.subnets, min(left[one.session], one.count))
        left[one.session] -= count
        vcpus += count * one.spec.vcpus
        place.busy[one.session] = place.busy.get(one.session, 0) + count
        if count:
            patience = services.install.deadlines.launch
            batches.admit(tx, place.account, place.region, one.session, one.digest, count, patience=patience)
        if count < one.count:
            unserved.append(one)
    after = replace(place, there=replace(place.there, addresses=addresses), vcpus=place.vcpus + vcpus)
    for one in unserved:
        if of_session is not None and place.busy[one.session] >= of_session:
            why = f"a session has at most {of_session} workers at once; it waits for one of its own to end"
        else:
            why = _why(after, one.spec)
        launches.explain(tx, place.account, place.region, session=one.session, digest=None, why=why)


def _queues(able: Sequence[Waiting]) -> list[Queue]:
    queues: dict[str, Queue] = {}
    for one in able:
        other = queues.get(one.session)
        queues[one.session] = Queue(
            session=one.session,
            count=one.count + (0 if other is None else other.count),
            since=one.since if other is None else other.since,
            vcpus=max(one.spec.vcpus, 0 if other is None else other.vcpus),
        )
    return list(queues.values())


def _reserve(addresses: dict[str, int | None], subnets: Sequence[str], wanted: int) -> int:
    """Take addresses for `wanted` workers, as far as the subnets have them. Returns for how many there are."""
    if any(addresses.get(one) is None for one in subnets):
        return wanted
    taken = 0
    for one in subnets:
        here = min(addresses[one] or 0, wanted - taken)
        addresses[one] = (addresses[one] or 0) - here
        taken += here
    return taken


def _why(place: _Place, spec: LaunchSpec) -> str:
    """Say what a worker waits for, at a place as it is when all whose turn it is have theirs."""
    limits, there = place.limits, place.there
    if limits.workers is not None and sum(place.busy.values()) >= limits.workers:
        most = f"account {place.name} has at most {limits.workers} workers at once in {place.region}"
        return f"{most}; it waits for one to end"
    if there.free(spec.subnets) == 0:
        return f"no free address in {', '.join(spec.subnets)}; it waits for one"
    if limits.vcpus is not None and limits.vcpus - place.vcpus < spec.vcpus:
        most = f"account {place.name} has at most {limits.vcpus} vCPUs of workers at once in {place.region}"
        return f"{most}; it waits for some to end"
    if there.vcpus is not None and there.vcpus - place.vcpus < spec.vcpus:
        left = f"the quota of account {place.name} leaves workers {max(0, there.vcpus)} vCPUs in {place.region}"
        return f"{left} (Running On-Demand Standard instances); it waits for some to end"
    return "AWS limits how fast instances may be started; it waits for its turn"
