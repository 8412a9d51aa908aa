"""Many agents write to one repository at once: what they have in common is safe, and each point restores."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from support.block_devices import Content, FakeEbs, block
from support.data_jobs import RESOURCE, Bench, volume
from support.repositories import FakeKeys, Watched

from agent.protocol import ResourceRef

_TOGETHER = 4


def test_agents_that_store_the_same_blocks_at_once_do_not_harm_each_other() -> None:
    """They make the repository together, too: one of them makes it, the others find it."""
    objects, keys, start = Watched(), FakeKeys(), Barrier(_TOGETHER)
    common: Content = {index: block("noise", index) for index in range(40)}
    own = {number: {**common, 100 + number: block("text", number)} for number in range(_TOGETHER)}
    benches = [
        Bench(
            objects=objects,
            keys=keys,
            ebs=FakeEbs({"snap-1": own[number]}),
            worker=f"i-{number}",
            resource=ResourceRef(account=RESOURCE.account, region=RESOURCE.region, id=f"i-source{number}"),
            checkpoint=0.0,
        )
        for number in range(_TOGETHER)
    ]

    def backup(made: Bench) -> str:
        start.wait()
        return made.backup("rp-1", volume("snap-1")).outcome

    with ThreadPoolExecutor(_TOGETHER) as pool:
        outcomes = list(pool.map(backup, benches))

    assert outcomes == ["success"] * _TOGETHER
    for number, made in enumerate(benches):
        assert made.restored("rp-1") == own[number]
    later = Bench(
        objects=objects,
        keys=keys,
        ebs=FakeEbs({"snap-1": dict(common)}),
        resource=ResourceRef(account=RESOURCE.account, region=RESOURCE.region, id="i-later"),
    )
    assert later.backup("rp-1", volume("snap-1")).detail["blocksStored"] == 0
    assert later.restored("rp-1") == common
