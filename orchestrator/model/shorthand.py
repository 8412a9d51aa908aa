"""What the registry's document may say shorter: `defaults` for all accounts, roles by name. Pure, on plain values."""

from __future__ import annotations

from typing import Any

DEFAULTS = "defaults"


def with_defaults(registry: Any) -> Any:
    """Return a registry document whose `defaults` are worked into each account; what is no such document stays."""
    if not isinstance(registry, dict) or DEFAULTS not in registry:
        return registry
    defaults, accounts = registry[DEFAULTS], registry.get("accounts")
    rest = {name: value for name, value in registry.items() if name != DEFAULTS}
    if not isinstance(defaults, dict) or not isinstance(accounts, list | tuple):
        return registry
    return {**rest, "accounts": [_joined(defaults, one) if isinstance(one, dict) else one for one in accounts]}


def is_of_defaults(registry: Any, number: int, path: list[str]) -> bool:
    """Whether what stands at a path of an account (`roles`, `backup`) comes from the document's defaults."""
    place: Any = registry["accounts"][number]
    shared: Any = registry.get(DEFAULTS)
    for name in path:
        if isinstance(place, dict) and name in place:
            place = place[name]
            shared = shared.get(name) if isinstance(shared, dict) else None
            if isinstance(place, list | tuple):
                return False
            continue
        return isinstance(place, dict) and isinstance(shared, dict) and name in shared
    return False


def _joined(below: Any, above: Any) -> Any:
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    named = {name: _joined(below[name], value) if name in below else value for name, value in above.items()}
    return {**below, **named}


def with_role_arns(account: Any) -> Any:
    """Return an account's document in which roles given by name are ARNs of that account."""
    if not isinstance(account, dict) or not isinstance(account.get("roles"), dict):
        return account
    regions = account.get("regions")
    first = regions[0] if isinstance(regions, list | tuple) and regions else None
    roles = {purpose: _arn(role, account.get("id"), first) for purpose, role in account["roles"].items()}
    return {**account, "roles": roles}


def with_repository_role(repository: Any) -> Any:
    """Return a repository's document in which roles given by name are ARNs of the repository's account."""
    if not isinstance(repository, dict):
        return repository
    account, region = repository.get("account"), repository.get("region")
    named = {name: repository[name] for name in ("role", "keeper") if isinstance(repository.get(name), str)}
    return {**repository, **{name: _arn(role, account, region) for name, role in named.items()}}


def _arn(role: Any, account: Any, region: Any) -> Any:
    if not isinstance(role, str) or role.startswith("arn:"):
        return role
    start = str(region).partition("-")[0]
    partition = {"cn": "aws-cn"}.get(start, "aws-us-gov" if str(region).startswith("us-gov-") else "aws")
    return f"arn:{partition}:iam::{account}:role/{role.lstrip('/')}"
