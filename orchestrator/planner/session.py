"""What is equal for all resources of a session."""

from __future__ import annotations

from orchestrator.model.plan import SessionPlan, TemporaryRole
from orchestrator.model.status import DeploymentMode
from orchestrator.planner.context import Context, repository_role


def plan_session(context: Context, *, role_name: str, path: str) -> SessionPlan:
    """Return what is equal for all resources. `role_name` is used in backup mode only. Raises `Refused`."""
    repository = context.repository()
    shared = SessionPlan(mode=context.mode, repository=repository.name, settled=repository)
    if context.mode is DeploymentMode.PRODUCTION:
        return shared
    account = context.backup_account()
    role = TemporaryRole(
        name=role_name,
        path=path,
        account=account.id,
        region=account.regions[0],
        repository_role=repository_role(context, account.id),
    )
    return shared.model_copy(update={"temporary_role": role})
