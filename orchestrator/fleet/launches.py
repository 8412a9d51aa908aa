"""Launching what is asked for: one RunInstances for each batch, each class of error with its own reaction."""

from __future__ import annotations

from datetime import timedelta

import structlog

from orchestrator import retry
from orchestrator.errors import (
    Ambiguous,
    CloudError,
    NoCapacity,
    NotVisibleYet,
    Permanent,
    QuotaExceeded,
    Retryable,
)
from orchestrator.ledger import journal, launches, leases
from orchestrator.ledger.launches import Batch
from orchestrator.ports import LaunchCall
from orchestrator.services import Services

log = structlog.get_logger(__name__)

_CALLING = timedelta(seconds=90)
_QUOTA = timedelta(seconds=30)
#: A new instance profile has been seen to stay invisible to EC2 for more than two minutes.
VISIBLE_WITHIN = timedelta(minutes=5)
_PROPAGATION = retry.RetryPolicy(first=timedelta(seconds=1), most=timedelta(seconds=10))
_THROTTLE = retry.RetryPolicy(first=timedelta(seconds=2), most=timedelta(seconds=30))
_AGAIN = timedelta(seconds=1)


def launch_pending(services: Services, account: str, region: str) -> None:
    """Launch the batches that are due in an account and Region. Safe to run twice at the same time."""
    with services.ledger.write() as tx:
        due = launches.gather(tx, account, region)
    holder = services.ledger.holder
    for batch in due:
        owner = f"launch-{services.clock.now().timestamp()}-{batch.tries}" if holder is None else holder.name
        is_dead = (lambda _owner: False) if holder is None else holder.is_dead
        with services.ledger.write() as tx:
            if leases.acquire(tx, f"launch:{batch.id}", owner, _CALLING, is_dead=is_dead) is None:
                continue
            launches.called(tx, batch)
        try:
            _launch(services, batch)
        finally:
            with services.ledger.write() as tx:
                leases.release(tx, f"launch:{batch.id}", owner)


def _launch(services: Services, batch: Batch) -> None:
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
    compute = services.cloud.compute(spec.access)
    try:
        made = compute.launch(call)
    except CloudError as error:
        _refused(services, batch, error)
        return
    with services.ledger.write() as tx:
        keys, spare = launches.resolve(tx, batch, made)
        journal.write(tx, batch.session, f"{len(made)} workers launched ({kind} in {subnet})")
    services.dispatch.drive(keys)
    if spare:
        services.dispatch.terminate(spec.access.account, spec.access.region)


def _refused(services: Services, batch: Batch, error: CloudError) -> None:
    """React to a refusal by its class (reference: the error taxonomy of the launch research)."""
    now, tries = services.clock.now(), batch.tries + 1
    age = now - batch.made_at
    over = age >= services.install.deadlines.launch
    rung: int | None = None
    if isinstance(error, Permanent) or over or (isinstance(error, NotVisibleYet) and age >= VISIBLE_WITHIN):
        if isinstance(error, Ambiguous) or (over and isinstance(error, Retryable)):
            log.warning("launch given up after its deadline", session_id=batch.session, code=error.code)
        with services.ledger.write() as tx:
            keys = launches.fail(tx, batch, reason=error.reason, remedy=error.remedy)
        services.dispatch.drive(keys)
        return
    if isinstance(error, NotVisibleYet):
        until = now + _PROPAGATION.delay(tries)
    elif isinstance(error, NoCapacity):
        rungs = len(batch.spec.rungs())
        rung = (batch.rung + 1) % rungs
        until = now if rung else now + _QUOTA
    elif isinstance(error, QuotaExceeded):
        until = now + _QUOTA
    elif isinstance(error, Ambiguous):
        until = now + _AGAIN
    else:
        until = now + _THROTTLE.delay(tries)
    with services.ledger.write() as tx:
        launches.postpone(tx, batch, until=until, error=error.reason, rung=rung)
        journal.write(tx, batch.session, f"launch postponed: {error.reason}", level="warning")
    if until <= now:
        services.dispatch.launch(batch.spec.access.account, batch.spec.access.region)
