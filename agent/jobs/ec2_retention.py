"""Job `ec2-retention`: delete the heads of restore points that are due, then collect what nothing needs any more.

The points to delete are decided in the control plane; here they are held against what is in the repository: the last
good point of a resource stays, and what Object Lock keeps is left for a later session. One worker at a time collects in
a repository; who finds another one at it leaves it to that one. A worker may die anywhere: the next one goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from agent.crew import Crew
from agent.jobs.context import JobContext, JobFailed
from agent.jobs.failures import translated
from agent.jobs.opening import Means
from agent.memory import share_heaps
from agent.protocol import JobResult, RetentionJob
from agent.repository.collect import Collected, Rules, collect
from agent.repository.errors import Busy, Damaged, Missing
from agent.repository.expire import Expired, expire
from agent.repository.layout import Chain
from agent.repository.lease import COLLECTOR, acquire, highest
from agent.repository.owner import claim
from agent.repository.repository import Repository


def run(
    context: JobContext, job: RetentionJob, means: Means | None = None, *, clock: Callable[[], float] = time.time
) -> JobResult:
    """Delete and collect. Raises `JobFailed`, `JobStopped`."""
    means = means or Means()
    share_heaps()
    context.progress(0, len(job.due))
    with translated(), Crew(context.stop) as crew:
        repository = means.repository(context, job.repository, create=False)
        claim(repository, context.install)
        expired = _expire(context, job, repository, crew, clock)
        context.progress(len(expired.deleted), len(job.due))
        crew.check()
        collected, note = _collect(context, job, repository, crew, clock)
    return _result(job, expired, collected, note)


def _expire(
    context: JobContext, job: RetentionJob, repository: Repository, crew: Crew, clock: Callable[[], float]
) -> Expired:
    if not job.due:
        return Expired(deleted=(), spared=(), locked=())
    chain = Chain(account=job.source.account, region=job.source.region, resource=job.source.id)
    ended = frozenset(job.ended_workers)
    lease = acquire(repository.objects, repository.ring, chain, owner=context.worker_id, pause=crew.rest, ended=ended)
    try:
        crew.start(1, lease.keep, name="lease")
        return expire(repository, chain, job.due, lease, locked=job.locked, now=clock())
    finally:
        lease.release()


def _collect(
    context: JobContext, job: RetentionJob, repository: Repository, crew: Crew, clock: Callable[[], float]
) -> tuple[Collected | None, str | None]:
    """Collect garbage; returns what was done, or None and why nothing was."""
    objects, ring, ended = repository.objects, repository.ring, frozenset(job.ended_workers)
    before = highest(objects, ring, COLLECTOR)
    if before is not None and job.rest and before.until == 0 and before.note + job.rest > clock():
        return None, None  # another session has just collected here
    try:
        lease = acquire(objects, ring, COLLECTOR, owner=context.worker_id, pause=crew.rest, ended=ended, patience=0.0)
    except Busy:
        return None, None  # another session is collecting here
    ended_at = 0.0
    try:
        crew.start(1, lease.keep, name="collector")
        rules = Rules(grace=job.grace, locked=job.locked, ended=ended)
        collected = collect(repository, crew, rules, clock=clock, hold=lease.hold)
        ended_at = clock()
    except (Damaged, Missing) as error:
        # What is needed cannot be known while this cannot be read. The points that were due are gone all the same.
        return None, f"no garbage was collected: {error}"
    else:
        return collected, None
    finally:
        lease.release(ended_at)


def _result(job: RetentionJob, expired: Expired, collected: Collected | None, note: str | None) -> JobResult:
    due = len(job.due) - len(expired.locked)
    if due and not expired.deleted:
        raise JobFailed(
            f"{due} restore points were due and none could be deleted: {expired.spared[0]} is the last good one"
            if expired.spared
            else f"{due} restore points were due and none could be deleted",
            "Run a health check of the newer points: only a good one lets an older one go",
        )
    detail: dict[str, Any] = {
        "due": len(job.due),
        "deleted": len(expired.deleted),
        "points": list(expired.deleted),
        "spared": list(expired.spared),
        "locked": list(expired.locked),
        "bytesFreed": collected.bytes_deleted if collected is not None else 0,
    }
    if collected is not None:
        detail["collected"] = {
            "packsDeleted": collected.packs_deleted,
            "packsMarked": collected.packs_marked,
            "bytesMarked": collected.bytes_marked,
            "packsRepacked": collected.packs_repacked,
            "bytesRepacked": collected.bytes_repacked,
            "objectsDeleted": collected.objects_deleted,
            "writersWaitedFor": collected.waiting,
        }
    reason = note
    if expired.spared:
        reason = f"restore point {expired.spared[0]} was due and stays: no newer one is good"
    remedy = "Run a health check of the resource's restore points" if reason is not None else None
    return JobResult(outcome="success" if reason is None else "warning", reason=reason, remedy=remedy, detail=detail)
