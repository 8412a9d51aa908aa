"""Columns of numbers come back, and slowly moving ones are small."""

from __future__ import annotations

import numpy as np
import pytest
import zstandard
from hypothesis import given, strategies as st

from agent.repository import columns


@given(st.lists(st.integers(0, 2**16 - 1), max_size=200))
def test_any_numbers_come_back(numbers: list[int]) -> None:
    """Also when differences wrap around."""
    stored = columns.to_bytes(np.array(numbers, dtype=np.uint16), "u2")

    assert columns.from_bytes(stored, "u2", len(numbers)).tolist() == numbers


@given(st.lists(st.integers(0, 2**32 - 1), max_size=200))
def test_any_wide_numbers_come_back(numbers: list[int]) -> None:
    """Also the widest."""
    stored = columns.to_bytes(np.array(numbers, dtype=np.uint64), "u4")

    assert columns.from_bytes(stored, "u4", len(numbers)).tolist() == numbers


def test_ascending_numbers_take_next_to_nothing() -> None:
    """A full segment in order costs a few bytes."""
    stored = columns.to_bytes(np.arange(2048), "u2")

    assert len(zstandard.compress(stored)) < 40


def test_the_wrong_number_of_rows_is_an_error() -> None:
    """A column that is cut is found out."""
    with pytest.raises(ValueError, match="reshape"):
        columns.from_bytes(b"\x00" * 7, "u2", 4)
