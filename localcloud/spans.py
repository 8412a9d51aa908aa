"""Where the statements of a policy text stand, as lines and columns from 1."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

_SPACE = re.compile(r"\s*")


@dataclass(frozen=True)
class Span:
    """From the first character of a statement to its last, each as (line, column)."""

    start: tuple[int, int]
    end: tuple[int, int]


@lru_cache(maxsize=1024)
def statement_spans(text: str) -> tuple[Span, ...]:
    """Return the places of a policy's statements, in their order. Raises ValueError for what is not JSON."""
    return tuple(Span(_place(text, begin), _place(text, end - 1)) for begin, end in _statements(text))


def _place(text: str, offset: int) -> tuple[int, int]:
    before = text[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return position if match is None else match.end()


def _statements(text: str) -> Iterator[tuple[int, int]]:
    read = json.JSONDecoder().raw_decode
    position = _skip(text, _skip(text, 0) + 1)
    while text[position] != "}":
        key, position = read(text, position)
        position = _skip(text, _skip(text, position) + 1)
        if key == "Statement":
            yield from _elements(text, position)
        _, position = read(text, position)
        position = _skip(text, position)
        if text[position] == ",":
            position = _skip(text, position + 1)


def _elements(text: str, position: int) -> Iterator[tuple[int, int]]:
    read = json.JSONDecoder().raw_decode
    if text[position] != "[":
        yield position, read(text, position)[1]
        return
    position = _skip(text, position + 1)
    while text[position] != "]":
        _, end = read(text, position)
        yield position, end
        position = _skip(text, end)
        if text[position] == ",":
            position = _skip(text, position + 1)
