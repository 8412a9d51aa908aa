"""From a request and what was read to a plan, for each resource or a refusal. Pure: no clock, no cloud, no ledger.

Reading order: `context` (what planning knows, whose roles), `worker` (how a resource's worker is launched), `place`
(where it stands), then one module for each kind of row: `backup`, `restore`, `points` (archive, health check, files),
`retention`, `databases`, `file_systems`; `collision` says which of several policies has a resource.
"""

from __future__ import annotations

from orchestrator.planner.backup import plan_backup
from orchestrator.planner.context import Context, looking_access, operation_access, worker_role_of
from orchestrator.planner.databases import plan_database_backup, plan_database_restore
from orchestrator.planner.file_systems import plan_index
from orchestrator.planner.place import Place
from orchestrator.planner.points import plan_archive, plan_files, plan_files_of_snapshot, plan_health_check
from orchestrator.planner.restore import plan_restore_instance, plan_restore_volume
from orchestrator.planner.retention import plan_retention
from orchestrator.planner.session import plan_session
from orchestrator.planner.worker import GIB, types_of, worker_access

__all__ = [
    "GIB",
    "Context",
    "Place",
    "looking_access",
    "operation_access",
    "plan_archive",
    "plan_backup",
    "plan_database_backup",
    "plan_database_restore",
    "plan_files",
    "plan_files_of_snapshot",
    "plan_health_check",
    "plan_index",
    "plan_restore_instance",
    "plan_restore_volume",
    "plan_retention",
    "plan_session",
    "types_of",
    "worker_access",
    "worker_role_of",
]
