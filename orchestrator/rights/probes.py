"""Questions that prove a role document: for each statement a call that it alone allows.

Made from the document itself, so that nothing can be granted without being asked for: patterns are filled in with names
that could be, conditions become the context under which they hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.statements import Document

_ARN_PARTS: Final = 6
#: Ids by the beginning of an ARN's resource part; other patterns get `_SAMPLE`.
_IDS: Final[Mapping[str, str]] = {
    "instance/": "i-0123456789abcdef0",
    "volume/": "vol-0123456789abcdef0",
    "snapshot/": "snap-0123456789abcdef0",
    "image/": "ami-0123456789abcdef0",
    "subnet/": "subnet-0123456789abcdef0",
    "security-group/": "sg-0123456789abcdef0",
    "network-interface/": "eni-0123456789abcdef0",
    "file-system/": "fs-0123456789abcdef0",
    "key/": "01234567-89ab-cdef-0123-456789abcdef",
}
_SAMPLE: Final = "daywork-check"
_USER_ID: Final = "AROADAYWORKCHECK00000:i-0123456789abcdef0"
_VARIABLE: Final = re.compile(r"\$\{([^}]+)\}")


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A statement as questions: each action on each resource, all in one context.

    `statement` is the statement itself, to show what is missing. Values of `context` are single strings.
    """

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    context: Mapping[str, str]
    statement: Document

    def lacking(self, refused: set[tuple[str, str]]) -> Document:
        """Return the statement with those actions and resources alone that were refused: what there is to add."""
        actions = [action for action in self.actions if any(one == action for one, _ in refused)]
        patterns = zip(self.resources, _listed(self.statement["Resource"]), strict=True)
        resources = [pattern for resource, pattern in patterns if any(one == resource for _, one in refused)]
        return {**self.statement, "Action": actions, "Resource": resources}


def probes(document: Document, *, account: str, region: str) -> Iterator[Probe]:
    """Yield the questions for the allowing statements of an identity policy, one for each statement.

    `account` and `region` fill in what a pattern leaves open.
    """
    for statement in document["Statement"]:
        if statement["Effect"] != "Allow":
            continue
        context = dict(_context(statement.get("Condition", {}), region))
        resources = []
        for pattern in _listed(statement["Resource"]):
            if "${aws:userid}" in pattern:
                context["aws:userid"] = _USER_ID
            resources.append(_resource(pattern, account, region))
        yield Probe(
            sid=statement["Sid"],
            actions=tuple(_listed(statement["Action"])),
            resources=tuple(resources),
            context=context,
            statement=statement,
        )


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _resource(pattern: str, account: str, region: str) -> str:
    filled = _VARIABLE.sub(lambda match: _USER_ID if match[1] == "aws:userid" else _SAMPLE, pattern)
    parts = filled.split(":", _ARN_PARTS - 1)
    if len(parts) != _ARN_PARTS:
        return filled
    parts[3] = region if parts[3] == "*" else parts[3]
    parts[4] = account if parts[4] == "*" else parts[4]
    kind = next((one for one in _IDS if parts[5] == f"{one}*"), None)
    parts[5] = f"{kind}{_IDS[kind]}" if kind is not None else parts[5].replace("*", _SAMPLE)
    return ":".join(parts)


def _context(conditions: Mapping[str, Mapping[str, Any]], region: str) -> Iterator[tuple[str, str]]:
    for keys in conditions.values():
        for key, values in keys.items():
            value = _listed(values)[0]
            yield key, value.replace("*", region if key == "kms:ViaService" else _SAMPLE)
