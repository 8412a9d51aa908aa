"""A forecast as plain JSON values: what `daywork plan --output json` prints."""

from __future__ import annotations

from collections import Counter
from typing import Any

from orchestrator.model.plan import Access, ResourcePlan
from orchestrator.network import Candidate
from orchestrator.ports import Room
from orchestrator.preflight.forecast import Finding, Forecast, PlaceForecast, ResourceForecast


def record(forecast: Forecast) -> dict[str, Any]:
    """Return the whole forecast. `plan` of a resource is the very object that its session executes."""
    session = forecast.session
    role = None if session is None else session.temporary_role
    return {
        "operation": forecast.operation,
        "mode": str(forecast.mode),
        "available": forecast.is_available,
        "refused": forecast.is_refused,
        "repository": None if session is None else session.repository,
        "temporaryRole": None if role is None else {"account": role.account, "path": role.path},
        "counts": dict(sorted(Counter(one.status for one in forecast.resources).items())),
        "resources": [_resource(one) for one in forecast.resources],
        "places": [_place(one) for one in forecast.places],
    }


def _resource(one: ResourceForecast) -> dict[str, Any]:
    return {
        "account": one.account,
        "region": one.region,
        "id": one.resource_id,
        "status": one.status,
        "findings": [_finding(finding) for finding in one.findings],
        "roles": None if one.plan is None else _roles(one.plan),
        "subnets": [_candidate(candidate) for candidate in one.candidates],
        "plan": None if one.plan is None else one.plan.model_dump(mode="json", by_alias=True),
    }


def _roles(plan: ResourcePlan) -> dict[str, Any]:
    """Return the role of each purpose. None where the control plane acts itself; `attached` None is the temporary."""
    return {
        "operation": plan.operation.role,
        "deploying": plan.worker.access.role,
        "attached": plan.worker.role,
        "data": plan.data_role,
        "repository": plan.repository_role,
    }


def _candidate(one: Candidate) -> dict[str, Any]:
    return {
        "id": one.subnet,
        "vpc": one.vpc or None,
        "zone": one.zone or None,
        "freeAddresses": one.free_addresses,
        "securityGroups": list(one.security_groups),
        "publicAddress": one.public_address,
        "reaches": dict(one.ways),
        "problems": [
            {"kind": str(problem.why), "reason": problem.text, "remedy": problem.remedy} for problem in one.problems
        ],
    }


def _place(one: PlaceForecast) -> dict[str, Any]:
    return {
        **_access(one.access),
        "workers": one.workers,
        "vcpus": {"needed": one.vcpus, **_room(one.room_for_vcpus)},
        "freeAddresses": one.free_addresses,
        "roles": _room(one.room_for_roles),
        "instanceProfiles": _room(one.room_for_profiles),
        "launch": {"seconds": one.launch.total_seconds(), "calls": one.launch_calls},
        "findings": [_finding(finding) for finding in one.findings],
    }


def _access(access: Access) -> dict[str, Any]:
    return {"account": access.account, "region": access.region, "role": access.role}


def _room(room: Room | None) -> dict[str, Any]:
    """Return a quota; nulls where it could not be looked at or does not matter."""
    if room is None:
        return {"used": None, "quota": None, "left": None}
    return {"used": room.used, "quota": room.most, "left": room.left}


def _finding(one: Finding) -> dict[str, Any]:
    return {"severity": str(one.severity), "reason": one.reason, "remedy": one.remedy or None}
