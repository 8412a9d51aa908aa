"""The jobs an agent can do, one module each, and the table that names them.

A job's module, and the libraries that it needs, are imported when the job is done: an agent that waits for its order
is light.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from agent.jobs.context import JobContext
from agent.protocol import JobResult


def _ec2_archive(context: JobContext, job: Any) -> JobResult:
    from agent.jobs import ec2_archive

    return ec2_archive.run(context, job)


def _ec2_backup(context: JobContext, job: Any) -> JobResult:
    from agent.jobs import ec2_backup

    return ec2_backup.run(context, job)


def _ec2_health_check(context: JobContext, job: Any) -> JobResult:
    from agent.jobs import ec2_health_check

    return ec2_health_check.run(context, job)


def _ec2_restore_files(context: JobContext, job: Any) -> JobResult:
    from agent.jobs import ec2_restore_files

    return ec2_restore_files.run(context, job)


def _ec2_restore_volume(context: JobContext, job: Any) -> JobResult:
    from agent.jobs import ec2_restore_volume

    return ec2_restore_volume.run(context, job)


def _ec2_retention(context: JobContext, job: Any) -> JobResult:
    from agent.jobs import ec2_retention

    return ec2_retention.run(context, job)


def _efs_index(context: JobContext, job: Any) -> JobResult:
    from agent.jobs import efs_index

    return efs_index.run(context, job)


#: Called with the context and the job's own message; raises `JobFailed` or `JobStopped`.
JOBS: Final[Mapping[str, Callable[[JobContext, Any], JobResult]]] = MappingProxyType(
    {
        "ec2-archive": _ec2_archive,
        "ec2-backup": _ec2_backup,
        "ec2-health-check": _ec2_health_check,
        "ec2-restore-files": _ec2_restore_files,
        "ec2-restore-volume": _ec2_restore_volume,
        "ec2-retention": _ec2_retention,
        "efs-index": _efs_index,
    }
)
