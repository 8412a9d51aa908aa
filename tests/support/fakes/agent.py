"""What runs on the workers: an agent for each running instance, simulated from the protocol alone.

An agent looks at the bucket with its own name, reports over the queue under its own sender, does its job in `work`
of fake time, writes its result object, and ends itself. `Manners` say how it misbehaves.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from agent.protocol import (
    JOB_MESSAGES,
    ArchiveJob,
    BackupJob,
    Boot,
    HealthCheckJob,
    IndexJob,
    JobResult,
    Order,
    Progress,
    Report,
    RestoreFilesJob,
    RestoreVolumeJob,
    RetentionJob,
    format_time,
    order_key,
    parse_user_data,
    result_key,
    stop_key,
)
from orchestrator.ports import ReceivedReport
from support.fakes.archives import archived
from support.fakes.world import FakeInstance, World

_MARK = "#daywork-boot:"


@dataclass(kw_only=True)
class Manners:
    """How agents behave. Times count from the moment before it.

    `boots` and `obeys` and `ends` are what an honest agent does. `outcome` is how its job ends. `loses_reports` sends
    nothing over the queue from the order on (the result object is written all the same); `loses_object` the reverse.
    """

    ready: timedelta = timedelta(seconds=3)
    work: timedelta = timedelta(seconds=30)
    heartbeat: timedelta = timedelta(seconds=20)
    outcome: Literal["success", "warning", "failed"] = "success"
    boots: bool = True
    obeys: bool = True
    ends: bool = True
    dies_at_work: bool = False
    silent_at_work: bool = False
    loses_reports: bool = False
    loses_object: bool = False
    result: dict[str, Any] = field(default_factory=dict)


@dataclass
class Life:
    """One agent's memory."""

    instance: FakeInstance
    boot: Boot
    sequence: int = 0
    ready_at: datetime | None = None
    order: Order | None = None
    began_at: datetime | None = None
    beat_at: datetime | None = None
    is_over: bool = False


class Agents:
    """All agents of a world. `run` lets each do what is due now; returns whether any did something."""

    def __init__(self, world: World) -> None:
        """Take the world; `manners` are everybody's, `manners_of` those of a single instance."""
        self.world = world
        self.manners = Manners()
        self.manners_of: dict[str, Manners] = {}
        self.lives: dict[str, Life] = {}
        self._handles = 0
        self._volumes: dict[str, list[str]] = {}

    def run(self) -> bool:
        """Let all agents do what is due."""
        moved = False
        for instance in list(self.world.instances.values()):
            if _MARK in instance.user_data and self.world.state_of(instance) == "running":
                life = self.lives.setdefault(instance.id, Life(instance, parse_user_data(instance.user_data)))
                moved |= self._act(life, self.manners_of.get(instance.id, self.manners))
        return moved

    def next_deed(self) -> datetime | None:
        """Return when the next agent has something to do, or None."""
        moments: list[datetime] = []
        for life in self.lives.values():
            manners = self.manners_of.get(life.instance.id, self.manners)
            if life.is_over or not manners.boots or self.world.state_of(life.instance) != "running":
                continue
            if life.ready_at is None:
                moments.append(life.instance.launched_at + self.world.timing.boot + manners.ready)
            elif life.began_at is not None:
                moments.append(life.began_at + manners.work)
                if not manners.silent_at_work:
                    moments.append((life.beat_at or life.began_at) + manners.heartbeat)
        return min((one for one in moments if one > self.world.clock.now()), default=None)

    def _act(self, life: Life, manners: Manners) -> bool:
        now = self.world.clock.now()
        if life.is_over or not manners.boots:
            return False
        if life.ready_at is None:
            if now < life.instance.launched_at + self.world.timing.boot + manners.ready:
                return False
            life.ready_at = now
            self.send(life, "ready")
            return True
        if life.order is None:
            return self._read_order(life, now)
        return self._work(life, manners, now)

    def _read_order(self, life: Life, now: datetime) -> bool:
        body = self.world.bucket.get(order_key(life.boot.session, life.instance.user_id))
        if body is None:
            return False
        life.order, life.began_at, life.beat_at = Order.from_json(body), now, now
        return True

    def _work(self, life: Life, manners: Manners, now: datetime) -> bool:
        stop = stop_key(life.boot.session, life.instance.user_id) in self.world.bucket
        if manners.dies_at_work:
            life.is_over = True
            self.world.terminate(life.instance.id, "Client.InstanceInitiatedShutdown")
            return True
        if stop and manners.obeys and not manners.silent_at_work:
            return self._finish(life, manners, JobResult(outcome="stopped", reason="stopped on request"))
        if now >= (life.began_at or now) + manners.work and not manners.silent_at_work:
            return self._finish(life, manners, self.result_of(life, manners))
        if now >= (life.beat_at or now) + manners.heartbeat and not manners.silent_at_work:
            life.beat_at = now
            if not manners.loses_reports:
                self.send(life, "progress", progress=Progress(done=1, total=2))
            return True
        return False

    def _finish(self, life: Life, manners: Manners, result: JobResult) -> bool:
        life.is_over = True
        made = self.report(life, "result", result=result)
        if not manners.loses_object:
            self.world.bucket[result_key(life.boot.session, life.instance.user_id)] = made.to_json()
        if not manners.loses_reports:
            self.post(made, life.instance.user_id)
        if manners.ends:
            self.world.terminate(life.instance.id, "Client.InstanceInitiatedShutdown")
        return True

    def result_of(self, life: Life, manners: Manners) -> JobResult:
        """Do the job: fill the snapshots of a restore; return its result."""
        if manners.outcome == "failed":
            return JobResult(outcome="failed", reason="a block could not be read", remedy="Try again")
        assert life.order is not None
        job = JOB_MESSAGES[life.order.job_name].from_dict(life.order.job)
        detail: dict[str, Any] = {}
        if not isinstance(job, RetentionJob | IndexJob | RestoreFilesJob):
            detail["restorePoint"] = job.restore_point
        if isinstance(job, RetentionJob):
            detail |= {"due": len(job.due), "deleted": len(job.due), "points": list(job.due), "bytesFreed": 0}
        elif isinstance(job, IndexJob):
            detail |= {"index": job.index, "files": 3, "directories": 1, "sizeBytes": 1000, "unreadable": 0}
        elif isinstance(job, RestoreFilesJob):
            detail |= {"output": f"{job.output.url}/{life.instance.user_id}/files.tar", "files": 3, "bytesRead": 1000}
        elif isinstance(job, HealthCheckJob):
            detail |= {"isDamaged": False, "isComplete": job.sample >= 100, "bytesVerified": 1000}
        elif isinstance(job, BackupJob):
            self._volumes[job.restore_point] = [one.volume_id for one in job.volumes]
            detail |= {"kind": "incremental" if job.parent else "full", "bytesRead": 1000, "bytesStored": 10}
            detail["volumes"] = [
                {"volumeId": one.volume_id, "sizeBytes": one.size_bytes, "blocks": 1} for one in job.volumes
            ]
        elif isinstance(job, ArchiveJob):
            detail |= archived(self.world, job, self._volumes[job.restore_point])
        else:
            detail |= self._fill(job)
        return JobResult(
            outcome=manners.outcome,
            reason="something was odd" if manners.outcome == "warning" else None,
            detail=detail | manners.result,
        )

    def _fill(self, job: RestoreVolumeJob) -> dict[str, Any]:
        for one in job.volumes:
            self.world.snapshots[one.snapshot_id].completed_at = self.world.clock.now() + timedelta(seconds=5)
        return {
            "bytesWritten": 1000,
            "volumes": [
                {"volumeId": one.volume_id, "snapshotId": one.snapshot_id, "blocksWritten": 1} for one in job.volumes
            ],
        }

    # --- speaking ---

    def report(self, life: Life, kind: Any, **parts: Any) -> Report:
        """Return the agent's next report."""
        life.sequence += 1
        return Report(
            kind=kind,
            session=life.boot.session,
            instance_id=life.instance.id,
            user_id=life.instance.user_id,
            sequence=life.sequence,
            fence=life.order.fence if life.order is not None else 0,
            sent_at=format_time(self.world.clock.now()),
            **parts,
        )

    def send(self, life: Life, kind: Any, **parts: Any) -> Report:
        """Send the agent's next report under its own name."""
        made = self.report(life, kind, **parts)
        self.post(made, life.instance.user_id)
        return made

    def post(self, report: Report, sender: str) -> None:
        """Put a report into the queue, as SQS would: the sender is attached by it."""
        self._handles += 1
        self.world.queue.append(ReceivedReport(report=report, sender_id=sender, handle=f"h{self._handles}"))

    def forged(self, report: Report, **changes: Any) -> Report:
        """Return a report with some fields changed."""
        return replace(report, **changes)
