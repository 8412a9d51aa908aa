"""Which resources the request's selectors find.

A drill selects instances and means their newest good restore points.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence

from orchestrator import planner
from orchestrator.ledger import points
from orchestrator.ledger.sessions import Wanted
from orchestrator.model.catalogue import Source
from orchestrator.model.options import drill_of
from orchestrator.model.plan import Access
from orchestrator.model.request import TagSelector
from orchestrator.planner.selection import exclusions
from orchestrator.services import Services


def select(services: Services, known: planner.Context, selector: TagSelector) -> list[Wanted]:
    """List the resources of one account and Region that a selector finds by their tags, less what is excluded.

    Raises `Refused`, `CloudError`.
    """
    access = planner.looking_access(known, known.known_account(selector.account), selector.region)
    find = _finder(services, known, access)
    found = dict.fromkeys(find(selector.tags))
    for one in exclusions(known, access.account, access.region) if found else ():
        for name in [one.id] if one.id is not None else find(one.tags):
            found.pop(str(name), None)
    names: Iterable[str] = found
    if known.operation.source_is_point:
        with services.ledger.read() as tx:
            good = points.newest_good(
                tx, access.account, access.region, list(found), repository=known.repository().name
            )
        names = [good[one].id for one in found if one in good]
    return [Wanted(account=access.account, region=access.region, resource_id=one) for one in names]


def drawn(known: planner.Context, wanted: Sequence[Wanted], lot: str) -> list[Wanted]:
    """Return as many of what was selected as the request's sample says, drawn by `lot`; all when it says nothing."""
    sample = drill_of(known.request).sample
    if sample is None or sample >= len(wanted):
        return list(wanted)
    ordered = sorted(wanted, key=lambda one: (one.account, one.region, one.resource_id))
    return random.Random(lot).sample(ordered, sample)  # noqa: S311 - a sample, no secret


def _finder(services: Services, known: planner.Context, access: Access) -> Callable[[Mapping[str, str]], list[str]]:
    source = known.operation.rows[0].source
    if source is Source.DATABASE:
        return services.cloud.databases(access).find_databases
    if source is Source.FILE_SYSTEM:
        return services.cloud.file_systems(access).find_file_systems
    return services.cloud.compute(access).find_instances
