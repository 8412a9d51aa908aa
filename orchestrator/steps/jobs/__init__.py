"""The jobs of the operations, one module each, and the table that names them."""

from __future__ import annotations

from types import MappingProxyType

from orchestrator.steps.jobs import (
    ec2_archive,
    ec2_backup,
    ec2_health_check,
    ec2_restore_files,
    ec2_restore_instance,
    ec2_restore_volume,
    ec2_retention,
    efs_index,
)
from orchestrator.steps.jobs.kind import Job

#: By operation. What is not here is planned and refused (`orchestrator.operations`).
JOBS: MappingProxyType[str, Job] = MappingProxyType(
    {
        "ec2-archive": ec2_archive.JOB,
        "ec2-backup": ec2_backup.JOB,
        "ec2-health-check": ec2_health_check.JOB,
        "ec2-restore-files": ec2_restore_files.JOB,
        "ec2-restore-volume": ec2_restore_volume.JOB,
        "ec2-restore-instance": ec2_restore_instance.JOB,
        "ec2-retention": ec2_retention.JOB,
        "efs-index": efs_index.JOB,
    }
)
