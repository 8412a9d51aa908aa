"""Where each kind of object stands: every key of a repository is made here and nowhere else."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from agent.repository.errors import RepositoryError

REPOSITORY: Final = "repo.json"
KEYS: Final = "keys"
POINTS: Final = "rp"
INDEX: Final = "index"
MARKS: Final = "gc"
FORWARDS: Final = "forward"
LEASES: Final = "lease"
MAPS: Final = "map"
PACKS: Final = "packs"
DAMAGE: Final = "damage"
#: Heads and parts of indexes of file systems (`agent.index`).
INDEXES: Final = "idx"
CATALOGUES: Final = "catalogue"
#: Which installation the repository belongs to.
OWNER: Final = "owner.json"

#: A pack id: the 4 bytes of the data key's id, then 16 random bytes. Never used again, also not for equal content.
PACK_ID: Final = 20
KEY_ID: Final = 4

_OF_CHAIN: Final = 5
_PART: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,254}\Z")


@dataclass(frozen=True, kw_only=True)
class Chain:
    """The restore points of one resource: account, Region and id of what is backed up."""

    account: str
    region: str
    resource: str

    def __post_init__(self) -> None:
        """Refuse what cannot be part of a key. Raises `RepositoryError`."""
        for name in ("account", "region", "resource"):
            value = getattr(self, name)
            if not _PART.match(value):
                raise RepositoryError(
                    f"{name} {value!r} cannot be part of an object's key",
                    "Use letters, digits, dot, underscore, colon and hyphen only",
                )

    @property
    def path(self) -> str:
        """The part of a key that names the chain."""
        return f"{self.account}/{self.region}/{self.resource}"


def time_id(clock: Callable[[], float] = time.time) -> str:
    """Return a new name that sorts by time: 12 hex digits of milliseconds, 20 of chance."""
    return f"{int(clock() * 1000):012x}{secrets.token_hex(10)}"


def pack_key(pack_id: bytes) -> str:
    """Return the key of a pack; the first random byte spreads packs over 256 prefixes."""
    return f"{PACKS}/{pack_id[KEY_ID]:02x}/{pack_id.hex()}"


def wrap_key(key_id: bytes, wrap: str) -> str:
    """Return the key of one wrapping of a data key."""
    return f"{KEYS}/{key_id.hex()}/{wrap}"


def index_prefix(chain: Chain) -> str:
    """Return the prefix of the index segments that a chain's writers wrote."""
    return f"{INDEX}/{chain.path}"


def index_key(chain: Chain, name: str) -> str:
    """Return the key of an index segment."""
    return f"{index_prefix(chain)}/{name}"


def map_prefix(chain: Chain) -> str:
    """Return the prefix of a chain's map objects."""
    return f"{MAPS}/{chain.path}"


def map_key(chain: Chain, name: str) -> str:
    """Return the key of an object that holds map segments of a chain."""
    return f"{map_prefix(chain)}/{name}"


def point_prefix(chain: Chain) -> str:
    """Return the prefix of a chain's restore point heads."""
    return f"{POINTS}/{chain.path}"


def point_key(chain: Chain, point: str) -> str:
    """Return the key of a restore point's head. Raises `RepositoryError` for an id that cannot be part of a key."""
    if not _PART.match(point):
        raise RepositoryError(f"restore point {point!r} cannot be part of an object's key")
    return f"{point_prefix(chain)}/{point}"


def damage_key(chain: Chain, point: str) -> str:
    """Return the key under which it stands what a health check has found of a restore point."""
    return f"{DAMAGE}/{chain.path}/{point}"


def index_head_key(chain: Chain, index: str) -> str:
    """Return the key of an index's head. Raises `RepositoryError` for an id that cannot be part of a key."""
    if not _PART.match(index):
        raise RepositoryError(f"index {index!r} cannot be part of an object's key")
    return f"{INDEXES}/{chain.path}/{index}"


def catalogue_key(chain: Chain, name: str) -> str:
    """Return the key of a part of a file system's indexes."""
    return f"{CATALOGUES}/{chain.path}/{name}"


def chain_of(key: str) -> Chain:
    """Return the chain that a key of an index segment, map, head, lease or finding names. Raises `RepositoryError`."""
    parts = key.split("/")
    if len(parts) != _OF_CHAIN:
        raise RepositoryError(f"{key} is not where this program puts objects", "Remove it if you know what it is")
    return Chain(account=parts[1], region=parts[2], resource=parts[3])


def lease_prefix(chain: Chain) -> str:
    """Return the prefix of a chain's leases."""
    return f"{LEASES}/{chain.path}"


def lease_key(chain: Chain, fence: int) -> str:
    """Return the key of a lease; keys sort as the fencing numbers do."""
    return f"{lease_prefix(chain)}/{fence:012d}"
