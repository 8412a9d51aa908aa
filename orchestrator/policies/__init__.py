"""IAM documents, as pure functions: who may assume a role, and the least it needs.

Every statement is limited by resource, by this install's tag or by this install's path wherever AWS allows it.
"""

from __future__ import annotations

from orchestrator.policies.control_plane import BACKUP_PREFIX, EPOCH_KEY, control_plane
from orchestrator.policies.deploying import (
    backup_role,
    files_role,
    finding,
    index_role,
    looking,
    restore_role,
    worker_deployment_role,
)
from orchestrator.policies.repositories import (
    Use,
    repository_keeper,
    repository_opener,
    repository_reader,
    repository_role,
    repository_statements,
)
from orchestrator.policies.trust import ec2_trust, operation_trust, worker_trust, workers_trust
from orchestrator.policies.workers import (
    RESTORED,
    data_role,
    own_files,
    own_orders,
    temporary_boundary,
    temporary_role,
    worker_role,
)

__all__ = [
    "BACKUP_PREFIX",
    "EPOCH_KEY",
    "RESTORED",
    "Use",
    "backup_role",
    "control_plane",
    "data_role",
    "ec2_trust",
    "files_role",
    "finding",
    "index_role",
    "looking",
    "operation_trust",
    "own_files",
    "own_orders",
    "repository_keeper",
    "repository_opener",
    "repository_reader",
    "repository_role",
    "repository_statements",
    "restore_role",
    "temporary_boundary",
    "temporary_role",
    "worker_deployment_role",
    "worker_role",
    "worker_trust",
    "workers_trust",
]
