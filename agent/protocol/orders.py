"""Orders: what one worker shall do, and where orders, stops and results stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from agent.protocol.archive import ArchiveJob
from agent.protocol.backup import BackupJob
from agent.protocol.files import RestoreFilesJob
from agent.protocol.health import HealthCheckJob
from agent.protocol.index import IndexJob
from agent.protocol.message import PROTOCOL_VERSION, Message
from agent.protocol.restore import RestoreVolumeJob
from agent.protocol.retention import RetentionJob

JobName = Literal[
    "ec2-archive",
    "ec2-backup",
    "ec2-health-check",
    "ec2-restore-files",
    "ec2-restore-volume",
    "ec2-retention",
    "efs-index",
]

#: The message that states each job.
JOB_MESSAGES: dict[
    str, type[ArchiveJob | BackupJob | HealthCheckJob | IndexJob | RestoreFilesJob | RestoreVolumeJob | RetentionJob]
] = {
    "ec2-archive": ArchiveJob,
    "ec2-backup": BackupJob,
    "ec2-health-check": HealthCheckJob,
    "ec2-restore-files": RestoreFilesJob,
    "ec2-restore-volume": RestoreVolumeJob,
    "ec2-retention": RetentionJob,
    "efs-index": IndexJob,
}


def order_prefix(session: str) -> str:
    """Return the key prefix of all orders of a session."""
    return f"orders/{session}/"


def order_key(session: str, user_id: str) -> str:
    """Return the key of a worker's order. `user_id` is its `aws:userid`: `<role id>:<instance id>`."""
    return f"{order_prefix(session)}{user_id}.json"


def stop_key(session: str, user_id: str) -> str:
    """Return the key whose existence asks the worker to stop."""
    return f"{order_prefix(session)}{user_id}.stop"


def result_key(session: str, user_id: str) -> str:
    """Return the key of the result object, written by the agent beside its order."""
    return f"{order_prefix(session)}{user_id}.result.json"


@dataclass(frozen=True, kw_only=True)
class Order(Message):
    """What one worker shall do. `deadline` is RFC 3339 UTC: past it the agent stops and ends itself.

    `fence` is the number under which the control plane gave the order; the agent repeats it in every report.
    `job` is the job's own message as a JSON object, read with the class that `JOB_MESSAGES` names.
    """

    protocol: int = PROTOCOL_VERSION
    session: str
    attempt: int
    fence: int
    job_name: JobName
    deadline: str
    job: dict[str, Any]
