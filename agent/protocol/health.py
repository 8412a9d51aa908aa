"""The job of a health check."""

from __future__ import annotations

from dataclasses import dataclass

from agent.protocol.message import Message
from agent.protocol.places import RepositoryRef, ResourceRef


@dataclass(frozen=True, kw_only=True)
class HealthCheckJob(Message):
    """Job `ec2-health-check`: verify one restore point of `source` and write down beside it what is wrong.

    `sample` is how many percent of the packs are read; of the others it is only made sure that they are there.
    """

    repository: RepositoryRef
    source: ResourceRef
    restore_point: str
    sample: int = 100
