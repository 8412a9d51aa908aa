"""Paths as text and bytes, and what a search finds."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from agent.files.errors import Unsafe
from agent.files.system import Entry
from agent.files.walking import Wanted, parse, parts_of, shown


@given(st.binary(max_size=40))
def test_every_path_can_be_shown_and_given_back(path: bytes) -> None:
    """Whatever bytes it holds, as text without control characters that UTF-8 can hold."""
    text = shown(path)

    assert parse(text) == path
    assert text.encode().decode() == text
    assert not any(ord(one) < 0x20 for one in text)


def test_ordinary_backslashes_may_be_given_as_they_are() -> None:
    """Only what is an escape is read as one."""
    assert parse("C:\\dir\\new") == b"C:\\dir\\new"
    assert parse("a\\\\b\\x41") == b"a\\bA"


def test_paths_begin_at_the_root() -> None:
    """Dots in them mean nothing, and two dots are refused."""
    assert parts_of(b"//a/./b/") == [b"a", b"b"]
    with pytest.raises(Unsafe):
        parts_of(b"/a/../b")


@pytest.mark.parametrize(
    ("wanted", "is_found"),
    [
        (Wanted(), True),
        (Wanted(pattern=b"*.log"), True),
        (Wanted(pattern=b"*.LOG"), False),
        (Wanted(pattern=b"/var/*/a.log"), True),
        (Wanted(pattern=b"/etc/*"), False),
        (Wanted(at_least=100, at_most=100), True),
        (Wanted(at_least=101), False),
        (Wanted(since=5, until=5), True),
        (Wanted(until=4), False),
    ],
)
def test_a_search_compares_names_sizes_and_times(wanted: Wanted, is_found: bool) -> None:  # noqa: FBT001 - a table
    """A pattern with a slash is of the whole path."""
    entry = Entry(name=b"a.log", kind="file", size=100, mode=0, uid=0, gid=0, modified=5, accessed=0, identity=1)

    assert wanted.matches(b"/var/log/a.log", entry) is is_found
