"""One job of the agent in a process of its own, so that its processor time and memory can be told apart.

python -m benchmarks.data.agent < JOB      where JOB is {"name", "job", "rate"}; prints the result as JSON
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from functools import partial
from threading import Event

from botocore.session import Session

from agent.jobs.context import JobContext
from agent.jobs.opening import Means, blocks_of
from agent.protocol import JOB_MESSAGES


def main() -> None:
    """Do the job that standard input names."""
    order = json.load(sys.stdin)
    name = order["name"]
    module = importlib.import_module(f"agent.jobs.{name.replace('-', '_')}")
    job = JOB_MESSAGES[name].from_dict(order["job"])
    context = JobContext(
        session=Session(),
        worker_id="i-bench",
        stop=Event(),
        progress=lambda _done, _total: None,
        install="bench",
        for_session="s-bench",
    )
    more = {}
    if "means" in inspect.signature(module.run).parameters:
        more["means"] = Means(blocks=partial(blocks_of, rate=order["rate"]))
    result = module.run(context, job, **more)
    print(json.dumps(result.to_dict()))


if __name__ == "__main__":
    main()
