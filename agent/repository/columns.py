"""Columns: arrays of whole numbers as bytes that compress well.

A column is stored as differences from one row to the next (the first from 0, modulo its width), split into planes: all
low bytes, then all next bytes. Ascending or slowly moving numbers become long runs of small bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Column = npt.NDArray[Any]


def to_bytes(column: Column, width: str) -> bytes:
    """Return a one-dimensional column as bytes; `width` is `u2`, `u4` or `u8`."""
    values = np.ascontiguousarray(column, dtype=f"<{width}")
    steps = values.copy()
    steps[1:] -= values[:-1]
    return steps.view(np.uint8).reshape(len(values), int(width[1:])).T.tobytes()


def from_bytes(data: bytes, width: str, rows: int) -> Column:
    """Return the column back. Raises ValueError when `data` is not `rows` numbers."""
    planes = np.frombuffer(data, dtype=np.uint8).reshape(int(width[1:]), rows)
    steps = np.ascontiguousarray(planes.T).view(f"<{width}").reshape(rows)
    return np.cumsum(steps, dtype=steps.dtype)


def rows_of(data: bytes, size: int, rows: int) -> npt.NDArray[np.uint8]:
    """Return fixed-size values, stored one after the other, as an array (rows, size). Raises ValueError."""
    return np.frombuffer(data, dtype=np.uint8).reshape(rows, size)
