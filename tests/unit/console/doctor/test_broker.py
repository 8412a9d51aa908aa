"""Which servers have a hole."""

from __future__ import annotations

import pytest

from console.doctor.broker import is_patched


@pytest.mark.parametrize(
    ("name", "version", "patched"),
    [
        ("redis", "7.0.15", False),
        ("redis", "6.2.19", False),
        ("redis", "6.2.20", True),
        ("redis", "7.2.10", False),
        ("redis", "7.2.11", True),
        ("redis", "8.2.1", False),
        ("redis", "8.2.2", True),
        ("redis", "8.4.0", True),
        ("valkey", "8.1.3", False),
        ("valkey", "8.1.4", True),
        ("valkey", "9.1.2", True),
        ("redis", "unknown", True),
    ],
)
def test_a_release_is_judged_by_its_own_branch(name: str, version: str, patched: bool) -> None:  # noqa: FBT001 - a table
    """Each branch got its own patch; branches that got none are not patched, later ones are."""
    assert is_patched(name, version) is patched
