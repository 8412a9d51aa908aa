"""Before the worker of a restore is launched: what it will read is retrieved from the archive, however long that takes.

S3 takes minutes to two days, and nothing of ours runs meanwhile: the step parks and looks again now and then, by
listing the packs with their state. The packs of each volume are its own and known by their names, so exactly those are
asked for, by whoever may list and ask and nothing else (`Repository.reader`). Nothing is made that had to be removed:
the temporary copies run out by themselves, after the days that were asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from orchestrator.ledger import journal
from orchestrator.model.plan import Access
from orchestrator.model.status import ResourceStatus
from orchestrator.model.work import Failed, Outcome, Park
from orchestrator.ports import ArchiveStore, PackState, PackView
from orchestrator.services import Services
from orchestrator.steps.view import View, remember, repository

#: Packs that are asked for in one go: a step lasts a few seconds.
_MOST: Final = 500
_SOON: Final = timedelta(seconds=1)
#: How long to wait before looking again: a tenth of what was waited so far, within these.
_SOONEST, _RAREST = timedelta(seconds=2), timedelta(minutes=10)
#: Within how many hours S3 says that it has retrieved, by class and tier.
_HOURS: Final = MappingProxyType(
    {
        ("GLACIER", "expedited"): 0.25,
        ("GLACIER", "standard"): 5,
        ("GLACIER", "bulk"): 12,
        ("DEEP_ARCHIVE", "standard"): 12,
        ("DEEP_ARCHIVE", "bulk"): 48,
    }
)


def retrieve(services: Services, view: View) -> Outcome | None:
    """Have the packs of an archived point retrieved. Returns None when the worker can read them, or there are none."""
    archived = view.plan.details.get("archived")
    if archived is None:
        return None
    kept = repository(services, view)
    access = Access(account=kept.account, region=kept.region, role=kept.reader)
    store = services.cloud.archive(access, archived["url"])
    packs: list[PackView] = []
    for volume, expected in archived["packs"].items():
        found = store.packs(expected["folder"], expected["owner"])
        if len(found) < int(expected["count"]):
            return Failed(
                f"{len(found)} packs of {volume} are in the archive, {expected['count']} were written",
                "See whether a lifecycle rule of the bucket has removed them; restore another point",
            )
        packs += found
    return _go_on(services, view, store, packs, archived)


def _go_on(
    services: Services, view: View, store: ArchiveStore, packs: Sequence[PackView], archived: dict[str, Any]
) -> Outcome | None:
    now, asked = services.clock.now(), view.moment("retrievalAskedAt")
    wanted = [one.key for one in packs if _is_to_be_asked_for(one, now, services, is_first=asked is None)]
    if wanted:
        if asked is None:
            asked = now
            size = sum(one.size for one in packs)
            with services.ledger.write() as tx:
                remember(tx, view, retrievalAskedAt=now.timestamp())
                line = f"{len(wanted)} packs of {size} bytes in all asked for from the archive ({archived['tier']})"
                journal.write(tx, view.session.id, line, ordinal=view.held.key.ordinal)
        store.retrieve(wanted[:_MOST], tier=archived["tier"], days=services.install.retrieval_days)
        if len(wanted) > _MOST:
            return _wait(asked, now + _SOON, archived)
    elif all(one.state is PackState.READABLE for one in packs):
        return None
    since = asked or now
    span = services.install.deadlines.retrieval
    if now - since >= span:
        return Failed(
            f"the archive has not given {_left(packs)} of {len(packs)} packs within {span}",
            "See the state of the bucket's objects in S3, then start the restore again: what is retrieved stays so",
        )
    return _wait(since, now + min(max((now - since) / 10, _SOONEST), _RAREST), archived)


def _is_to_be_asked_for(pack: PackView, now: datetime, services: Services, *, is_first: bool) -> bool:
    """Whether a pack cannot be read, or is asked for longer because it would run out under the job."""
    if pack.state is PackState.READABLE and pack.until is not None:
        return is_first and pack.until - now < services.install.deadlines.job
    return pack.state is PackState.ARCHIVED


def _left(packs: Sequence[PackView]) -> int:
    return sum(one.state is not PackState.READABLE for one in packs)


def _wait(since: datetime, until: datetime, archived: dict[str, Any]) -> Park:
    hours = _HOURS.get((archived["storageClass"], archived["tier"]), 0)
    expected = (since + timedelta(hours=hours)).strftime("%Y-%m-%d %H:%M UTC")
    return Park(
        "retrieval",
        until,
        status=ResourceStatus.WAITING_FOR_SOURCE,
        reason=f"retrieving from the archive, expected by {expected}",
    )
