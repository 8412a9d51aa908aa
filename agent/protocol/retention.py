"""The job of a retention."""

from __future__ import annotations

from dataclasses import dataclass

from agent.protocol.message import Message
from agent.protocol.places import RepositoryRef, ResourceRef


@dataclass(frozen=True, kw_only=True)
class RetentionJob(Message):
    """Job `ec2-retention`: delete the restore points of one resource that are `due`, then collect garbage.

    Times in seconds: `grace` is how long garbage stays marked before it is deleted, `locked` how long the bucket's
    Object Lock keeps what was written (0: it has none), `rest` how long ago the last collection of the repository must
    have ended, whoever's it was. `ended_workers` are instances that are terminated: what they held in the repository is
    free.
    """

    repository: RepositoryRef
    source: ResourceRef
    due: tuple[str, ...]
    grace: int
    locked: int = 0
    rest: int = 0
    ended_workers: tuple[str, ...] = ()
