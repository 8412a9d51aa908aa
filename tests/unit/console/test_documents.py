"""Documents that people write: what is text stays text, and what is wrong is told with its line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from console import documents
from orchestrator.errors import Refused


@pytest.fixture
def written(tmp_path: Path) -> Any:
    """Return a function that writes a document and returns its path."""

    def write(text: str) -> str:
        path = tmp_path / "document.yml"
        path.write_text(text)
        return str(path)

    return write


#: how it stands in the file, what it is
VALUES: list[tuple[str, Any]] = [
    ("on", "on"),
    ("no", "no"),
    ("y", "y"),
    ("22:00", "22:00"),
    ("2026-11-25", "2026-11-25"),
    ("012345678901", "012345678901"),
    ("1_000", "1_000"),
    ("0", 0),
    ("-5", -5),
    ("1.5", 1.5),
    ("1e3", 1000.0),
    ("true", True),
    ("~", None),
    ('"7"', "7"),
]


@pytest.mark.parametrize(("text", "value"), VALUES)
def test_only_what_is_no_text_by_the_present_rules_of_yaml_is_none(written: Any, text: str, value: Any) -> None:
    """An account id keeps its zero, a time of day its colon, and `on` is a word."""
    found = documents.read(written(f"value: {text}\n"), what="it")

    assert found == {"value": value}
    assert type(found["value"]) is type(value)


def test_a_key_may_be_any_word(written: Any) -> None:
    """Also those that older YAML takes for truth values; one document may use parts of another place in it."""
    text = "usual: &usual {on: sunday}\nother: {<<: *usual, off: monday}\n"

    assert documents.read(written(text), what="it") == {
        "usual": {"on": "sunday"},
        "other": {"on": "sunday", "off": "monday"},
    }


def test_several_documents_are_read_in_order_and_refused_where_one_is_meant(written: Any) -> None:
    """Nothing is left out in silence."""
    path = written("a: 1\n---\nb: 2\n")

    assert documents.read_all(path, what="it") == [{"a": 1}, {"b": 2}]
    with pytest.raises(Refused, match="these are 2"):
        documents.read(path, what="it")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\n---\nb: 2\nb: 3\n", "line 4"),
        ("a: [1\n", "line 2"),
        ("1: a\n", "put it in quotes"),
        ("a: !!python/object:os.system x\n", "line 1"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(written: Any, text: str, told: str) -> None:
    """Also in the second document, and nothing but values ever comes out."""
    with pytest.raises(Refused, match=told):
        documents.read_all(written(text), what="it")
