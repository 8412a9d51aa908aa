"""Maps: in which layer each written block of a content is. Values that never change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from localcloud.blocks.layers import Indexes

Numbers = NDArray[np.uint32]
#: Changed blocks in order, and whether the first and the second content have each.
Changes = tuple[Indexes, NDArray[np.bool_], NDArray[np.bool_]]


@dataclass(frozen=True, eq=False)
class BlockMap:
    """Written blocks in order: `indexes[n]` is in the layer with the number `layers[n]`. Layers count from 1."""

    indexes: Indexes
    layers: Numbers

    def __len__(self) -> int:
        return len(self.indexes)

    def layer_of(self, index: int) -> int | None:
        """Return the number of the layer that holds a block, or None when the block was never written."""
        at = int(self.indexes.searchsorted(index))
        if at == len(self.indexes) or int(self.indexes[at]) != index:
            return None
        return int(self.layers[at])

    def between(self, start: int, stop: int) -> BlockMap:
        """Return the part with indexes from `start` up to but without `stop`."""
        first, last = self.indexes.searchsorted([start, stop])
        return BlockMap(self.indexes[first:last], self.layers[first:last])

    def under(self, indexes: Indexes, layer: int) -> BlockMap:
        """Return this map with blocks of a newer layer on top of it. `indexes` are in order."""
        kept = ~found_in(self.indexes, indexes)
        merged = np.concatenate((self.indexes[kept], indexes))
        layers = np.concatenate((self.layers[kept], np.full(len(indexes), layer, np.uint32)))
        order = np.argsort(merged, kind="stable")
        return BlockMap(merged[order], layers[order])

    def numbers(self) -> set[int]:
        """Return the numbers of the layers that are named."""
        return set(_distinct(np.sort(self.layers)).tolist())

    def of_layer(self, layer: int) -> Indexes:
        """Return the indexes of the blocks that are in a layer, in order."""
        found: Indexes = self.indexes[self.layers == layer]
        return found


EMPTY = BlockMap(np.empty(0, np.uint32), np.empty(0, np.uint32))


def changed(first: BlockMap, second: BlockMap) -> Changes:
    """Return the blocks that differ."""
    indexes = _distinct(np.sort(np.concatenate((first.indexes, second.indexes)), kind="stable"))
    before, after = _layers_at(first, indexes), _layers_at(second, indexes)
    differs = before != after
    return indexes[differs], before[differs] != 0, after[differs] != 0


def _layers_at(blocks: BlockMap, indexes: Indexes) -> Numbers:
    found = np.zeros(len(indexes), np.uint32)
    found[indexes.searchsorted(blocks.indexes)] = blocks.layers
    return found


def found_in(indexes: Indexes, others: Indexes) -> NDArray[np.bool_]:
    """Tell for each index whether it is among the others. Both are in order."""
    if not len(others):
        return np.zeros(len(indexes), np.bool_)
    at = np.minimum(others.searchsorted(indexes), len(others) - 1)
    found: NDArray[np.bool_] = others[at] == indexes
    return found


def _distinct(values: Numbers) -> Numbers:
    # numpy's own unique and union1d hash since 2.3, which takes seconds for a map of a TiB.
    differs = np.ones(len(values), np.bool_)
    differs[1:] = values[1:] != values[:-1]
    found: Numbers = values[differs]
    return found
