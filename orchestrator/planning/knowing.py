"""What planning knows before it reads anything of the cloud, and what it asks the ledger for."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator import planner
from orchestrator.errors import NotFound
from orchestrator.ledger import claims as ledger_claims, points
from orchestrator.ledger.points import RestorePoint
from orchestrator.ledger.store import Transaction
from orchestrator.model.account import Registry
from orchestrator.model.options import DatabaseRestoreOptions, RestoreVolumeOptions
from orchestrator.model.request import SessionRequest
from orchestrator.model.status import DeploymentMode
from orchestrator.planner.claim import Claim
from orchestrator.services import Services


def context(
    services: Services,
    request: SessionRequest,
    mode: DeploymentMode,
    registry: Registry,
    *,
    policy: str | None = None,
    claims: Sequence[Claim] = (),
) -> planner.Context:
    """Return what planning knows before it reads anything; `policy` is whose run it is, if anybody's.

    `claims` are those of all policies of the operation: see `claims`.
    """
    return planner.Context(
        request=request,
        mode=mode,
        registry=registry,
        install=services.install.id,
        home_account=services.install.home_account,
        worker_image=services.install.worker_image,
        control_region=services.install.control_region,
        policy=policy,
        claims=tuple(claims),
    )


def claims(tx: Transaction, operation: str) -> tuple[Claim, ...]:
    """Return what policies of an operation lay claim to."""
    found = ledger_claims.of_operation(tx, operation)
    return tuple(Claim.of(name, document) for name, document in found.items())


def known_point(tx: Transaction, resource: str) -> RestorePoint | None:
    """Return a restore point, None when the ledger does not know it."""
    try:
        return points.get(tx, resource)
    except NotFound:
        return None


def attach_to(known: planner.Context) -> str | None:
    """Return the instance that restored volumes are to be attached to, if one is named."""
    return RestoreVolumeOptions.model_validate(known.request.options).attach_to


def database(known: planner.Context) -> str:
    """Return the DB instance that databases are restored into."""
    return DatabaseRestoreOptions.model_validate(known.request.options).instance
