"""What a worker must know of those that had its chain in the repository before."""

from __future__ import annotations

from orchestrator.ledger import workers
from orchestrator.model.work import WorkKey
from orchestrator.services import Services
from orchestrator.steps.view import View


def ended_workers(services: Services, view: View) -> tuple[str, ...]:
    """Return the workers that may have left the repository's chain locked and are terminated.

    Another attempt begins when the worker of the one before is; whoever had the chain before gave it back when its own
    were, unless AWS would not end them.
    """
    state = view.resource.state
    ended = [one["instanceId"] for one in state.get("earlier", []) if "instanceId" in one]
    if (before := state.get("chainBefore")) is not None:
        session, _, ordinal = before.partition("/")
        with services.ledger.read() as tx:
            theirs = workers.of_unit(tx, WorkKey(session, int(ordinal)))
        ended += [one.instance_id for one in theirs if one.state == workers.TERMINATED]
    return tuple(ended)
