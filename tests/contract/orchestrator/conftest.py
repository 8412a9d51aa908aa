"""One exam for each port, sat by the fake and by the real adapters on the embedded cloud."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.labs import EmbeddedLab, FakeLab, Lab, embedded_lab


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedLab]:
    """One embedded cloud for a module, as a process can hold one at a time; each test makes things of its own."""
    with embedded_lab(tmp_path_factory.mktemp("lab")) as made:
        yield made


@pytest.fixture(params=["fake", "embedded"])
def lab(request: pytest.FixtureRequest) -> Lab:
    """Return each laboratory in turn."""
    found: Lab = FakeLab() if request.param == "fake" else request.getfixturevalue("embedded")
    return found
