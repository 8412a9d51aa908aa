"""Mending: a backup that reads a block whose place is damaged stores it anew, and every point that needs it has it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from threading import Lock

from agent.repository.damage import Damage, all_damage, without, write_damage
from agent.repository.forward import Place, write_forwards
from agent.repository.layout import Chain
from agent.repository.repository import Repository


@dataclass
class Mending:
    """The damage of a repository, and what a backup can do about it. Thread-safe."""

    damage: list[tuple[Chain, Damage]] = field(default_factory=list)
    bad: dict[Place, bytes] = field(default_factory=dict)
    moves: dict[Place, Place] = field(default_factory=dict)
    wanted: dict[bytes, list[Place]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def note(self, block_id: bytes, place: Place) -> None:
        """Note where a block was found or stored: if it was lost elsewhere, it is lost no more."""
        if not self.wanted or block_id not in self.wanted:
            return
        with self._lock:
            for lost in self.wanted.pop(block_id, ()):
                self.moves[lost] = place

    def asks_for_all(self, chain: Chain, parent: str | None) -> bool:
        """Whether a backup should read everything: something of its chain is lost, or its parent is damaged."""
        own = [damage for one, damage in self.damage if one == chain]
        return any(not damage.is_tried or damage.point == parent for damage in own)

    def finish(
        self, repository: Repository, chain: Chain, *, has_read_all: bool, clock: Callable[[], float] = time.time
    ) -> list[str]:
        """Say where lost blocks are now; the packs are in the store. Returns the points that are well again."""
        if self.moves:
            key_id, data_key = repository.ring.current()
            write_forwards(repository.objects, self.moves, key_id=key_id, data_key=data_key, clock=clock)
        well = []
        for one, damage in self.damage:
            left = without(damage, set(self.moves))
            if one == chain and has_read_all:
                left = replace(left, is_tried=True)
            if left != damage:
                write_damage(repository, one, left)
            if left.is_well:
                well.append(left.point)
        return well


def load_mending(repository: Repository) -> Mending:
    """Return what is known to be damaged in a repository: nothing, as a rule, for one call."""
    made = Mending(damage=list(all_damage(repository)))
    for _, damage in made.damage:
        for block in damage.blocks:
            made.bad[block.place] = block.block_id
            if block.block_id:
                lost = made.wanted.setdefault(block.block_id, [])
                if block.place not in lost:
                    lost.append(block.place)
    return made
