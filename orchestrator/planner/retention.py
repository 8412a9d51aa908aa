"""Which restore points of a resource are due, and the worker that deletes them (row 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from orchestrator.errors import Refused
from orchestrator.ledger.points import RestorePoint
from orchestrator.model.options import Keep, RetentionOptions
from orchestrator.model.plan import Access, ResourcePlan
from orchestrator.planner.context import Context
from orchestrator.planner.recorded import is_good, size_of
from orchestrator.planner.worker import staff


def plan_retention(
    context: Context, operation: Access, points: Sequence[RestorePoint], source: tuple[str, str, str], now: datetime
) -> ResourcePlan:
    """Plan the retention of a source (account, Region, id), whose `points` may be of several repositories.

    The instance types follow from the bytes to delete, which the ledger can only estimate: what each due point has
    stored itself, or, where no figure is recorded, the size of its source. The repository's garbage says it exactly,
    and only a worker can read that. Raises `Refused` when the ledger knows no point.
    """
    repository = context.repository()
    own = [one for one in points if one.repository == repository.name]
    if not own:
        raise Refused(
            f"no restore point of {source[2]} is known in repository {repository.name}",
            remedy="Check account, Region and id; daywork repository import reads the repository again",
        )
    options = RetentionOptions.model_validate(context.request.options)
    locked = timedelta(days=repository.object_lock.days) if repository.object_lock is not None else None
    going = due(own, options.keep, now, locked=locked)
    size = sum(_stored(one) for one in going)
    staffing = staff(context, context.row(source[2]), operation, None, size)
    account, region, name = source
    return ResourcePlan(
        operation=operation,
        worker=staffing.worker,
        repository_role=staffing.repository_role,
        chain=f"{account}/{region}/{name}",
        size_bytes=size,
        details={
            "source": {"account": account, "region": region, "id": name},
            "keep": options.keep.model_dump(mode="json", by_alias=True, exclude_none=True),
            "due": [one.id for one in going],
            "kept": len(own) - len(going),
            "bytesAreEstimated": True,
            "withoutFigure": sum(_figure(one) is None for one in going),
        },
    )


def due(
    points: Sequence[RestorePoint], keep: Keep, now: datetime, *, locked: timedelta | None = None
) -> list[RestorePoint]:
    """Return the points that no rule keeps, the oldest first; none that Object Lock still keeps.

    Rules count good points alone. The newest good point stays whatever the rules say, and so does everything newer than
    it: nobody knows yet what that is worth.
    """
    newest_first = sorted(points, key=lambda one: (one.created_at, one.id), reverse=True)
    good = [one for one in newest_first if is_good(one)]
    if not good:
        return []
    kept = {one.id for one in _kept(good, keep, now)} | {good[0].id}
    kept |= {one.id for one in newest_first if one.created_at > good[0].created_at}
    if locked is not None:
        kept |= {one.id for one in newest_first if now - one.created_at < locked}
    return [one for one in reversed(newest_first) if one.id not in kept]


def _kept(good: Sequence[RestorePoint], keep: Keep, now: datetime) -> Iterator[RestorePoint]:
    yield from good[: keep.last or 0]
    if keep.days is not None:
        yield from (one for one in good if now - one.created_at < timedelta(days=keep.days))
    for number, period in (
        (keep.daily, _day),
        (keep.weekly, _week),
        (keep.monthly, _month),
        (keep.yearly, _year),
    ):
        yield from _newest_of_each(good, number or 0, period)


def _newest_of_each(
    good: Sequence[RestorePoint], number: int, period: Callable[[datetime], tuple[int, ...]]
) -> list[RestorePoint]:
    newest: dict[tuple[int, ...], RestorePoint] = {}
    for one in good:
        newest.setdefault(period(one.created_at), one)
    return list(newest.values())[:number]


def _day(moment: datetime) -> tuple[int, ...]:
    return (moment.toordinal(),)


def _week(moment: datetime) -> tuple[int, ...]:
    return tuple(moment.isocalendar()[:2])


def _month(moment: datetime) -> tuple[int, ...]:
    return (moment.year, moment.month)


def _year(moment: datetime) -> tuple[int, ...]:
    return (moment.year,)


def _figure(point: RestorePoint) -> int | None:
    found = (point.record.get("figures") or {}).get("bytesStored")
    return found if isinstance(found, int) else None


def _stored(point: RestorePoint) -> int:
    """Return what deleting a point frees at most: what it has stored itself."""
    figure = _figure(point)
    return size_of(point) if figure is None else figure
