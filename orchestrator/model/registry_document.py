"""Reading the registry's document, as people write it: every mistake at once, by the field that its author wrote."""

from __future__ import annotations

import re
from typing import Any

from orchestrator.errors import Refused
from orchestrator.model.account import Registry
from orchestrator.model.reading import read_strict, together
from orchestrator.model.shorthand import DEFAULTS, is_of_defaults

_OF_ACCOUNT = re.compile(r"^accounts\[(\d+)\]\.(.+)$")
_FOREIGN_ROLE = re.compile(r"^(roles\.\w+) (belongs to account .*)$")


def read_registry(document: Any) -> Registry:
    """Read a document, its defaults worked in. Raises `Refused`; a mistake in `defaults` is told once, and there."""
    if isinstance(document, dict) and not isinstance(document.get(DEFAULTS, {}), dict):
        raise Refused(
            "this must be a mapping of names to values",
            field=DEFAULTS,
            remedy="Write what all accounts share: roles, regions, tags, ...",
        )
    try:
        return read_strict(Registry, document, what="the registry")
    except Refused as error:
        problems = [_where_it_stands(document, _by_role(one)) for one in error.problems or [error]]
        raise together(list({(one.field, one.reason): one for one in problems}.values())) from None


def _by_role(problem: Refused) -> Refused:
    found = _FOREIGN_ROLE.match(problem.reason)
    if found is None:
        return problem
    return Refused(
        f"this role {found[2]}", field=f"{problem.field}.{found[1]}", remedy="Name a role of the account itself"
    )


def _where_it_stands(document: Any, problem: Refused) -> Refused:
    found = _OF_ACCOUNT.match(problem.field)
    if found is None or DEFAULTS not in document:
        return problem
    names = re.split(r"[.\[]", found[2])
    if not is_of_defaults(document, int(found[1]), names):
        return problem
    return Refused(problem.reason, field=f"{DEFAULTS}.{found[2]}", value=problem.value, remedy=problem.remedy)
