"""Images as areas: the volumes of a restore point, or the one of a snapshot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from agent.ebs import Ebs
from agent.files.areas import Area
from agent.files.blocks import BlockSource, RepositoryBlocks, SnapshotBlocks
from agent.files.errors import NotThere
from agent.repository.head import Head
from agent.repository.layout import Chain
from agent.repository.repository import Repository


def _nothing() -> None:
    """Check nothing."""


def volumes_of_point(
    repository: Repository,
    chain: Chain,
    head: Head,
    volumes: Sequence[str] = (),
    check: Callable[[], None] = _nothing,
) -> list[Area]:
    """Return volumes of a restore point (none named: all). Raises `NotThere` naming one that it does not hold."""
    known = {one.volume_id: one for one in head.volumes}
    for one in volumes:
        if one not in known:
            raise NotThere(f"restore point {head.point} holds no volume {one}", f"It holds {', '.join(known)}")
    chosen = [known[one] for one in dict.fromkeys(volumes)] or list(head.volumes)
    return [
        Area(
            one.volume_id,
            BlockSource(RepositoryBlocks(repository, chain, one), one.size_bytes, check),
            (one.volume_id,),
        )
        for one in chosen
    ]


def volume_of_snapshot(
    ebs: Ebs, snapshot: str, volume: str, pool: ThreadPoolExecutor, check: Callable[[], None] = _nothing
) -> Area:
    """Return the volume of a completed snapshot; `pool` reads several blocks at once. Raises `EbsError`s."""
    blocks = SnapshotBlocks(ebs, snapshot, pool)
    return Area(volume, BlockSource(blocks, blocks.size, check), (volume,))
