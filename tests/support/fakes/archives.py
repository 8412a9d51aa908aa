"""Archived packs on a `World` (`orchestrator.ports.ArchiveStore`): asleep until somebody asks for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from agent.protocol import ArchiveJob
from orchestrator.model.plan import Access
from orchestrator.ports import PackState, PackView
from support.fakes.world import World


@dataclass(kw_only=True)
class FakePack:
    """A pack; it was asked for at `asked_at` and is readable for `days` from when it came."""

    folder: str
    owner: str
    key: str
    size: int = 1000
    asked_at: datetime | None = None
    days: int = 0


#: Packs of each volume that the fake agent writes.
PACKS = 3


def archived(world: World, job: ArchiveJob, volumes: Sequence[str]) -> dict[str, Any]:
    """Do an archive job over these volumes; return its figures."""
    held, found = world.archives.setdefault(job.archive.url, []), {}
    for volume in volumes:
        owner = f"{len(held):016x}"
        held += [FakePack(folder="packs/ab", owner=owner, key=f"packs/ab/{owner}-{n}") for n in range(PACKS)]
        found[volume] = {"folder": "packs/ab", "owner": owner, "count": PACKS, "bytes": 1000 * PACKS}
    return {
        "restorePoint": job.archived_point,
        "kind": "archived",
        "source": job.restore_point,
        "storageClass": job.storage_class,
        "packs": found,
        "bytesRead": 1000,
        "bytesStored": 1000 * PACKS,
    }


class FakeArchive:
    """What whoever may list and ask for packs sees of one archive."""

    def __init__(self, world: World, access: Access, url: str, assume: Any) -> None:
        """Take the world and who looks at it; `assume` refuses as STS does."""
        self._world = world
        self._access = access
        self._packs: list[FakePack] = world.archives.setdefault(url, [])
        self._assume = assume

    def packs(self, folder: str, owner: str) -> list[PackView]:
        """See the port."""
        self._assume(self._access)
        with self._world.script.call("list_packs", self._access.account, self._access.role):
            return [self._view(one) for one in self._packs if (one.folder, one.owner) == (folder, owner)]

    def _view(self, pack: FakePack) -> PackView:
        state, until, now = PackState.ARCHIVED, None, self._world.clock.now()
        if pack.asked_at is not None:
            ready = pack.asked_at + self._world.timing.retrieval
            until = ready + timedelta(days=pack.days)
            if now < ready:
                state, until = PackState.RETRIEVING, None
            elif now < until:
                state = PackState.READABLE
            else:
                until = None
        return PackView(key=pack.key, size=pack.size, state=state, until=until)

    def retrieve(self, keys: Sequence[str], *, tier: str, days: int) -> None:
        """See the port."""
        del tier
        self._assume(self._access)
        with self._world.script.call("retrieve", self._access.account, self._access.role):
            for one in self._packs:
                if one.key in keys:
                    state = self._view(one).state
                    if state is PackState.ARCHIVED:
                        one.asked_at = self._world.clock.now()
                    if state is not PackState.RETRIEVING:
                        one.days = days
