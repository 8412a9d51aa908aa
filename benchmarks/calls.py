"""How many calls of EC2, IAM and STS a session makes, counted by the embedded cloud: a backup, from plan to end.

AWS's rates are on and the product's own adapters call; agents are simulated, so that what is counted is the control
plane's. The calls that a backup needs for each resource whoever makes it are shown apart: CreateSnapshots, and reading
the instance's user data.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path

from support.embedded_stage import embedded_stage
from support.seeded import FIRST, World, seeded_world

_COUNTED = ("ec2:", "iam:", "sts:")
#: What EC2 has no call for several resources for.
_OWN = ("ec2:CreateSnapshots", "ec2:DescribeInstanceAttribute")
_SOURCES_AT_ONCE = 100


def _sources(world: World, count: int) -> list[str]:
    """Launch instances to back up, as their owner."""
    subnet, group = world.network(FIRST)
    ec2, made = world.cloud.admin("ec2", FIRST), []
    for start in range(0, count, _SOURCES_AT_ONCE):
        number = min(_SOURCES_AT_ONCE, count - start)
        answer = ec2.run_instances(
            ImageId="ami-0da0000000000002b",
            InstanceType="t3.small",
            MinCount=number,
            MaxCount=number,
            SubnetId=subnet,
            SecurityGroupIds=[group],
            BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 1, "VolumeType": "gp3"}}],
        )
        made += [one["InstanceId"] for one in answer["Instances"]]
    world.cloud.wait_for_state(FIRST, made[-1], "running")
    return made


def measure(count: int, seconds: float) -> tuple[Counter[str], int, float]:
    """Back up so many instances; return the calls by name, how many were throttled, and how long it took."""
    with (
        tempfile.TemporaryDirectory(prefix="daywork-bench-") as folder,
        seeded_world(Path(folder)) as world,
        embedded_stage(world, speed=1) as stage,
    ):
        sources = _sources(world, count)
        stage.apply(dict(world.seeded.registry))
        world.cloud.sim("PUT", "throttle", {"on": True})
        world.cloud.sim("DELETE", "calls")
        began = time.perf_counter()
        session = stage.submit(sources)
        stage.run(session, seconds=seconds)
        took = time.perf_counter() - began
        if left := stage.left(session):
            raise SystemExit(f"{len(left)} things are left in the cloud: {left[:5]}")
        logged = world.cloud.sim("GET", "calls")[1]["calls"]
        refused = int(world.cloud.sim("GET", "throttle")[1]["refused"])
    names = (str(one["operation"]) for one in logged)
    return Counter(name for name in names if name.startswith(_COUNTED)), refused, took


def main() -> None:
    """Run what the command line asks for and print tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resources", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--seconds", type=float, default=1200)
    given = parser.parse_args()
    print("| resources | time | calls for each | of them the job's own | everything else | throttled |")
    print("|---|---|---|---|---|---|", flush=True)
    for count in given.resources:
        calls, refused, took = measure(count, given.seconds)
        total, own = sum(calls.values()), sum(calls[name] for name in _OWN)
        cells = (count, f"{took:.0f} s", *(f"{one / count:.2f}" for one in (total, own, total - own)), refused)
        print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)
        print(", ".join(f"{name} {number}" for name, number in calls.most_common()), flush=True)


if __name__ == "__main__":
    main()
