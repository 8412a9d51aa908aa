"""Which line of a document a field stands in: people are told where, not only what."""

from __future__ import annotations

import yaml


class Lines:
    """The places of one document's fields."""

    def __init__(self, root: yaml.Node | None) -> None:
        """Take the document as PyYAML composes it; None is an empty one."""
        self._root = root

    def of(self, field: str) -> int | None:
        """Return the line, counted from 1, of a field such as `accounts[1].roles.backup`, or of what should hold it."""
        node, line, rest = self._root, None, field
        while node is not None and rest:
            found = _step(node, rest)
            if found is None:
                break
            node, line, rest = found
        if line is None and self._root is not None:
            return int(self._root.start_mark.line) + 1
        return line


def _step(node: yaml.Node, rest: str) -> tuple[yaml.Node, int, str] | None:
    """Go one name or number further into a path; the longest key that fits, for keys may hold dots."""
    if isinstance(node, yaml.SequenceNode) and rest.startswith("["):
        number, _, after = rest[1:].partition("]")
        if not number.isdigit() or int(number) >= len(node.value):
            return None
        item = node.value[int(number)]
        return item, int(item.start_mark.line) + 1, after.removeprefix(".")
    if isinstance(node, yaml.MappingNode):
        fitting = [pair for pair in node.value if _is_first(str(pair[0].value), rest)]
        if fitting:
            key, value = max(fitting, key=lambda pair: len(str(pair[0].value)))
            return value, int(key.start_mark.line) + 1, rest[len(str(key.value)) :].removeprefix(".")
    return None


def _is_first(key: str, rest: str) -> bool:
    return rest.startswith(key) and rest[len(key) : len(key) + 1] in ("", ".", "[")
