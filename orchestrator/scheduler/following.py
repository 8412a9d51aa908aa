"""What follows a policy's session: sessions of their own, made in the very transaction in which it ends.

So there is exactly one for each session and operation whatever dies: either the session has ended and they are there,
or neither. They belong to no policy's run: a next tick does not wait for them, and nothing follows them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import sqlalchemy as sa
import structlog

from orchestrator import submission
from orchestrator.errors import Refused
from orchestrator.ledger import journal, points, registry, schedules, schema, sessions
from orchestrator.ledger.store import Transaction
from orchestrator.model.request import read_request
from orchestrator.model.status import ResourceStatus, SessionStatus
from orchestrator.model.work import SESSION, WorkKey
from orchestrator.operations import available, operation
from orchestrator.scheduler.policy import SOURCE, FollowUp, Policy, Weekday, read_policy

log = structlog.get_logger(__name__)

RETENTION: Final = "ec2-retention"
_ARCHIVE: Final = "ec2-archive"
#: A session of another end has made nothing that could be worked on, or was stopped by somebody.
_FOLLOWED: Final = (SessionStatus.SUCCESS, SessionStatus.WARNING)
_GOOD: Final = (ResourceStatus.SUCCESS, ResourceStatus.WARNING)


def follow(tx: Transaction, session: str) -> list[WorkKey]:
    """Make the sessions that follow one that has just ended. Returns what the caller must drive after the commit.

    What cannot be made is told in the log of the session that has ended: its end is not held up.
    """
    ended = sessions.get(tx, session)
    if ended.policy is None or ended.status not in _FOLLOWED:
        return []
    entry = schedules.find(tx, ended.policy)
    if entry is None:
        return []
    made: list[WorkKey] = []
    try:
        policy = read_policy(entry.document)
    except Refused as error:
        _tell(tx, session, "nothing follows", str(error))
        return made
    for one in due(policy, ended.created_at):
        try:
            request = _request(tx, policy, ended, one.operation)
            accepted = submission.accept(tx, read_request(request)) if request is not None else None
        except Refused as error:
            _tell(tx, session, f"{one.operation} does not follow", str(error))
            continue
        if accepted is not None and accepted.created:
            journal.write(tx, session, f"{one.operation} follows: session {accepted.session_id}")
            made.append(WorkKey(accepted.session_id, SESSION))
    return made


def due(policy: Policy, began_at: datetime) -> Iterator[FollowUp]:
    """Yield what follows a session of a policy that began then, by the clock of its schedule.

    A rule of retention is applied after every session unless `then` says on which days.
    """
    zone = ZoneInfo(policy.schedule.timezone) if policy.schedule is not None else UTC
    today = list(Weekday)[began_at.astimezone(zone).weekday()]
    if policy.retention is not None and RETENTION not in [one.operation for one in policy.then]:
        yield FollowUp(operation=RETENTION)
    yield from (one for one in policy.then if not one.on or today in one.on)


def problems(tx: Transaction, policy: Policy) -> list[Refused]:
    """List why what a policy says of its follow-ups could not be carried out."""
    found: list[Refused] = []
    kind = policy.operation.partition("-")[0]
    is_backup = policy.operation.endswith("-backup")
    if policy.retention is not None and policy.operation != "ec2-backup":
        found.append(_refused("retention", policy.operation, "makes no restore points that retention could delete"))
    for number, one in enumerate(policy.then):
        field = f"then[{number}].operation"
        try:
            available(operation(one.operation))
        except Refused as error:
            found.append(Refused(error.reason, field=field, value=one.operation, remedy="Leave it out until then"))
            continue
        if not is_backup or one.operation.partition("-")[0] != kind:
            found.append(_refused(field, one.operation, f"does not follow {policy.operation}"))
        elif one.operation == RETENTION and policy.retention is None:
            found.append(_refused(field, one.operation, "has no rule", remedy="Say what stays: retention: {keep: ...}"))
        elif one.operation == _ARCHIVE and _has_no_archive(tx, policy):
            remedy = "Add archive with its url to the repository in the registry"
            found.append(_refused(field, one.operation, "has no archive to write to", remedy=remedy))
    return found


def _refused(field: str, value: str, what: str, remedy: str = "Leave it out") -> Refused:
    return Refused(f"{value} {what}", field=field, value=value, remedy=remedy)


def _has_no_archive(tx: Transaction, policy: Policy) -> bool:
    try:
        return registry.repository(tx, policy.repository).archive is None
    except Refused:
        return False  # told by whoever checks the policy's own request


def _request(tx: Transaction, policy: Policy, ended: sessions.Session, name: str) -> dict[str, Any] | None:
    """Return the request of a follow-up, None when there is nothing for it to work on."""
    repository = ended.plan.repository if ended.plan is not None else policy.repository
    options: dict[str, Any] = {}
    resources: Sequence[Mapping[str, str]]
    if name == RETENTION:
        if policy.retention is None:
            raise Refused("the policy has no rule of retention", field="retention")
        options["keep"] = policy.retention.keep.model_dump(mode="json", by_alias=True, exclude_none=True)
        resources = _chains(tx, policy.name, repository)
    else:
        resources = _written(tx, ended.id)
    if not resources:
        return None
    return {
        "schemaVersion": 1,
        "source": f"{SOURCE}/{policy.name}/then",
        "id": f"{ended.id}/{name}",
        "operation": name,
        "resources": list(resources),
        "options": options,
        "retry": policy.retry.model_dump(mode="json", by_alias=True),
        **({} if repository is None else {"repository": repository}),
    }


def _chains(tx: Transaction, policy: str, repository: str | None) -> list[dict[str, str]]:
    """Return everything that a policy's sessions have backed up: also what it selects no more, or what is gone."""
    table, made = schema.restore_points, schema.sessions
    of = (table.c.account, table.c.region, table.c.resource_id)
    query = (
        sa.select(*of)
        .join(made, made.c.id == table.c.session_id)
        .where(made.c.policy == policy, table.c.repository == repository, table.c.kind != points.ARCHIVED)
        .distinct()
        .order_by(*of)
    )
    return [{"account": row.account, "region": row.region, "id": row.resource_id} for row in tx.rows(query)]


def _written(tx: Transaction, session: str) -> list[dict[str, str]]:
    """Return the restore points that a session has written."""
    table = schema.resources
    query = (
        sa.select(table.c.account, table.c.region, table.c.result)
        .where(table.c.session_id == session, table.c.status.in_(_GOOD))
        .order_by(table.c.ordinal)
    )
    return [
        {"account": row.account, "region": row.region, "id": row.result["restorePoint"]}
        for row in tx.rows(query)
        if row.result and "restorePoint" in row.result
    ]


def _tell(tx: Transaction, session: str, what: str, why: str) -> None:
    journal.write(tx, session, f"{what}: {why}"[:2000], level="warning")
    log.warning("no session follows", session_id=session, reason=why)
