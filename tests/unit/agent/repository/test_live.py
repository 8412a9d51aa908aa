"""The table of needed slots is a dictionary of sets, however many packs there are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from agent.repository.live import LivePacks

PACK = st.integers(0, 40).map(lambda number: number.to_bytes(4, "big") * 5)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(PACK, st.sets(st.integers(0, 1023), max_size=5)), max_size=80))
def test_slots_add_up_pack_by_pack(added: list[tuple[bytes, set[int]]]) -> None:
    """What was added is found, and nothing else; a table of one bucket grows as it must."""
    table, model = LivePacks(1), dict[bytes, set[int]]()
    for pack, slots in added:
        table.add(pack, slots)
        model[pack] = model.get(pack, set()) | slots

    assert {pack: set(np.flatnonzero(bits).tolist()) for pack, bits in table} == model
    assert len(table) == len(model)
    for pack, slots in model.items():
        assert table.is_live(pack) is bool(slots)
    assert table.find(b"\xff" * 20) is None
    assert not table.is_live(b"\xff" * 20)


def test_slots_can_be_taken_back_and_none_is_beyond_a_pack() -> None:
    """When their blobs have gone elsewhere."""
    table = LivePacks()
    table.add(bytes(20), [3, 900])
    bits = table.find(bytes(20))
    assert bits is not None

    table.set(bytes(20), bits & False)

    assert not table.is_live(bytes(20))
    with pytest.raises(ValueError, match="at most 1024"):
        table.add(bytes(20), [1024])
