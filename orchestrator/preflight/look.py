"""Plan a request as its session would, and look further: at keys, quotas, addresses. Reads only."""

from __future__ import annotations

from typing import Any

from orchestrator import planner, planning, submission, tags
from orchestrator.errors import CloudError, LeftOut, Refused
from orchestrator.ledger import registry
from orchestrator.ledger.sessions import Wanted
from orchestrator.model.request import read_request
from orchestrator.network import NoNetwork
from orchestrator.planner.selection import spread
from orchestrator.preflight import room
from orchestrator.preflight.forecast import Finding, Forecast, ResourceForecast, Severity
from orchestrator.preflight.rights import KeyRights
from orchestrator.services import Services

#: Stands for the id that the session will have: variables of worker tags stay as they were written.
_SESSION = "%sessionId%"


def forecast(services: Services, document: Any, *, policy: str | None = None) -> Forecast:
    """Return what a session of this request would do, as far as can be told now. Nothing is made.

    Raises `Refused` when the request itself is wrong (`problems` holds every mistake), as submitting it would.
    """
    request = read_request(document)
    with services.ledger.read() as tx:
        mode, wanted = submission.checked(tx, request, only_planned=True)
        claims = planning.claims(tx, request.operation)
        known = planning.context(services, request, mode, registry.load(tx), policy=policy, claims=claims)
    found = Forecast(operation=request.operation, mode=mode, is_available=known.operation.is_available)
    resources = _selected(services, known, found, wanted)
    try:
        found.session = planner.plan_session(
            known, role_name=tags.temporary_role_name(_SESSION), path=services.install.path
        )
    except Refused as error:
        found.resources += [_refused(one, Finding.of(error)) for one in resources]
        return found
    for members in planning.grouped(known, resources):
        found.resources += _group(services, known, members)
    rights = KeyRights(services.cloud, services.install.path)
    for one, plan in found.planned():
        one.findings += rights.findings(plan)
    room.look(services, known, found)
    _in_order(found, resources)
    return found


def _selected(services: Services, known: planner.Context, found: Forecast, wanted: list[Wanted]) -> list[Wanted]:
    """Return the resources of the request, those that it selects by tags included, each once."""
    selected: list[Wanted] = []
    for selector in spread(known):
        try:
            selected += planning.select(services, known, selector)
        except (Refused, CloudError) as error:
            shown = ",".join(f"{key}={value}" for key, value in sorted(selector.tags.items()))
            account = known.known_account(selector.account)
            named = Wanted(account=account, region=selector.region, resource_id=f"tags:{shown}")
            found.resources.append(_refused(named, Finding.of(error)))
    # Which ones a sample holds is drawn by each session anew; how many is not.
    return list(dict.fromkeys([*wanted, *planning.drawn(known, selected, lot="")]))


def _group(services: Services, known: planner.Context, members: list[Wanted]) -> list[ResourceForecast]:
    """Plan the resources of one group, as `orchestrator.steps.start` does."""
    account, region = members[0].account, members[0].region
    try:
        group = planning.read(services, known, account, region, [one.resource_id for one in members])
    except (Refused, CloudError) as error:
        return [_refused(one, Finding.of(error)) for one in members]
    out: list[ResourceForecast] = []
    with services.ledger.read() as tx:
        for one in members:
            made = ResourceForecast(account=one.account, region=one.region, resource_id=one.resource_id)
            try:
                made.plan = planning.decide(tx, known, group, one.resource_id)
            except LeftOut as error:
                made.findings.append(Finding(Severity.SKIPPED, error.reason))
            except NoNetwork as error:
                made.findings.append(Finding.of(error))
                made.candidates = error.resolution.candidates
            except Refused as error:
                made.findings.append(Finding.of(error))
            else:
                _look_at_place(known, made)
            made.findings += _collisions(known, group, one)
            out.append(made)
    return out


def _collisions(known: planner.Context, group: planning.Group, one: Wanted) -> list[Finding]:
    """Say which policies want a resource, if several do, and which one has it when they collide."""
    found = planning.covering(known, group, one.resource_id)
    if len(found) < 2:  # noqa: PLR2004 - it takes two
        return []
    names = " and ".join(map(str, found))
    return [Finding(Severity.NOTE, f"policies {names} cover it: when they collide, {found[0].policy} has it")]


def _look_at_place(known: planner.Context, made: ResourceForecast) -> None:
    """Note the subnets and instance types that the worker will not have, and why."""
    plan = made.plan
    place = None if plan is None else known.places.get((plan.worker.access.account, plan.worker.access.region))
    if plan is None or place is None:
        return
    configuration = plan.worker.configuration
    behind = place.behind(configuration.subnets, configuration.security_groups)
    made.candidates = () if behind is None else behind.candidates
    for one in made.candidates:
        if not one.fits:
            remedy = one.problems[0].remedy
            made.findings.append(
                Finding(
                    Severity.NOTE,
                    f"{one.subnet} is not used: {one.reason}",
                    f"To use it, {remedy}; others fit as it is",
                )
            )


def _refused(one: Wanted, finding: Finding) -> ResourceForecast:
    return ResourceForecast(account=one.account, region=one.region, resource_id=one.resource_id, findings=[finding])


def _in_order(found: Forecast, resources: list[Wanted]) -> None:
    """Put the resources back into the order of the request; what could not be selected stays first."""
    order = {(one.account, one.region, one.resource_id): number for number, one in enumerate(resources)}
    found.resources.sort(key=lambda one: order.get((one.account, one.region, one.resource_id), -1))
