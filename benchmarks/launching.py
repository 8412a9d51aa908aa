"""Launching workers side by side: batches within AWS's rates, against one RunInstances for each worker.

Both stand on the embedded cloud with EC2's documented token buckets switched on, in the same account shape and with the
same role. The peer is what careful programs do: a thread pool, one call for each worker, botocore's adaptive retries,
and the call again when those are used up. No snapshot is made and no agent runs: launching alone is measured.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from support.ledgers import under_way
from support.seeded import FIRST, REGION, World, seeded_world
from support.servers import valkey

from orchestrator.aws.cloud import AwsCloud
from orchestrator.bootstrap import SystemClock
from orchestrator.fleet.launches import launch_pending
from orchestrator.ledger import launches
from orchestrator.ledger.migrate import upgrade
from orchestrator.ledger.store import Ledger, make_engine
from orchestrator.limiter import RedisLimiter
from orchestrator.model.work import WorkKey
from orchestrator.services import Services

#: How often `watch` asks for a look at launches that are due (the product's default).
WATCH = 2.0
_THREADS = 8
_TYPE = "c5.large"


@dataclass(frozen=True)
class Run:
    """One launch of so many workers: how long, how many EC2 calls, and how many of them were throttled."""

    contender: str
    workers: int
    seconds: float
    calls: int
    throttled: int


@dataclass
class Later:
    """A dispatch that remembers that a look was asked for: this loop is the only Celery worker here."""

    asked: bool = field(default=False)

    def drive(self, keys: Iterable[WorkKey]) -> None:
        """Steps that would go on; here none follows."""

    def launch(self, account: str, region: str, *, after: timedelta = timedelta()) -> None:
        """See `orchestrator.ports.Dispatch`."""
        del account, region, after
        self.asked = True

    def terminate(self, account: str, region: str, *, after: timedelta = timedelta()) -> None:
        """See `orchestrator.ports.Dispatch`."""


def batched(world: World, directory: Path, count: int) -> None:
    """Launch as the product does, when all requests are there at once: batches within the limiter's rate."""
    _launch_all(world, directory, count, at_once=count)


def as_they_come(world: World, directory: Path, count: int) -> None:
    """Launch as the product does, when steps file 65 requests a second: each look takes what has gathered by then."""
    _launch_all(world, directory, count, at_once=20)


def _launch_all(world: World, directory: Path, count: int, *, at_once: int) -> None:
    engine = make_engine(f"sqlite:///{directory / 'ledger.sqlite3'}")
    upgrade(engine)
    ledger = Ledger(engine, SystemClock())
    with valkey(directory) as (url, _):
        limiter, dispatch = RedisLimiter(url, world.install.id), Later()
        cloud = AwsCloud(install=world.install, external_id=world.external_ids.get, limiter=limiter)
        services = Services(
            ledger=ledger,
            cloud=cloud,
            dispatch=dispatch,
            limiter=limiter,
            clock=ledger.clock,
            install=world.install,
        )
        session, spec, filed = under_way(ledger, count), _spec(world, cloud), 0
        while filed < count or _missing(ledger, count):
            if filed < count:
                with ledger.write() as tx:
                    for ordinal in range(filed, min(count, filed + at_once)):
                        launches.file(tx, WorkKey(session, ordinal), 1, spec)
                filed += at_once
                time.sleep(world.install.gather.total_seconds())
            elif not dispatch.asked:
                time.sleep(WATCH)
            dispatch.asked = False
            launch_pending(services, FIRST, REGION)
    ledger.close()


def _missing(ledger: Ledger, count: int) -> int:
    with ledger.read() as tx:
        return count - sum(launches.busy(tx, FIRST, REGION).values())


def _spec(world: World, cloud: AwsCloud) -> launches.LaunchSpec:
    access, (subnet, group) = world.access(FIRST, "backup"), world.network(FIRST)
    return launches.LaunchSpec(
        access=access,
        instance_types=(_TYPE,),
        image=world.install.worker_image or "",
        subnets=(subnet,),
        security_groups=(group,),
        profile=cloud.roles(access).worker_profile(world.role(FIRST, "worker"))[0],
        user_data="",
        tags={"daywork:install": world.install.id, "daywork:session": "s-bench"},
    )


def one_by_one(world: World, directory: Path, count: int) -> None:
    """Launch as careful programs do."""
    del directory
    spec = _spec(world, world.product)
    keys = world.assume(FIRST, "backup")
    client = world.cloud.client("ec2", keys, retries={"mode": "adaptive", "max_attempts": 10}, max_pool_connections=8)

    def launch(_: int) -> None:
        while True:
            try:
                client.run_instances(**_call(spec))
            except ClientError as error:
                if error.response["Error"]["Code"] != "RequestLimitExceeded":
                    raise
            else:
                return

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(launch, range(count)))


def _call(spec: launches.LaunchSpec) -> dict[str, Any]:
    marks = [{"Key": key, "Value": value} for key, value in spec.tags.items()]
    return {
        "ImageId": spec.image,
        "InstanceType": _TYPE,
        "MinCount": 1,
        "MaxCount": 1,
        "SubnetId": spec.subnets[0],
        "SecurityGroupIds": list(spec.security_groups),
        "IamInstanceProfile": {"Name": spec.profile},
        "MetadataOptions": {"HttpTokens": "required"},
        "TagSpecifications": [
            {"ResourceType": kind, "Tags": marks} for kind in ("instance", "volume", "network-interface")
        ],
    }


CONTENDERS: dict[str, Callable[[World, Path, int], None]] = {
    "batches": batched,
    "batches as they come": as_they_come,
    "one by one": one_by_one,
}


def measure(name: str, count: int) -> Run:
    """Let one contender launch on a cloud of its own."""
    with tempfile.TemporaryDirectory(prefix="daywork-bench-") as folder, seeded_world(Path(folder)) as world:
        world.cloud.sim("PUT", "throttle", {"on": True})
        began = time.perf_counter()
        CONTENDERS[name](world, Path(folder), count)
        seconds = time.perf_counter() - began
        answered = Counter(str(one.get("code") or "") for one in world.cloud.calls("ec2:RunInstances", FIRST))
        throttled = answered["RequestLimitExceeded"]
        made = sum(answered.values())
    return Run(name, count, round(seconds, 2), made, throttled)


def main() -> None:
    """Run what the command line asks for and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1000])
    parser.add_argument("--contenders", nargs="+", choices=list(CONTENDERS), default=list(CONTENDERS))
    given = parser.parse_args()
    print("| contender | workers | time | RunInstances calls | for each worker | throttled |", flush=True)
    print("|---|---|---|---|---|---|", flush=True)
    for count in given.workers:
        for name in given.contenders:
            run = measure(name, count)
            cells = (name, count, f"{run.seconds} s", run.calls, round(run.calls / count, 3), run.throttled)
            print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


if __name__ == "__main__":
    main()
