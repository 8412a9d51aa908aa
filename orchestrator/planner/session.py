"""What is equal for all resources of a session."""

from __future__ import annotations

from orchestrator import placement
from orchestrator.model.plan import SessionPlan, TemporaryRole
from orchestrator.model.status import DeploymentMode
from orchestrator.planner.context import Context, repository_role


def plan_session(context: Context, *, session: str, role_name: str, path: str, policy: str | None) -> SessionPlan:
    """Return what is equal for all resources. `role_name` is used in backup mode only. Raises `Refused`."""
    repository = context.repository()
    if context.mode is DeploymentMode.PRODUCTION:
        return SessionPlan(mode=context.mode, repository=repository.name)
    account = context.backup_account()
    return SessionPlan(
        mode=context.mode,
        repository=repository.name,
        temporary_role=TemporaryRole(
            name=role_name,
            path=path,
            account=account.id,
            region=account.regions[0],
            repository_role=repository_role(repository, account.id),
        ),
        tags=placement.expanded(account.tags, install=context.install, session=session, policy=policy),
    )
