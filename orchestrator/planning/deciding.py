"""Deciding over one resource of a group: a plan, or why there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from orchestrator import planner
from orchestrator.errors import LeftOut
from orchestrator.ledger import claims as ledger_claims, points, registry
from orchestrator.ledger.sessions import Session
from orchestrator.ledger.store import Transaction
from orchestrator.model.catalogue import Source
from orchestrator.model.plan import ResourcePlan
from orchestrator.planner import collision
from orchestrator.planner.archived import from_archive, refuse_archived
from orchestrator.planner.claim import Claim
from orchestrator.planner.restore import subnet_to_restore_into
from orchestrator.planner.selection import Subject, excluded_by, worded
from orchestrator.planning.group import Group
from orchestrator.planning.knowing import attach_to, claims, context, database, known_point
from orchestrator.services import Services


def covering(known: planner.Context, group: Group, resource: str) -> list[Claim]:
    """Return the claims of policies over a resource that was read, by rank: the first one wins when they collide."""
    return collision.covering(known, known.claims, group.subject(resource))


def decide(tx: Transaction, known: planner.Context, group: Group, resource: str) -> ResourcePlan:
    """Plan one resource of a group, in the order of the session: device names go to who comes first.

    Raises `Refused`, and `LeftOut` for what is not to be processed now.
    """
    _leave_out(tx, known, group.subject(resource))
    plan = _DECIDERS[group.row.number](tx, known, group, resource)
    if group.row.source is Source.POINT and (point := known_point(tx, resource)) is not None:
        refuse_archived(known, point)
        plan = from_archive(known, point, plan)
    group.taken |= set(plan.details.get("devices", {}).values())
    return plan


def _leave_out(tx: Transaction, known: planner.Context, subject: Subject) -> None:
    """Raise `LeftOut` for what the request excludes, and for what a policy of higher priority is to process."""
    if (excluded := excluded_by(known, subject)) is not None:
        raise LeftOut(f"excluded by {worded(excluded)}")
    if (reason := _left_to(tx, known, subject)) is not None:
        raise LeftOut(reason)


def _left_to(tx: Transaction, known: planner.Context, subject: Subject) -> str | None:
    """Return whose a resource is now, if a policy of higher priority is to process it."""
    if known.policy is None:
        return None
    for rival in collision.outranking(known, known.claims, known.policy, subject):
        session = ledger_claims.at_it(
            tx, rival.policy, known.operation.name, subject.account, subject.region, subject.resource_id
        )
        if session is not None:
            return f"left to policy {rival}, whose session {session} processes it"
    return None


def outranked_by(tx: Transaction, services: Services, session: Session, subject: Subject) -> str | None:
    """Return whose a resource of a planned session is now, if a policy of higher priority is to process it.

    It reads the whole registry: for a resource that has to wait in any case.
    """
    if session.policy is None:
        return None
    known = context(
        services,
        session.request,
        session.mode,
        registry.load(tx),
        policy=session.policy,
        claims=claims(tx, session.operation),
    )
    return _left_to(tx, known, subject)


def _backup(tx: Transaction, known: planner.Context, group: Group, resource: str) -> ResourcePlan:  # noqa: ARG001 - one form
    return planner.plan_backup(known, group.access, group.instances.get(resource), resource, group.profile)


def _restore_instance(tx: Transaction, known: planner.Context, group: Group, resource: str) -> ResourcePlan:
    point = known_point(tx, resource)
    subnet = None if point is None else subnet_to_restore_into(known, group.access, point)
    zone = None if subnet is None else group.zones.get(subnet)
    return planner.plan_restore_instance(known, group.access, point, resource, group.profile, zone=zone)


def _restore_volume(tx: Transaction, known: planner.Context, group: Group, resource: str) -> ResourcePlan:
    return planner.plan_restore_volume(
        known,
        group.access,
        known_point(tx, resource),
        resource,
        group.profile,
        target=group.instances.get(attach_to(known) or ""),
        taken=group.taken,
    )


def _files(tx: Transaction, known: planner.Context, group: Group, resource: str) -> ResourcePlan:
    return planner.plan_files(known, group.access, known_point(tx, resource), resource)


def _files_of_snapshot(tx: Transaction, known: planner.Context, group: Group, resource: str) -> ResourcePlan:  # noqa: ARG001 - one form
    return planner.plan_files_of_snapshot(known, group.access, group.snapshots.get(resource), resource, group.profile)


def _retention(tx: Transaction, known: planner.Context, group: Group, resource: str) -> ResourcePlan:
    found = points.of_resource(tx, group.account, group.region, resource)
    return planner.plan_retention(known, group.access, found, (group.account, group.region, resource), tx.now)


def _archive(tx: Transaction, known: planner.Context, group: Group, resource: str) -> ResourcePlan:
    point = known_point(tx, resource)
    copies = () if point is None else points.copies(tx, point.account, point.region, point.resource_id)
    return planner.plan_archive(known, group.access, point, resource, copies)


def _health_check(tx: Transaction, known: planner.Context, group: Group, resource: str) -> ResourcePlan:
    return planner.plan_health_check(known, group.access, known_point(tx, resource), resource)


def _index(tx: Transaction, known: planner.Context, group: Group, resource: str) -> ResourcePlan:  # noqa: ARG001 - one form
    return planner.plan_index(known, group.access, group.file_systems.get(resource), resource, group.profile)


def _database_backup(tx: Transaction, known: planner.Context, group: Group, resource: str) -> ResourcePlan:  # noqa: ARG001 - one form
    found = group.databases.get(resource)
    return planner.plan_database_backup(known, group.access, found, resource, group.profile)


def _database_restore(tx: Transaction, known: planner.Context, group: Group, resource: str) -> ResourcePlan:
    target = group.databases.get(database(known))
    return planner.plan_database_restore(
        known, group.access, known_point(tx, resource), resource, group.profile, target=target
    )


#: Who decides for a row of the catalogue, by its number.
_DECIDERS: Mapping[str, Callable[[Transaction, planner.Context, Group, str], ResourcePlan]] = MappingProxyType(
    {
        "1": _backup,
        "2": _restore_instance,
        "3": _restore_volume,
        "4": _files,
        "4b": _files_of_snapshot,
        "5": _retention,
        "6": _archive,
        "7": _archive,
        "8": _health_check,
        "9": _health_check,
        "10": _index,
        "11": _database_backup,
        "12": _database_restore,
    }
)
