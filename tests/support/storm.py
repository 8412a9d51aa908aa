"""A storm: which process is killed or which call of AWS fails, and after how many events of the ledger.

The whole of it follows from a seed, so a storm that has shown a mistake can be raised again. What it hits does not
quite follow from it: that depends on what runs at that moment, as it does in life.

An event is a line of a session's log or the end of a step: things that happen in about the same order in every run.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from random import Random
from types import MappingProxyType
from typing import Any, Final

#: Kills, and how many of each there are in a storm.
KILLS: Final = MappingProxyType(
    {
        "pool child": 3,
        "celery-worker": 1,
        "everything of Celery": 1,
        "beat": 1,
        "listener": 1,
        "intake": 1,
        "broker with its data": 1,
        "broker without its data": 1,
        "agent": 2,
        "instance": 1,
    }
)

#: What a long storm has besides: those that hang are found by time limits and missed heartbeats, which takes a minute.
MORE_KILLS: Final = MappingProxyType(
    {
        "celery-worker with its children": 1,
        "celery-periodic": 1,
        "hung pool child": 1,
        "listener": 1,
        "agent": 1,
        "hung agent": 1,
    }
)

#: What may happen to calls of AWS, each rule for so many calls; of these a storm draws some.
FAULTS: Final[tuple[dict[str, Any], ...]] = (
    {"operation": "ec2:RunInstances", "kind": "reset-after", "times": 1},
    {"operation": "ec2:RunInstances", "kind": "reset", "times": 1},
    {"operation": "ec2:RunInstances", "kind": "latency", "seconds": 2, "times": 2},
    {"operation": "ec2:RunInstances", "kind": "error", "code": "InsufficientInstanceCapacity", "times": 1},
    {"operation": "ec2:CreateSnapshots", "kind": "reset-after", "times": 2},
    {"operation": "ec2:CreateSnapshots", "kind": "reset", "times": 1},
    {"operation": "ec2:CreateVolume", "kind": "reset-after", "times": 2},
    {"operation": "ec2:TerminateInstances", "kind": "reset-after", "times": 2},
    {"operation": "ec2:TerminateInstances", "kind": "reset", "times": 2},
    {"operation": "ec2:DeleteSnapshot", "kind": "reset-after", "times": 3},
    {"operation": "ec2:Describe*", "kind": "reset", "times": 4},
    {"operation": "ec2:*", "kind": "throttle", "rate": 1, "burst": 1, "times": 8},
    {"operation": "iam:*", "kind": "reset-after", "times": 3},
    {"operation": "iam:*", "kind": "reset", "times": 3},
    {"operation": "iam:*", "kind": "throttle", "rate": 1, "burst": 1, "times": 4},
    {"operation": "sts:*", "kind": "reset", "times": 3},
    {"operation": "sts:*", "kind": "throttle", "rate": 1, "burst": 1, "times": 4},
    {"operation": "s3:*", "kind": "reset", "times": 5},
    {"operation": "s3:*", "kind": "reset-after", "times": 5},
    {"operation": "s3:*", "kind": "throttle", "rate": 1, "burst": 1, "times": 6},
    {"operation": "sqs:*", "kind": "reset-after", "times": 4},
    {"operation": "sqs:*", "kind": "reset", "times": 4},
    {"operation": "ebs:*", "kind": "reset-after", "times": 4},
    {"operation": "ebs:*", "kind": "throttle", "rate": 1, "burst": 1, "times": 6},
    {"operation": "kms:*", "kind": "reset", "times": 3},
    {"operation": "*", "kind": "latency", "seconds": 1, "times": 10},
    {"operation": "*", "kind": "error", "code": "InternalError", "status": 500, "times": 5},
)


@dataclass(frozen=True, kw_only=True)
class Blow:
    """What happens once the ledger has seen `after` events. `choice`, from 0 to 1, draws the victim."""

    after: int
    kill: str | None = None
    fault: dict[str, Any] | None = None
    choice: float = 0.0

    def __str__(self) -> str:
        """One line for a person."""
        fault = self.fault or {}
        told = self.kill or " ".join(str(value) for value in fault.values())
        return f"after {self.after} events: {told}"


def storm(random: Random, *, events: int, faults: int, rounds: int = 1) -> list[Blow]:
    """Return the blows in their order: `rounds` times all `KILLS` and so many `FAULTS`, over `events` events.

    More than one round has `MORE_KILLS` as well.
    """
    counts = Counter(KILLS) + (Counter(MORE_KILLS) if rounds > 1 else Counter())
    kills = [kill for kill, count in counts.items() for _ in range(count * rounds)]
    blows = [Blow(after=random.randrange(1, events), kill=kill, choice=random.random()) for kill in kills]
    blows += [Blow(after=random.randrange(events), fault=dict(random.choice(FAULTS))) for _ in range(faults)]
    return sorted(blows, key=lambda blow: blow.after)
