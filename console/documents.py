"""Reading the documents that people write: YAML, and JSON, which is YAML. Never more than values come out."""

from __future__ import annotations

import sys
from typing import Any

import yaml

from orchestrator.errors import Refused

#: Larger than any request of 100,000 resources; a mistaken file name should not fill the memory.
LARGEST = 64 * 1024 * 1024


class _Loader(yaml.SafeLoader):
    """Safe YAML without its two traps: a date stays text, and a key that stands twice is an error."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own form
        first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:timestamp"]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's own form
        """Return a mapping; raises when a key stands twice in it."""
        seen: set[Any] = set()
        for key_node, _ in node.value:
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


def read(path: str, *, what: str) -> Any:
    """Read one document from a file, or from stdin when `path` is `-`. Raises `Refused` that names file and line."""
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
        return yaml.load(text, _Loader)  # noqa: S506 - a safe loader, made stricter
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
