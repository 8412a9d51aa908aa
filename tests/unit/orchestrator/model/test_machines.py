"""What the name of an instance type tells of it."""

from __future__ import annotations

import pytest

from orchestrator.model.machines import vcpus


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        ("t3.medium", 2),
        ("c5.large", 2),
        ("c5.xlarge", 4),
        ("c5.2xlarge", 8),
        ("c5.4xlarge", 16),
        ("m7i.48xlarge", 192),
        ("c7i.metal-24xl", 96),
        ("i3.metal", 128),
    ],
)
def test_a_type_counts_by_its_size(kind: str, number: int) -> None:
    """Never for too few."""
    assert vcpus(kind) == number
