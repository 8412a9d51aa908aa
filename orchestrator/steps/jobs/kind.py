"""What makes one operation's job different from another's, for the steps that all of them share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ulid import ULID

from agent.protocol import JobName, JobResult, Message, RepositoryRef
from orchestrator.ledger import workers
from orchestrator.model.work import Outcome
from orchestrator.policies import Use
from orchestrator.services import Services
from orchestrator.steps.view import View, repository

#: Calls for blocks a second that AWS allows an account by default, and the least that is worth beginning with.
_BLOCKS = 1000
_LEAST_BLOCKS = 10
#: Bytes of an ULID that are a time, and those that are chance.
_TIME, _CHANCE = 6, 10


@dataclass(frozen=True, kw_only=True)
class Rights:
    """What the session's temporary role lets the workers of a job do.

    - `use`: of the repository, when it is in the backup account; elsewhere the registry's roles say it.
    - `has_blocks`: reads and writes blocks of the session's snapshots in the backup account itself.
    - `gives_files`: writes restored files into a folder of its own in the control bucket.
    - `compares`: may ask which blocks have changed since a snapshot of an earlier backup there.
    - `archives`: writes to the archive repository too.
    """

    use: Use = Use.WRITE
    has_blocks: bool = True
    compares: bool = False
    gives_files: bool = False
    archives: bool = False


@dataclass(frozen=True, kw_only=True)
class Job:
    """One operation's job. Every function may be called again after a death and goes on from where it was.

    - `name`: as the agent knows it.
    - `prepare`: makes what the worker will read or fill, before a worker is launched. Answers None when it is ready,
      else what the step has to answer.
    - `order`: returns the job's message; asking again returns the same one.
    - `finish`: does, after a result that is no failure, what only the control plane may do. May park.
    - `rights`: what the temporary role of its sessions may do.
    - `mounts`: its worker mounts a file system and reads all of it, which root alone can.
    - `leaves_taken_chains`: does nothing for a resource whose chain another session holds, instead of waiting for it.
    """

    name: JobName
    prepare: Callable[[Services, View], Outcome | None]
    order: Callable[[Services, View], Message]
    finish: Callable[[Services, View, JobResult], Outcome]
    rights: Rights = Rights()
    mounts: bool = False
    leaves_taken_chains: bool = False


def repository_ref(services: Services, view: View) -> RepositoryRef:
    """Return where the resource's restore point is, for the worker: in the session's repository or in its archive."""
    kept = repository(services, view)
    url = view.plan.details["archived"]["url"] if "archived" in view.plan.details else kept.url
    return RepositoryRef(url=url, region=kept.region, kms_key=kept.key.kms, role_arn=view.plan.repository_role)


def own_id(view: View) -> ULID:
    """Return an id that follows from session and resource: the same for every attempt, sorted as sessions are."""
    session = view.session
    chance = hashlib.sha256(f"{session.id}/{view.held.key.ordinal}".encode()).digest()[:_CHANCE]
    moment = int(session.created_at.timestamp() * 1000).to_bytes(_TIME, "big")
    return ULID(moment + chance)


def block_share(services: Services, view: View) -> int:
    """Return with how many blocks a second a worker begins: its share of what AWS allows the account, by default.

    All workers that stand where this one does are taken to read blocks. The agents themselves find out what is true.
    """
    place = view.plan.worker.access
    with services.ledger.read() as tx:
        beside = workers.count_alive(tx, place.account, place.region)
    return max(_LEAST_BLOCKS, _BLOCKS // max(1, beside))


def outcome(result: JobResult, detail: dict[str, Any], total: int) -> dict[str, Any]:
    """Return what a finished resource remembers of its job: `total` is its amount of work."""
    return {
        "outcome": result.outcome,
        "result": detail,
        "reason": result.reason,
        "remedy": result.remedy,
        "done": total,
        "total": total,
    }
