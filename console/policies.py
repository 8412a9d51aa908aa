"""From a file to policies, with every mistake of every document at once."""

from __future__ import annotations

from collections import Counter
from typing import Any

from console import documents
from orchestrator.errors import Refused
from orchestrator.scheduler.policy import Policy, read_policy


def read(path: str) -> list[Policy]:
    """Read the policies of a file: one, or several as documents of YAML.

    Raises `Refused` whose `problems` are all mistakes; where there are several documents, each field has the policy's
    name in front, or `document N` where it has none.
    """
    found = [one for one in documents.open_all(path, what="the policy") if one.value is not None]
    if not found:
        raise Refused("there is no policy in it", field="--file", value=path, remedy="See daywork schema export policy")
    policies: list[Policy] = []
    problems: list[Refused] = []
    for number, one in enumerate(found, 1):
        prefix = "" if len(found) == 1 else _title(one.value, number)
        try:
            policies.append(read_policy(one.value, prefix=prefix))
        except Refused as error:
            for problem in error.problems or [error]:
                problem.place = one.place(problem.field.removeprefix(prefix).removeprefix("."))
                problems.append(problem)
    counted = Counter(one.name for one in policies)
    problems += [
        Refused(
            "two documents have this name",
            field=f"{name}.name",
            value=name,
            remedy="Give each policy a name of its own",
        )
        for name, number in counted.items()
        if number > 1
    ]
    if problems:
        refused = Refused(problems[0].reason, field=problems[0].field)
        refused.problems = problems
        raise refused
    return policies


def _title(document: Any, number: int) -> str:
    name = document.get("name") if isinstance(document, dict) else None
    return name if isinstance(name, str) and name.strip() else f"document {number}"
