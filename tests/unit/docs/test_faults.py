"""The page of promises names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

_ROOT = Path(__file__).parents[3]
_NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
#: The rows that this version promises.
_ROWS = [*range(1, 12), 15, 16, 17, 19, 20, 21, 22, 23, 26, *range(28, 33)]


def page() -> str:
    """Return the page."""
    return (_ROOT / "docs" / "faults.md").read_text()


def test_every_test_that_is_named_exists() -> None:
    """A promise whose test was renamed or removed is not held by anything."""
    named = _NAMED.findall(page())

    assert len(named) > len(_ROWS)
    missing = [
        f"{path}::{test}"
        for path, test in named
        if not (_ROOT / path).is_file() or (test and f"\ndef {test}(" not in (_ROOT / path).read_text())
    ]
    assert missing == []


def test_every_row_has_a_promise_and_a_test() -> None:
    """Rows stand in the order of the design's matrix, each with at least one test."""
    rows = [line.strip("|").split("|") for line in page().splitlines() if re.match(r"\| \d+ \|", line)]

    assert [int(row[0]) for row in rows] == _ROWS
    assert all(row[1].strip() and row[2].strip() and _NAMED.search(row[3]) for row in rows)
