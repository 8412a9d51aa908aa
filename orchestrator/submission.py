"""Accepting a request: checked against schema, catalogue and registry, without touching AWS, then committed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import structlog

from orchestrator.errors import NotFound, Refused
from orchestrator.ledger import points, registry, sessions
from orchestrator.ledger.store import Ledger, Transaction
from orchestrator.model.request import SessionRequest, read_request, read_strict
from orchestrator.model.work import SESSION, WorkKey
from orchestrator.operations import Operation, operation
from orchestrator.ports import Dispatch

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """What became of a request: the session's id, and whether this request made it."""

    session_id: str
    created: bool


def submit(ledger: Ledger, document: Any, *, dispatch: Dispatch) -> Submitted:
    """Accept a request. Raises `Refused` (or `NotFound`, `Conflict`) with field, value and remedy; then nothing was made.

    The session is committed before it is published: a broker that does not answer delays it, and loses nothing.
    """
    request = read_request(document)
    row = operation(request.operation)
    mode = row.mode(request.mode)
    read_strict(row.options, request.options, what="options", prefix="options")
    with ledger.write() as tx:
        wanted = _resources(tx, request, row)
        _roles(tx, request)
        registry.repository(tx, request.repository)
        session, created = sessions.submit(tx, request, mode=mode, resources=wanted)
    try:
        dispatch.drive([WorkKey(session, SESSION)])
    except Exception as error:  # noqa: BLE001 - accepted is accepted: the reconciler publishes it
        log.warning("session could not be published yet", session_id=session, reason=type(error).__name__)
    return Submitted(session_id=session, created=created)


def _resources(tx: Transaction, request: SessionRequest, row: Operation) -> list[sessions.Wanted]:
    wanted: list[sessions.Wanted] = []
    for number, one in enumerate(request.resources):
        field = f"resources[{number}]"
        account = _account_of(tx, one.account, one.region, field)
        if row.source_is_point:
            try:
                points.get(tx, one.id)
            except NotFound as error:
                raise NotFound(error.reason, field=f"{field}.id", value=one.id, remedy=error.remedy) from None
        wanted.append(sessions.Wanted(account=account, region=one.region, resource_id=one.id))
    for number, selector in enumerate(request.select):
        if row.source_is_point:
            raise Refused(
                f"{row.name} works on restore points, which have no tags to select by",
                field=f"select[{number}]",
                remedy="Name restore points in resources",
            )
        _account_of(tx, selector.account, selector.region, f"select[{number}]")
    return wanted


def _account_of(tx: Transaction, name: str, region: str, field: str) -> str:
    account = registry.account(tx, name, field=f"{field}.account")
    if region not in account.regions:
        raise Refused(
            f"account {account.name} is not registered for this Region",
            field=f"{field}.region",
            value=region,
            remedy=f"Use {', '.join(account.regions)} or add the Region to the registry",
        )
    return account.id


def _roles(tx: Transaction, request: SessionRequest) -> None:
    roles = {"roles.operation": request.roles.operation, "roles.worker": request.roles.worker}
    accounts = {field: registry.account(tx, arn.split(":")[4], field=field).id for field, arn in roles.items() if arn}
    if len(set(accounts.values())) > 1:
        raise Refused(
            "the worker role belongs to another account than the operation's role",
            field="roles.worker",
            value=request.roles.worker,
            remedy=f"Use a worker role of account {accounts['roles.operation']}",
        )
