"""Which resources the request's selectors find."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from orchestrator import planner
from orchestrator.ledger.sessions import Wanted
from orchestrator.model.catalogue import Source
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
    return [Wanted(account=access.account, region=access.region, resource_id=one) for one in found]


def _finder(services: Services, known: planner.Context, access: Access) -> Callable[[Mapping[str, str]], list[str]]:
    source = known.operation.rows[0].source
    if source is Source.DATABASE:
        return services.cloud.databases(access).find_databases
    if source is Source.FILE_SYSTEM:
        return services.cloud.file_systems(access).find_file_systems
    return services.cloud.compute(access).find_instances
