"""One whole stack for the tests of all operations: each test makes the instances that it changes or removes itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.stack import Stack, running_stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two production accounts with two instances each; read them, and leave them as they are."""
    # What nothing needs any more goes at once, beside whatever else is tested: that must do no harm.
    garbage = {"DAYWORK_GARBAGE_SECONDS": "0", "DAYWORK_COLLECTION_SECONDS": "0"}
    with running_stack(tmp_path_factory.mktemp("operations"), accounts=2, instances=2, **garbage) as running:
        yield running
