"""Reports: what an agent says, and how its job ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from agent.protocol.message import PROTOCOL_VERSION, Message

Outcome = Literal["success", "warning", "failed", "stopped"]


@dataclass(frozen=True, kw_only=True)
class Progress(Message):
    """How far a job is; `unit` is `bytes` for data jobs. `total` 0 means not known yet."""

    done: int
    total: int
    unit: str = "bytes"


@dataclass(frozen=True, kw_only=True)
class JobResult(Message):
    """How a job ended. `reason` and `remedy` are sentences for a person, without any secret.

    `detail` is the job's own figures. For `ec2-backup`: `restorePoint`, `kind` (`full` or `incremental`), `volumes`
    (per volume `volumeId`, `sizeBytes`, `blocks`, `kind`, `blocksRead`, and `readWhole`, why it was read whole although
    it was to be compared), `blocksRead`, `blocksStored`, `bytesRead`, `bytesStored`, and `mended` (points that were
    damaged and are well again) if there are any. For `ec2-restore-volume`: `restorePoint`, `volumes` (`volumeId`,
    `snapshotId`, `blocksWritten`), `bytesWritten`, `blocksCompared` when read back. For
    `ec2-retention`: `due`, `deleted`, `points` (the deleted ones), `spared`, `locked`, `bytesFreed`, and `collected`
    when garbage was collected. For `ec2-health-check`: `restorePoint`, `isDamaged`, `isComplete`, `blocksVerified`,
    `bytesVerified`, `blocksDamaged`, the first bad `blocks` and `objects`, and what is wrong `around` the point.
    For `ec2-restore-files`: `output`, `files`, `directories`, `others`, `bytesRead`, `fileSystems`, where there are any
    `notes`, the first `problems` and `problemCount`; when it browsed, `requests` and `fileSystems`.
    For `efs-index`: `index`, `files`, `directories`, `others`, `sizeBytes` of the files, `bytesStored`, `parts`,
    what was `unreadable` and `vanished`, the first `problems`, and `otherFileSystems` that were not entered.
    """

    outcome: Outcome
    reason: str | None = None
    remedy: str | None = None
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Report(Message):
    """One SQS message of an agent. `sequence` grows with each report of an instance, also when its agent restarts.

    `fence` is the order's (0 before there is one). `progress` comes with kind `progress`, `result` with `result`.
    `user_id` is the sender's `aws:userid`; the listener believes it only when SQS attached the same `SenderId`.
    """

    KINDS: ClassVar[tuple[str, ...]] = ("ready", "progress", "result")

    protocol: int = PROTOCOL_VERSION
    kind: Literal["ready", "progress", "result"]
    session: str
    instance_id: str
    user_id: str
    sequence: int
    fence: int = 0
    sent_at: str
    agent_version: str = ""
    progress: Progress | None = None
    result: JobResult | None = None
