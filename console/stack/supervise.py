"""The supervisor as a process of its own, as `daywork up --detach` starts it.

    python -m console.stack.supervise DIRECTORY FD

The plan comes on stdin. What becomes of the start is told as one JSON line on the file descriptor named.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from config import logging
from console.stack.layout import Layout
from console.stack.plan import Plan
from console.stack.record import Record
from console.stack.supervisor import NotStarted, Supervisor


def main() -> int:
    """Supervise until a signal."""
    layout = Layout(Path(sys.argv[1]))
    plan = Plan.from_json(sys.stdin.read())
    logging.set_up()
    log_path = supervisor_log(layout)
    supervisor = Supervisor(layout, plan, log_path=log_path)
    with os.fdopen(int(sys.argv[2]), "w") as pipe:

        def on_ready(_: Record) -> None:
            pipe.write(json.dumps({"unfinished": supervisor.unfinished}) + "\n")
            pipe.close()

        try:
            supervisor.run(on_ready)
        except NotStarted as error:
            pipe.write(json.dumps({"error": str(error)}) + "\n")
            return 1
    return 0


def supervisor_log(layout: Layout) -> Path:
    """Return the file that a detached supervisor writes to."""
    return layout.logs / "supervisor.log"


if __name__ == "__main__":
    raise SystemExit(main())
