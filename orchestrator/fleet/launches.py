"""Launching what is asked for: one RunInstances for each batch, each class of error with its own reaction.

a look at an account and Region:  see what there is room for  ->  admit it  ->  call each batch that is due

no capacity     the pool is remembered as full for everybody; the next rung of the ladder at once, or wait for one
quota           nobody asks again for a while; the requests keep their place and wait for workers of ours to end
throttled       the limiter slows down; the same call later
profile unseen  the same call later; other batches with that profile wait for it instead of asking too
ambiguous       the same call, with its token, before anything else
anything else   fails, with the remedy
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from orchestrator import retry
from orchestrator.errors import (
    Ambiguous,
    CloudError,
    NoAddresses,
    NoCapacity,
    NotVisibleYet,
    Permanent,
    QuotaExceeded,
    Retryable,
    Throttled,
)
from orchestrator.fleet.queueing import admit
from orchestrator.fleet.surroundings import look_around
from orchestrator.ledger import batches, journal, launches, leases, pools, rooms
from orchestrator.ledger.batches import Batch
from orchestrator.ledger.pools import ANY
from orchestrator.ledger.store import Transaction
from orchestrator.ports import LaunchCall
from orchestrator.services import Services

log = structlog.get_logger(__name__)

API = "RunInstances"

_CALLING = timedelta(seconds=90)
#: A new instance profile has been seen to stay invisible to EC2 for more than two minutes.
VISIBLE_WITHIN = timedelta(minutes=5)
_PROPAGATION = retry.RetryPolicy(first=timedelta(seconds=1), most=timedelta(seconds=10))
_THROTTLE = retry.RetryPolicy(first=timedelta(seconds=2), most=timedelta(seconds=30))
_AGAIN = timedelta(seconds=1)


def launch_pending(services: Services, account: str, region: str) -> None:
    """Look at an account and Region: admit requests and launch what is due. Safe to run twice at the same time."""
    look_around(services, account, region)
    room = services.limiter.room(account, region, API)
    with services.ledger.write() as tx:
        woken = admit(services, tx, account, region, room)
        due = batches.due(tx, account, region)
    services.dispatch.drive(woken)
    unseen: set[str] = set()
    for batch in due:
        if batch.spec.profile not in unseen and isinstance(_launch(services, batch), NotVisibleYet):
            unseen.add(batch.spec.profile)


# --- calling ------------------------------------------------------------------------------------------------------


def _launch(services: Services, batch: Batch) -> CloudError | None:
    """Call a batch, rung by rung, until something is answered that is not "full". Returns what AWS said last."""
    holder = services.ledger.holder
    owner = f"launch-{services.clock.now().timestamp()}-{batch.tries}" if holder is None else holder.name
    is_dead = (lambda _owner: False) if holder is None else holder.is_dead
    with services.ledger.write() as tx:
        if leases.acquire(tx, f"launch:{batch.id}", owner, _CALLING, is_dead=is_dead) is None:
            return None
    try:
        error: CloudError | None = None
        while (call := _next_call(services, batch.id)) is not None:
            error = _call(services, call)
            if not isinstance(error, NoCapacity):
                break
        return error
    finally:
        with services.ledger.write() as tx:
            leases.release(tx, f"launch:{batch.id}", owner)


def _next_call(services: Services, batch_id: str) -> Batch | None:
    """Write down the call that a batch makes next. None: it makes none now."""
    with services.ledger.write() as tx:
        batch = batches.get(tx, batch_id)
        if batch is None:
            return None
        access = batch.spec.access
        rung, count = batch.rung, batch.count
        if not batch.in_doubt:
            count = batches.takers(tx, batch)
            if not count:
                batches.close(tx, batch)
                return None
            full, room = pools.full(tx, access.account, access.region), rooms.get(tx, access.account, access.region)
            free = full.first_free(batch.spec.rungs(), but=room.is_used_up)
            if free is None:
                batches.dissolve(tx, batch, why=full.why(batch.spec.rungs()))
                return None
            rung = free
            # Who finds no address is queued again, for another subnet.
            count = min(count, room.addresses.get(batch.spec.rungs()[rung][1]) or count)
    wait = services.limiter.take(access.account, access.region, API, resources=count)
    with services.ledger.write() as tx:
        if wait:
            batches.postpone(tx, batch, until=services.clock.now() + wait, error="waiting for AWS's rate of launches")
            return None
        return batches.called(tx, batch, rung=rung, count=count)


def _call(services: Services, batch: Batch) -> CloudError | None:
    spec = batch.spec
    kind, subnet = spec.rungs()[batch.rung]
    call = LaunchCall(
        token=batch.token,
        count=batch.count,
        instance_type=kind,
        image=spec.image,
        subnet=subnet,
        security_groups=spec.security_groups,
        profile=spec.profile,
        user_data=spec.user_data,
        tags=spec.tags,
        public_address=spec.public_address,
    )
    access = spec.access
    try:
        made = services.cloud.compute(access).launch(call)
    except CloudError as error:
        _refused(services, batch, error)
        return error
    with services.ledger.write() as tx:
        keys, spare = batches.resolve(tx, batch, made)
        pools.has_room(tx, access.account, access.region, instance_type=kind, subnet=subnet)
        rooms.taken(tx, access.account, access.region, subnet=subnet, count=len(made))
        journal.write(tx, batch.session, f"{len(made)} workers launched ({kind} in {subnet})")
    services.dispatch.drive(keys)
    if spare:
        services.dispatch.terminate(access.account, access.region)
    if len(made) < batch.count:
        services.dispatch.launch(access.account, access.region)
    return None


def _refused(services: Services, batch: Batch, error: CloudError) -> None:
    """React to a refusal by its class (the table of this module)."""
    now, age = services.clock.now(), services.clock.now() - batch.made_at
    if isinstance(error, Throttled):
        services.limiter.throttled(batch.spec.access.account, batch.spec.access.region, API)
    with services.ledger.write() as tx:
        if not isinstance(error, Ambiguous):
            batches.refused(tx, batch)
            batch = replace(batch, in_doubt=False)
        if _is_hopeless(services, error, age):
            if isinstance(error, Retryable):
                log.warning("launch given up after its deadline", session_id=batch.session, code=error.code)
            keys = batches.fail(tx, batch, reason=error.reason, remedy=error.remedy)
        else:
            keys = []
            _wait(tx, batch, error, now)
    services.dispatch.drive(keys)


def _is_hopeless(services: Services, error: CloudError, age: timedelta) -> bool:
    over = age >= services.install.deadlines.launch
    unseen = isinstance(error, NotVisibleYet) and age >= VISIBLE_WITHIN
    return isinstance(error, Permanent) or over or unseen


def _wait(tx: Transaction, batch: Batch, error: CloudError, now: datetime) -> None:
    """Write down when and where a refused batch is called again."""
    kind, subnet = batch.spec.rungs()[batch.rung]
    journal.write(tx, batch.session, f"launch postponed: {error.reason}", level="warning")
    if isinstance(error, NoCapacity):
        whole = isinstance(error, NoAddresses)
        _full(tx, batch, error, instance_type=ANY if whole else kind, subnet=subnet)
    elif isinstance(error, QuotaExceeded):
        _full(tx, batch, error, instance_type=ANY, subnet=ANY)
        ours = sum(launches.busy(tx, batch.spec.access.account, batch.spec.access.region).values())
        batches.dissolve(tx, batch, why=error.reason, keeps_waiting=ours > batches.takers(tx, batch))
    elif isinstance(error, NotVisibleYet):
        until = now + _PROPAGATION.delay(batch.tries)
        batches.postpone(tx, batch, until=until, error=error.reason)
        batches.postpone_profile(tx, batch, until=until)
    else:
        pause = _AGAIN if isinstance(error, Ambiguous) else _THROTTLE.delay(batch.tries)
        batches.postpone(tx, batch, until=now + pause, error=error.reason)


def _full(tx: Transaction, batch: Batch, error: CloudError, *, instance_type: str, subnet: str) -> None:
    access = batch.spec.access
    reason = f"{error.reason}. {error.remedy}" if error.remedy else error.reason
    pools.mark(tx, access.account, access.region, instance_type=instance_type, subnet=subnet, reason=reason)
