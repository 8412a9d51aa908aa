"""Accepting a request: checked against schema, catalogue and registry, without touching AWS, then committed.

Stopping and retrying by hand are here too: whatever a person or a program may ask of sessions enters through this door.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog

from orchestrator.errors import NotFound, Refused
from orchestrator.ledger import points, registry, sessions
from orchestrator.ledger.store import Ledger, Transaction
from orchestrator.model.catalogue import Operation, Row, Source
from orchestrator.model.reading import read_strict
from orchestrator.model.request import ANY, Exclusion, ResourceSelector, SessionRequest, TagSelector, read_request
from orchestrator.model.status import DeploymentMode, ResourceStatus, SessionStatus
from orchestrator.model.work import SESSION, WorkKey
from orchestrator.operations import available, operation
from orchestrator.ports import Dispatch

log = structlog.get_logger(__name__)

#: The source of requests that retry a session; their id is that session's, so that retrying it twice is one session.
RETRY_SOURCE = "daywork.retry"


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """What became of a request: the session's id, and whether this request made it."""

    session_id: str
    created: bool


def submit(ledger: Ledger, document: Any, *, dispatch: Dispatch, policy: str | None = None) -> Submitted:
    """Accept a request. Raises `Refused` (`NotFound`, `Conflict`) with field, value and remedy; then nothing was made.

    All mistakes are found before one is raised: `problems` holds them. The session is committed before it is
    published: a broker that does not answer delays it, and loses nothing. `policy` is whose run it is, if anybody's.
    """
    request = read_request(document)
    with ledger.write() as tx:
        accepted = accept(tx, request, policy=policy)
    publish(accepted, dispatch=dispatch)
    return accepted


def accept(
    tx: Transaction, request: SessionRequest, *, retry_of: str | None = None, policy: str | None = None
) -> Submitted:
    """Accept a request inside a transaction of the caller's, who publishes it after the commit (see `publish`).

    Raises as `submit` does, before anything is written.
    """
    mode, wanted = checked(tx, request)
    session, created = sessions.submit(tx, request, mode=mode, resources=wanted, retry_of=retry_of, policy=policy)
    return Submitted(session_id=session, created=created)


def check(tx: Transaction, document: Any) -> None:
    """Raise what `submit` would raise for this request now; nothing is written."""
    checked(tx, read_request(document))


def publish(accepted: Submitted, *, dispatch: Dispatch) -> None:
    """Get a committed session going; harmless when repeated."""
    _drive(dispatch, [WorkKey(accepted.session_id, SESSION)], accepted.session_id)


def stop(ledger: Ledger, session: str, *, dispatch: Dispatch) -> SessionStatus:
    """Ask a session to stop; returns its status by then. Harmless when repeated or when it has ended.

    Raises `NotFound`.
    """
    with ledger.write() as tx:
        woken = sessions.request_stop(tx, session)
        status = sessions.get(tx, session).status
    _drive(dispatch, woken, session)
    return status


def retry(ledger: Ledger, session: str, *, dispatch: Dispatch) -> Submitted:
    """Start a new session over the failed resources of one that has ended. Asked again, it is the same session.

    Raises `NotFound`, or `Refused` when the session still runs, when nothing of it failed, or for a reason of `submit`.
    """
    with ledger.read() as tx:
        found = sessions.get(tx, session)
        failed = sessions.resources(tx, session, statuses=[ResourceStatus.FAILED])
    if not found.status.is_final:
        raise Refused(
            "the session has not ended yet",
            field="session",
            value=session,
            remedy="Wait for its end, or stop it; failed resources are tried again inside it if the request says so",
        )
    if not failed:
        raise Refused(
            "no resource of the session failed", field="session", value=session, remedy="Submit a new request instead"
        )
    resources = tuple(ResourceSelector(account=one.account, region=one.region, id=one.resource_id) for one in failed)
    again = found.request.model_copy(
        update={"source": RETRY_SOURCE, "id": session, "mode": found.mode, "resources": resources, "select": ()}
    )
    with ledger.write() as tx:
        accepted = accept(tx, again, retry_of=session, policy=found.policy)
    publish(accepted, dispatch=dispatch)
    return accepted


def checked(
    tx: Transaction, request: SessionRequest, *, only_planned: bool = False
) -> tuple[DeploymentMode, list[sessions.Wanted]]:
    """Return the mode and the resources of a request. Raises `Refused` that holds every mistake.

    What is only planned may be an operation that this version cannot carry out yet.
    """
    row = operation(request.operation)
    if not only_planned:
        available(row)
    problems: list[Refused] = []
    mode = row.default
    with _gathered(problems):
        mode = row.mode(request.mode)
    with _gathered(problems):
        read_strict(row.options, request.options, what="options", prefix="options")
    wanted = _resources(tx, request, row, mode, problems)
    with _gathered(problems):
        _roles(tx, request)
    with _gathered(problems):
        registry.repository(tx, request.repository)
    if problems:
        first = problems[0]
        first.problems = problems if len(problems) > 1 else []
        raise first
    return mode, wanted


def _drive(dispatch: Dispatch, keys: list[WorkKey], session: str) -> None:
    try:
        dispatch.drive(keys)
    except Exception as error:  # noqa: BLE001 - accepted is accepted: the reconciler publishes it
        log.warning("session could not be published yet", session_id=session, reason=type(error).__name__)


@contextmanager
def _gathered(problems: list[Refused]) -> Iterator[None]:
    """Keep a refusal, so that whoever asked learns of every mistake at once."""
    try:
        yield
    except Refused as error:
        problems += error.problems or [error]


def _resources(
    tx: Transaction, request: SessionRequest, row: Operation, mode: DeploymentMode, problems: list[Refused]
) -> list[sessions.Wanted]:
    wanted: list[sessions.Wanted] = []
    for number, one in enumerate(request.resources):
        field = f"resources[{number}]"
        with _gathered(problems):
            account = _account_of(tx, one.account, one.region, field)
            wanted.append(sessions.Wanted(account=account, region=one.region, resource_id=one.id))
        with _gathered(problems):
            _of_row(tx, row.row(one.id), mode, one.id, field)
    for number, selector in enumerate(request.select):
        with _gathered(problems):
            if row.source_is_point and not _is_drill(request):
                raise Refused(
                    f"{row.name} works on restore points, which have no tags to select by",
                    field=f"select[{number}]",
                    remedy="Name restore points in resources; only a drill of ec2-restore-volume selects by tags",
                )
            _selected(tx, selector, f"select[{number}]")
    for number, exclusion in enumerate(request.exclude):
        with _gathered(problems):
            _excluded(tx, request, exclusion, f"exclude[{number}]")
    return wanted


def _is_drill(request: SessionRequest) -> bool:
    """Whether a request is a drill; options that cannot be read are told by whoever reads them."""
    return request.operation == "ec2-restore-volume" and request.options.get("drill") is True


def _of_row(tx: Transaction, row: Row, mode: DeploymentMode, resource: str, field: str) -> None:
    """Check a resource against its own row of the catalogue."""
    try:
        row.deployment(mode)
    except Refused as error:
        raise Refused(error.reason, field=f"{field}.id", value=resource, remedy=error.remedy) from None
    if row.source is Source.POINT:
        _point(tx, resource, f"{field}.id")


def _selected(tx: Transaction, selector: TagSelector, field: str) -> None:
    if selector.account == ANY:
        return
    if selector.region == ANY:
        registry.account(tx, selector.account, field=f"{field}.account")
    else:
        _account_of(tx, selector.account, selector.region, field)


def _excluded(tx: Transaction, request: SessionRequest, exclusion: Exclusion, field: str) -> None:
    if exclusion.account != ANY:
        registry.account(tx, exclusion.account, field=f"{field}.account")
    for one in request.resources:
        if one.id == exclusion.id and exclusion.account in (ANY, one.account) and exclusion.region in (ANY, one.region):
            raise Refused(
                "this resource is named in resources and excluded as well",
                field=f"{field}.id",
                value=one.id,
                remedy="Remove it from one of the two",
            )


def _point(tx: Transaction, point: str, field: str) -> None:
    try:
        points.get(tx, point)
    except NotFound as error:
        raise NotFound(error.reason, field=field, value=point, remedy=error.remedy) from None


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
