"""Job `ec2-health-check`: verify a restore point and all that it needs, and write down beside its head what is wrong.

What is wrong is a finding and no failure of the job: the result names it, and the record keeps backups from using bad
places again. A point that is well again gets a record that says so.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from agent.crew import Crew
from agent.jobs.context import JobContext
from agent.jobs.failures import translated
from agent.jobs.opening import Means, Tally
from agent.memory import share_heaps
from agent.protocol import HealthCheckJob, JobResult, format_time
from agent.repository.damage import BadObject, Damage, read_damage, write_damage
from agent.repository.errors import Damaged, Missing
from agent.repository.head import Head
from agent.repository.layout import INDEX, Chain, damage_key, point_key
from agent.repository.live import LivePacks
from agent.repository.owner import claim
from agent.repository.pack import BLOCK
from agent.repository.repository import Repository
from agent.repository.surroundings import index_again, index_tables, look_around
from agent.repository.verify import Findings, verify, with_ids

#: Blocks and objects that the result names; the record holds them all.
_SHOWN: Final = 20
#: Percent.
_ALL: Final = 100


def run(context: JobContext, job: HealthCheckJob, means: Means | None = None) -> JobResult:
    """Verify. Raises `JobFailed`, `JobStopped`."""
    means = means or Means()
    share_heaps()
    with translated(), Crew(context.stop) as crew:
        repository = means.repository(context, job.repository, create=False)
        claim(repository, context.install)
        return _Check(context, job, repository, crew).run()


class _Check:
    """One check."""

    def __init__(self, context: JobContext, job: HealthCheckJob, repository: Repository, crew: Crew) -> None:
        self._context = context
        self._job = job
        self._repository = repository
        self._crew = crew
        self._chain = Chain(account=job.source.account, region=job.source.region, resource=job.source.id)
        #: What is wrong around the point, and does it no harm.
        self._around: list[BadObject] = []
        self._listed_again: list[bytes] = []

    def run(self) -> JobResult:
        """Verify and write down."""
        head = self._head()
        findings = Findings() if not isinstance(head, Head) else self._verified(head)
        if not isinstance(head, Head):
            findings.objects.append(head)
        look_around(self._repository, self._tell)
        damage = findings.damage(self._job.restore_point)
        self._crew.check()
        self._write(damage)
        return self._result(damage, findings)

    def _tell(self, key: str, reason: str) -> None:
        self._around.append(BadObject(key=key, reason=reason))

    def _head(self) -> Head | BadObject:
        try:
            return self._repository.point(self._chain, self._job.restore_point)
        except (Missing, Damaged) as error:
            return BadObject(key=point_key(self._chain, self._job.restore_point), reason=str(error))

    def _verified(self, head: Head) -> Findings:
        total = sum(volume.blocks for volume in head.volumes) * BLOCK
        tally = Tally(self._context.progress, total)
        findings = verify(self._repository, self._chain, head, self._crew, sample=self._job.sample, tally=tally)
        self._look_at_index(findings)
        return findings

    def _look_at_index(self, findings: Findings) -> None:
        """Read the index: ids of what is lost, and packs that stand in it no more."""
        bare: LivePacks = findings.packs

        def tables() -> Any:
            for table in index_tables(self._repository, self._tell):
                bits = bare.find(table.pack_id)
                if bits is not None and bits.any():
                    bare.set(table.pack_id, bits & False)
                yield table

        read = tables()
        with_ids(findings, read)
        for _ in read:
            self._crew.check()
        self._listed_again = index_again(self._repository, self._chain, bare)
        if self._listed_again:
            self._tell(f"{INDEX}/", f"{len(self._listed_again)} packs were not listed in the index, which is mended")

    def _write(self, damage: Damage) -> None:
        """Write the record: of damage, or that a point that was damaged is well."""
        try:
            before = read_damage(self._repository, self._chain, damage.point)
        except Damaged as error:
            self._tell(damage_key(self._chain, damage.point), str(error))
            before = Damage(point=damage.point, found_at="", more=1)
        is_news = not damage.is_well or (before is not None and not before.is_well)
        # A sample proves damage, and never that there is none.
        if is_news and (not damage.is_well or self._job.sample >= _ALL):
            write_damage(self._repository, self._chain, damage)

    def _result(self, damage: Damage, findings: Findings) -> JobResult:
        detail: dict[str, Any] = {
            "restorePoint": damage.point,
            "isDamaged": not damage.is_well,
            "isComplete": self._job.sample >= _ALL,
            "checkedAt": format_time(datetime.now(UTC)),
            "blocksVerified": findings.verified,
            "bytesVerified": findings.verified * BLOCK,
            "blocksDamaged": len(damage.blocks) + damage.more,
            "blocks": [
                {"volumeId": one.volume, "offset": one.index * BLOCK, "pack": one.pack.hex(), "reason": one.reason}
                for one in damage.blocks[:_SHOWN]
            ],
            "objects": [{"key": one.key, "reason": one.reason} for one in damage.objects[:_SHOWN]],
            "around": [{"key": one.key, "reason": one.reason} for one in self._around[:_SHOWN]],
        }
        if not damage.is_well:
            return JobResult(
                outcome="warning",
                reason=_said(damage),
                remedy="The next backup of the resource reads its volumes whole and stores anew what is lost, as far "
                "as the volumes still hold it; restore from another point meanwhile",
                detail=detail,
            )
        if self._around:
            first = self._around[0]
            return JobResult(
                outcome="warning",
                reason=f"restore point {damage.point} is well; around it: {first.key}: {first.reason}",
                remedy="Nothing is lost. Retention clears damaged index segments and marks away by itself",
                detail=detail,
            )
        return JobResult(outcome="success", detail=detail)


def _said(damage: Damage) -> str:
    parts = []
    if damage.blocks:
        first = damage.blocks[0]
        count = len(damage.blocks) + damage.more
        parts.append(f"{count} blocks, the first at offset {first.index * BLOCK} of {first.volume}: {first.reason}")
    if damage.objects:
        parts.append(f"{damage.objects[0].key}: {damage.objects[0].reason}")
    return f"restore point {damage.point} is damaged: {'; '.join(parts)}"[:2000]
