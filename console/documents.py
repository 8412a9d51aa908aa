"""Reading the documents that people write: YAML, and JSON, which is YAML. Never more than values come out."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import Any

import yaml

from console.lines import Lines
from orchestrator.errors import Refused

#: Larger than any request of 100,000 resources; a mistaken file name should not fill the memory.
LARGEST = 64 * 1024 * 1024


_MERGE = "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
    """Safe YAML without the traps of its old version: YAML 1.2's rules of what is no text, and no key stands twice.

    A date, `on`, `off`, `yes`, `no`, `22:00` and a number with a leading zero (an account id) stay text.
    """

    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML's own form

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's own form
        """Return a mapping; raises when a key stands twice in it."""
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == _MERGE:
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str | int | float | bool) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", key_node.start_mark
                )
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} must be text; put it in quotes", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


for _tag, _pattern, _first in (
    ("null", r"|~|null|Null|NULL", ["", "~", "n", "N"]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?[1-9][0-9]*[eE][-+]?[0-9]+|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+0123456789."),
    ),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


def read(path: str, *, what: str) -> Any:
    """Read one document from a file, or from stdin when `path` is `-`. Raises `Refused` that names file and line."""
    return open_one(path, what=what).value


def _several(path: str, what: str, number: int) -> Refused:
    return Refused(
        f"{what} is one document, and these are {number}",
        field="--file",
        value=path,
        remedy="Give each a file of its own",
    )


def read_all(path: str, *, what: str) -> list[Any]:
    """Read all documents of a file, or of stdin when `path` is `-`. Raises `Refused` that names file and line."""
    return [one.value for one in open_all(path, what=what)]


@dataclass(frozen=True, kw_only=True)
class Written:
    """A document as it is written: its value, and where each field of it stands."""

    path: str
    value: Any
    lines: Lines

    def place(self, field: str) -> str | None:
        """Return file and line of a field, as `accounts.yml:12`; None: there is no line to name."""
        line = self.lines.of(field)
        return None if line is None else f"{'stdin' if self.path == '-' else self.path}:{line}"


def open_one(path: str, *, what: str) -> Written:
    """As `read`, with the places of its fields."""
    found = open_all(path, what=what)
    if len(found) > 1:
        raise _several(path, what, len(found))
    return found[0] if found else Written(path=path, value=None, lines=Lines(None))


def open_all(path: str, *, what: str) -> list[Written]:
    """As `read_all`, with the places of the fields of each."""
    try:
        if path == "-":
            text = sys.stdin.read(LARGEST + 1)
        else:
            with open(path, encoding="utf-8") as file:  # noqa: PTH123 - so that /dev/stdin and pipes work
                text = file.read(LARGEST + 1)
    except OSError as error:
        raise Refused(
            f"{what} cannot be opened: {error.strerror}",
            field="--file",
            value=path,
            remedy="Name a file, or - for stdin",
        ) from None
    except UnicodeDecodeError:
        raise Refused(f"{what} is not text in UTF-8", field="--file", value=path, remedy="Save it as UTF-8") from None
    if len(text) > LARGEST:
        raise Refused(f"{what} is larger than {LARGEST} characters", field="--file", value=path, remedy="Split it")
    try:
        return [
            Written(path=path, value=value, lines=Lines(node))
            for node, value in zip(yaml.compose_all(text, _Loader), yaml.load_all(text, _Loader), strict=True)
        ]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise Refused(
            f"{what} is neither YAML nor JSON{place}: {error.problem}", field="--file", value=path, remedy="Correct it"
        ) from None
    except yaml.YAMLError as error:
        raise Refused(
            f"{what} is neither YAML nor JSON: {type(error).__name__}", field="--file", value=path, remedy="Correct it"
        ) from None
    except RecursionError:
        raise Refused(f"{what} is nested too deeply", field="--file", value=path, remedy="Flatten it") from None
