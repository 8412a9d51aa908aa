"""What there is room for where the workers are to stand: vCPUs, addresses, IAM roles; and who has to wait."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import TypeVar

from orchestrator.errors import CloudError
from orchestrator.ledger import launches
from orchestrator.ledger.batches import BATCH
from orchestrator.model import machines
from orchestrator.model.plan import Access, ResourcePlan
from orchestrator.planner import Context
from orchestrator.ports import Limits, Room
from orchestrator.preflight.estimate import launch_calls, launch_span
from orchestrator.preflight.forecast import Finding, Forecast, PlaceForecast, ResourceForecast, Severity
from orchestrator.services import Services

T = TypeVar("T")
Planned = tuple[ResourceForecast, ResourcePlan]

_QUOTA = "Running On-Demand Standard instances (L-1216C47A)"


def look(services: Services, known: Context, forecast: Forecast) -> None:
    """Add the places to a forecast, and to its resources that they have to wait, or that there is no room at all."""
    places: dict[Access, list[Planned]] = defaultdict(list)
    for one, plan in forecast.planned():
        places[plan.worker.access].append((one, plan))
    for access, planned in places.items():
        _admitted(services, known, access, planned)
        forecast.places.append(_place(services.cloud.limits(access), known, access, planned))


def _admitted(services: Services, known: Context, access: Access, planned: Sequence[Planned]) -> None:
    """See whom our own limits let wait: those of the account and of a session (`orchestrator.fleet.admission`)."""
    account, of_session = known.account(access.account), services.install.session_workers
    with services.ledger.read() as tx:
        busy = sum(launches.busy(tx, access.account, access.region).values())
    ceilings: list[tuple[int, str, str]] = []
    if account.limits.workers is not None:
        most = account.limits.workers
        shown = f"account {account.name} has at most {most} workers at once in {access.region}, {busy} live now"
        ceilings.append((max(0, most - busy), shown, "Let it wait, or raise limits.workers of the account"))
    if of_session is not None:
        ceilings.append((of_session, f"a session has at most {of_session} workers at once", "Let it wait"))
    if account.limits.vcpus is not None:
        with services.ledger.read() as tx:
            free = account.limits.vcpus - launches.vcpus(tx, access.account, access.region)
        fitting = _fitting(planned, free)
        shown = f"account {account.name} has at most {account.limits.vcpus} vCPUs of workers at once in {access.region}"
        ceilings.append((fitting, shown, "Let it wait, or raise limits.vcpus of the account"))
    if not ceilings:
        return
    room, shown, remedy = min(ceilings)
    for one, _ in planned[room:]:
        one.findings.append(Finding(Severity.WAITS, f"it waits until workers before it have ended: {shown}", remedy))


def _fitting(planned: Sequence[Planned], free: int) -> int:
    """Return how many of the first workers have room in this many vCPUs."""
    for number, (_, plan) in enumerate(planned):
        free -= max(machines.vcpus(kind) for kind in plan.worker.instance_types)
        if free < 0:
            return number
    return len(planned)


def _place(limits: Limits, known: Context, access: Access, planned: Sequence[Planned]) -> PlaceForecast:
    found = PlaceForecast(access=access, workers=len(planned))
    alike = Counter(plan.worker.model_dump_json() for _, plan in planned)
    found.launch_calls = launch_calls(alike.values(), batch=BATCH)
    found.launch = launch_span(found.launch_calls, len(planned))
    _addresses(known, found, planned)
    first = sorted({plan.worker.instance_types[0] for _, plan in planned})
    sizes = _asked(found, lambda: limits.vcpus(first))
    found.room_for_vcpus = _asked(found, limits.room_for_vcpus)
    if sizes is not None:
        found.vcpus = sum(sizes.get(plan.worker.instance_types[0], 0) for _, plan in planned)
        if found.room_for_vcpus is not None:
            _vcpus(access, found.room_for_vcpus, planned, sizes)
    if planned[0][1].worker.profile is None:
        found.room_for_roles = _asked(found, limits.room_for_roles)
        found.room_for_profiles = _asked(found, limits.room_for_profiles)
        _roles(access, found, planned)
    return found


def _asked(place: PlaceForecast, ask: Callable[[], T]) -> T | None:
    """Ask for a quota; a plan is made without what it may not see, and says so."""
    try:
        return ask()
    except CloudError as error:
        place.findings.append(
            Finding(
                Severity.NOTE,
                f"not looked at: {error.reason}",
                error.remedy or "Compare the deploying role's policy with its role document",
            )
        )
        return None


def _vcpus(access: Access, room: Room, planned: Sequence[Planned], sizes: dict[str, int]) -> None:
    left = room.left
    needed = room.used + sum(sizes.get(plan.worker.instance_types[0], 0) for _, plan in planned)
    for one, plan in planned:
        size = sizes.get(plan.worker.instance_types[0], 0)
        left -= size
        where = f"account {access.account} in {access.region}"
        if size > room.most:
            one.findings.append(
                Finding(
                    Severity.REFUSED,
                    f"{where} may run {room.most} vCPUs in all, one {plan.worker.instance_types[0]} takes {size}",
                    f"Raise its quota {_QUOTA}",
                )
            )
        elif size and left < 0:
            one.findings.append(
                Finding(
                    Severity.WAITS,
                    f"it waits until workers before it have ended: {where} may run {room.most} vCPUs, {room.used} run "
                    f"already, {size} more for each worker",
                    f"Let it wait, or raise the quota {_QUOTA} to {needed} or more",
                )
            )


def _addresses(known: Context, found: PlaceForecast, planned: Sequence[Planned]) -> None:
    """See whether the subnets that fit have an address for every worker."""
    place = known.places.get((found.access.account, found.access.region))
    if place is None:
        return
    taken: Counter[tuple[str, ...]] = Counter()
    free: dict[tuple[str, ...], int] = {}
    for one, plan in planned:
        subnets = plan.worker.configuration.subnets
        if subnets not in free:
            known_subnets = [place.network.subnet(name) for name in subnets]
            free[subnets] = sum(subnet.free_addresses for subnet in known_subnets if subnet is not None)
        taken[subnets] += 1
        if taken[subnets] > free[subnets]:
            one.findings.append(
                Finding(
                    Severity.WAITS,
                    f"it waits until workers before it have ended: {', '.join(subnets)} "
                    f"have {free[subnets]} free addresses",
                    "Let it wait, or add subnets to the worker configuration",
                )
            )
    names = {name for subnets in free for name in subnets}
    found.free_addresses = sum(one.free_addresses for one in place.network.subnets if one.id in names)


def _roles(access: Access, found: PlaceForecast, planned: Sequence[Planned]) -> None:
    """See whether the session's temporary role and its instance profile can be made."""
    for room, what in ((found.room_for_roles, "roles"), (found.room_for_profiles, "instance profiles")):
        if room is None or room.left:
            continue
        finding = Finding(
            Severity.REFUSED,
            f"account {access.account} has {room.used} of {room.most} IAM {what}, and the session needs one more",
            f"Remove {what} that nobody uses, or raise the quota",
        )
        for one, _ in planned:
            one.findings.append(finding)
