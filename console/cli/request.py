"""From a command line to a session request (CONTRACT section 3), with every mistake of it at once."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_origin

from console.cli.exits import Problem, problems_of, usage

if TYPE_CHECKING:
    from console.documents import Written

#: The source of requests made by flags alone.
SOURCE = "daywork-cli"

_TAG = re.compile(r",(?=[^,=]+=)")


@dataclass(frozen=True, kw_only=True)
class Flags:
    """What `session start` was given besides a file."""

    operation: str | None
    resources: Sequence[str]
    selectors: Sequence[str]
    mode: str | None
    repository: str | None
    options: Sequence[str]
    source: str | None
    id: str | None

    def beside_file(self) -> list[str]:
        """Name the flags that are given and say what only the file may say."""
        given = {
            "--operation": self.operation,
            "--resource": self.resources,
            "--select": self.selectors,
            "--mode": self.mode,
            "--repository": self.repository,
            "--option": self.options,
        }
        return [name for name, value in given.items() if value]


def requested(path: str | None, flags: Flags) -> dict[str, Any]:
    """Return the request as JSON values, from a file or from flags, checked as far as it can be without the ledger.

    Raises `CommandError` with every mistake; in a file each with its line.
    """
    if path is None:
        document = _from_flags(flags)
        _check(document, None)
        return document
    if both := flags.beside_file():
        raise usage(
            Problem(
                field=both[0],
                reason="the request comes from the file given with --file",
                remedy="Say it in the file, or leave --file out; only --source and --id may stand beside it",
            )
        )
    from console import documents
    from orchestrator.errors import Refused

    try:
        written = documents.open_one(path, what="the request")
    except Refused as error:
        raise usage(*problems_of(error)) from None
    found = written.value
    if isinstance(found, dict):
        given = {"source": flags.source, "id": flags.id}
        found |= {name: value for name, value in given.items() if value is not None}
    _check(found, written)
    return dict(found)


def _check(document: Any, written: Written | None) -> None:
    from orchestrator.errors import Refused
    from orchestrator.model.reading import read_strict
    from orchestrator.model.request import read_request
    from orchestrator.operations import CATALOGUE

    problems: list[Problem] = []
    try:
        read_request(document)
    except Refused as error:
        problems += problems_of(error, written)
    row = CATALOGUE.get(str(document.get("operation"))) if isinstance(document, dict) else None
    options = document.get("options", {}) if isinstance(document, dict) else None
    if row is not None and isinstance(options, dict):
        try:
            read_strict(row.options, options, what="options", prefix="options")
        except Refused as error:
            problems += problems_of(error, written)
    if problems:
        raise usage(*problems, title="the request cannot be read")


def _from_flags(flags: Flags) -> dict[str, Any]:
    from ulid import ULID

    problems: list[Problem] = []
    if flags.operation is None:
        problems.append(
            Problem(
                field="--operation",
                reason="say what to do",
                remedy="Give --operation and --resource or --select, or a request with --file",
            )
        )
    document: dict[str, Any] = {
        "schemaVersion": 1,
        "source": flags.source or SOURCE,
        "id": flags.id or str(ULID()),
        "operation": flags.operation,
        "resources": _each(flags.resources, parse_resource, problems),
        "select": _each(flags.selectors, _selector, problems),
        "options": _options(flags.operation or "", flags.options, problems),
    }
    if not document["resources"] and not document["select"] and not problems:
        problems.append(
            Problem(
                field="--resource", reason="say what to work on", remedy="Give --resource ACCOUNT/REGION/ID or --select"
            )
        )
    if problems:
        raise usage(*problems)
    optional = {"mode": flags.mode, "repository": flags.repository}
    return document | {name: value for name, value in optional.items() if value is not None}


def _each(texts: Sequence[str], reader: Any, problems: list[Problem]) -> list[dict[str, Any]]:
    found = []
    for text in texts:
        value = reader(text)
        if isinstance(value, Problem):
            problems.append(value)
        else:
            found.append(value)
    return found


def parse_resource(text: str) -> dict[str, str] | Problem:
    """Read `ACCOUNT/REGION/ID`; returns the problem when it is not that."""
    account, region, name = [*text.split("/", 2), "", ""][:3]
    if not (account and region and name):
        return Problem(
            field="--resource",
            value=text,
            reason="this names no resource",
            remedy="Write ACCOUNT/REGION/ID, as in production-a/eu-west-1/i-0a1b2c3d4e5f60718",
        )
    return {"account": account, "region": region, "id": name}


def _selector(text: str) -> dict[str, Any] | Problem:
    account, region, rest = [*text.split("/", 2), "", ""][:3]
    tags = [one.partition("=") for one in _TAG.split(rest)]
    if not (account and region and rest) or any(not key or not equals for key, equals, _ in tags):
        return Problem(
            field="--select",
            value=text,
            reason="this selects nothing",
            remedy="Write ACCOUNT/REGION/TAG=VALUE, further tags after commas: production-a/eu-west-1/backup=daily",
        )
    return {"account": account, "region": region, "tags": {key: value for key, _, value in tags}}


def _options(operation: str, texts: Sequence[str], problems: list[Problem]) -> dict[str, Any]:
    """Read `k=v` with the help of the operation's own options: lists take commas and repeats, text stays text."""
    from orchestrator.operations import CATALOGUE

    row = CATALOGUE.get(operation)
    kinds = {} if row is None else {info.alias or name: info for name, info in row.options.model_fields.items()}
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            problems.append(
                Problem(
                    field="--option", value=text, reason="this is no option", remedy="Write NAME=VALUE, as in full=true"
                )
            )
        elif name in kinds and get_origin(kinds[name].annotation) is tuple:
            found[name] = [*found.get(name, []), *(one.strip() for one in value.split(","))]
        elif name in found:
            problems.append(
                Problem(field="--option", value=text, reason="this option is given twice", remedy="Give it once")
            )
        else:
            found[name] = _value(value) if name in kinds and kinds[name].annotation in (bool, int, float) else value
    return found


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
