"""Asking AWS what it has room for before workers are launched: once a minute for a place, whoever launches there.

Nothing depends on the answer: what may not be asked, or is not answered, is not known; EC2 refuses what does not fit.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

import structlog

from orchestrator.errors import CloudError
from orchestrator.ledger import launches, leases, rooms
from orchestrator.ledger.launches import LaunchSpec
from orchestrator.model import machines
from orchestrator.services import Services

log = structlog.get_logger(__name__)

T = TypeVar("T")

_API = "RunInstances"
#: How long asking may take before somebody else may ask: four short calls.
_ASKING = timedelta(seconds=30)


def look_around(services: Services, account: str, region: str) -> None:
    """Ask for the room there is, when somebody waits here and the last answer is old."""
    with services.ledger.read() as tx:
        specs = launches.waiting_specs(tx, account, region)
        subnets = sorted({subnet for spec in specs for subnet in spec.subnets})
        if not specs or rooms.is_fresh(tx, account, region, subnets):
            return
    with services.ledger.write() as tx:
        name = f"room:{account}:{region}"
        if leases.holder(tx, name) is not None or leases.acquire(tx, name, "asking", _ASKING) is None:
            return
    try:
        _ask(services, specs, subnets)
    finally:
        with services.ledger.write() as tx:
            leases.release(tx, name, "asking")


def _ask(services: Services, specs: list[LaunchSpec], subnets: list[str]) -> None:
    access = specs[0].access
    limits = services.cloud.limits(access)
    is_standard = all(machines.is_standard(kind) for spec in specs for kind in spec.instance_types)
    quota = _known(limits.room_for_vcpus) if is_standard else None
    free = _known(lambda: limits.free_addresses(subnets)) or {}
    with services.ledger.write() as tx:
        ours = launches.vcpus_alive(tx, access.account, access.region)
        vcpus = None if quota is None else quota.most - max(0, quota.used - ours)
        addresses = {one: free.get(one) for one in subnets}
        rooms.note(tx, access.account, access.region, vcpus=vcpus, addresses=addresses)
    if not services.limiter.knows(access.account, access.region, _API):
        rate = _known(limits.launch_rate)
        services.limiter.learn(access.account, access.region, _API, rate)


def _known(ask: Callable[[], T]) -> T | None:
    try:
        return ask()
    except CloudError as error:
        log.info("not known before the launch", reason=error.reason)
        return None
