"""The DBOS peer: a parent workflow enqueues one child workflow of four steps for each resource, then releases.

Runs in DBOS's own environment. It is told what to do on stdin, a JSON line each, and answers in lines on stdout:
`{"run": name, "count": n, "world": folder or null, "pause": seconds}` starts a session, `{"wait": name}` waits for its
end, also when an earlier life of this program started it: DBOS has resumed it by itself.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from dbos import DBOS, DBOSConfig, SetWorkflowID

from benchmarks.world import STEPS, World

_QUEUE = "resources"


@DBOS.step()
def act(step: str, ordinal: int, world: str | None, pause: float) -> str:
    """Carry a step out."""
    if world is not None:
        World(Path(world), pause).act(step, ordinal)
    return "done"


@DBOS.step()
def release(session: str) -> str:
    """Do nothing, once all resources are done."""
    return session


@DBOS.workflow()
def one_resource(ordinal: int, world: str | None, pause: float) -> str:
    """Take one resource through its four steps."""
    for step in STEPS:
        act(step, ordinal, world, pause)
    return "done"


@DBOS.workflow()
def whole_session(session: str, count: int, world: str | None, pause: float, poll: float) -> str:
    """Enqueue all resources, wait for them, release."""
    handles = [DBOS.enqueue_workflow(_QUEUE, one_resource, ordinal, world, pause) for ordinal in range(count)]
    for handle in handles:
        handle.get_result(polling_interval_sec=poll)
    return release(session)


def _answer(**words: Any) -> None:
    print(json.dumps(words), flush=True)


def main() -> None:
    """Serve what stdin asks for: arguments are the database's URL, workflows at once, and the poll in seconds."""
    url, concurrency, poll = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": url,
        "application_version": "1",
        "log_level": "WARNING",
        "notification_listener_polling_interval_sec": poll,
    }
    DBOS(config=config)
    DBOS.launch()
    DBOS.register_queue(_QUEUE, worker_concurrency=concurrency, polling_interval_sec=poll)
    _answer(ready=True)
    for line in sys.stdin:
        order = json.loads(line)
        if "run" in order:
            session = order["run"]
            with SetWorkflowID(session):
                DBOS.start_workflow(whole_session, session, order["count"], order["world"], order["pause"], poll)
            _answer(started=session)
        else:
            DBOS.retrieve_workflow(order["wait"]).get_result(polling_interval_sec=poll)
            _answer(ended=order["wait"])
    DBOS.destroy()


if __name__ == "__main__":
    main()
