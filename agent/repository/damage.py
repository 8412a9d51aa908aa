"""Damage: what a health check has found wrong with a restore point, beside its head. Heads never change.

A record names every block that cannot be read back, with the place where it stood and its id as far as that is known.
Backups do not use such places again, and when one of them meets such a block it stores it anew and forwards the place.
A record without blocks and objects says that the point is well again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from agent.repository.errors import Damaged, Missing
from agent.repository.forward import Place
from agent.repository.layout import DAMAGE, Chain, chain_of, damage_key
from agent.repository.repository import Repository
from agent.repository.seal import pack_document, seal, unpack_document, unseal

#: Blocks that a record names; of more it only says how many.
MOST: Final = 65_536


@dataclass(frozen=True, kw_only=True)
class BadBlock:
    """A block that cannot be read back: block `index` of a volume, in a slot of a pack. `block_id` may be empty."""

    volume: str
    index: int
    pack: bytes
    slot: int
    block_id: bytes = b""
    reason: str = ""

    @property
    def place(self) -> Place:
        """Where it stood."""
        return self.pack, self.slot


@dataclass(frozen=True, kw_only=True)
class BadObject:
    """An object that is gone or not what was written there."""

    key: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Damage:
    """What is wrong with a point.

    `more` counts blocks beyond those that are named. `is_tried`: a backup has read the whole resource since, so what is
    still lost is not on its volumes any more.
    """

    point: str
    found_at: str
    blocks: tuple[BadBlock, ...] = ()
    objects: tuple[BadObject, ...] = ()
    more: int = 0
    is_tried: bool = False

    @property
    def is_well(self) -> bool:
        """Whether nothing is wrong any more."""
        return not self.blocks and not self.objects and not self.more


def write_damage(repository: Repository, chain: Chain, damage: Damage) -> None:
    """Write the record of a point, in the place of an earlier one."""
    key = damage_key(chain, damage.point)
    key_id, data_key = repository.ring.current()
    sealed = seal(pack_document(asdict(damage)), place=key, key_id=key_id, data_key=data_key)
    repository.objects.put(key, sealed)


def read_damage(repository: Repository, chain: Chain, point: str) -> Damage | None:
    """Return what is known to be wrong with a point, None when it was never found wrong. Raises `Damaged`."""
    key = damage_key(chain, point)
    try:
        return _read(repository, key)
    except Missing:
        return None


def is_damaged(repository: Repository, chain: Chain, point: str) -> bool:
    """Whether a point is known to be damaged; a record that cannot be read counts as one that says so."""
    try:
        found = read_damage(repository, chain, point)
    except Damaged:
        return True
    return found is not None and not found.is_well


def all_damage(repository: Repository) -> Iterator[tuple[Chain, Damage]]:
    """Read the records of all points that are not well; one that cannot be read is left out: it names nothing."""
    for entry in repository.objects.list(DAMAGE):
        try:
            found = _read(repository, entry.key)
        except (Missing, Damaged):
            continue
        if not found.is_well:
            yield chain_of(entry.key), found


def without(damage: Damage, mended: set[Place]) -> Damage:
    """Return the record less the blocks whose places lead somewhere again."""
    return replace(damage, blocks=tuple(one for one in damage.blocks if one.place not in mended))


def _read(repository: Repository, key: str) -> Damage:
    sealed = repository.objects.get(key)
    document = unpack_document(unseal(sealed, place=key, find_key=repository.ring.find), place=key)
    try:
        return Damage(
            point=str(document["point"]),
            found_at=str(document["found_at"]),
            blocks=tuple(BadBlock(**_known(BadBlock, one)) for one in document["blocks"]),
            objects=tuple(BadObject(**_known(BadObject, one)) for one in document["objects"]),
            more=int(document["more"]),
            is_tried=bool(document.get("is_tried", False)),
        )
    except (KeyError, TypeError, ValueError):
        raise Damaged(f"{key} is damaged: it holds no findings") from None


def _known(kind: type[BadBlock | BadObject], document: dict[str, Any]) -> dict[str, Any]:
    return {name: document[name] for name in kind.__dataclass_fields__ if name in document}
