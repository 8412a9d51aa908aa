"""The block service: its parts wired to one part of the embedded cloud."""

from __future__ import annotations

import time
from pathlib import Path

from localcloud.blocks import amis, moto_volumes
from localcloud.blocks.direct import DirectApi
from localcloud.blocks.ec2 import Ec2Volumes
from localcloud.blocks.life import Clock
from localcloud.blocks.pages import VolumePages
from localcloud.blocks.rates import Rates
from localcloud.blocks.starting import Starting
from localcloud.blocks.store import Store
from localcloud.blocks.tokens import BlockTokens
from localcloud.blocks.watching import Watching
from localcloud.call import Call, Reply
from localcloud.settings import Settings


class Blocks:
    """Bytes of volumes and snapshots, the EBS direct API, and EC2's part in them (a `Plugin`).

    `pages` serves `/_sim/volumes/`, and offers the same to callers in this process.
    """

    def __init__(self, directory: Path, settings: Settings, clock: Clock = time.time) -> None:
        self.store = Store(directory)
        self.pages = VolumePages(self.store)
        self._watching = Watching(self.store, settings, clock)
        self._direct = DirectApi(
            self.store, Starting(self.store, settings, clock), BlockTokens(clock), Rates(settings.block_rate, clock)
        )
        self._ec2 = Ec2Volumes()

    def start(self) -> None:
        """Keep bytes beside moto's volumes and snapshots from now on; moto must be empty."""
        moto_volumes.install()
        amis.install()
        self.store.clear()
        moto_volumes.watch(self._watching)

    def stop(self) -> None:
        """Let go of moto, and of all bytes."""
        moto_volumes.watch(None)
        self.store.clear()

    def before(self, call: Call) -> Reply | None:
        """Answer calls of the EBS direct API and some of EC2. Raises `AwsError`."""
        if call.service == "ebs":
            return self._direct.answer(call)
        return self._ec2.before(call) if call.service == "ec2" else None

    def after(self, call: Call, reply: Reply) -> Reply:
        """Complete what moto has made."""
        return self._ec2.after(call, reply) if call.service == "ec2" else reply
