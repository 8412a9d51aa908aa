"""`python -m agent`: live one worker's life on the instance this runs on. SIGTERM asks it to end."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agent.version import VERSION

if TYPE_CHECKING:
    from agent.jobrun import Jobs


_FAILED: Final = 70
#: Named by the embedded cloud, which has directories in place of mount targets. A real worker mounts.
_FILE_SYSTEMS: Final = "DAYWORK_FILE_SYSTEMS"


def main(arguments: Sequence[str] | None = None, *, jobs: Jobs | None = None) -> int:
    """Run the agent with the jobs it knows; return its exit status."""
    parser = argparse.ArgumentParser(prog="agent", description="Daywork's agent: the program on a worker.")
    parser.add_argument("--version", action="version", version=f"daywork-agent {VERSION}")
    parser.parse_args(arguments)
    _log_plainly()

    from agent.channel import AwsChannel
    from agent.clock import Event, Mailbox, SystemClock
    from agent.imds import Metadata, endpoint
    from agent.runner import Means, Runner
    from agent.session import worker_session

    if jobs is None:
        from agent.jobs import JOBS

        jobs = JOBS
    mailbox = Mailbox()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: mailbox.put(Event.TOLD_TO_END))
    metadata = Metadata(endpoint(os.environ))
    session = worker_session(metadata.credentials)
    means = Means(
        machine=metadata,
        connect=lambda boot: AwsChannel(session, boot),
        jobs=jobs,
        session=session,
        clock=SystemClock(),
        mailbox=mailbox,
        version=VERSION,
        endpoint_url=os.environ.get("AWS_ENDPOINT_URL"),
        file_systems=Path(given) if (given := os.environ.get(_FILE_SYSTEMS)) else None,
    )
    return Runner(means).live()


def _log_plainly() -> None:
    """Log to stderr, one plain line an event, times in UTC."""
    form = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    form.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(form)
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for library in ("botocore", "urllib3"):
        logging.getLogger(library).setLevel(logging.ERROR)


def run() -> None:
    """Run the agent and end the process at once, whatever threads a job has left behind."""
    try:
        status = main()
    except Exception as error:  # noqa: BLE001 - the last line of defence: the console says where, without secrets
        from agent.jobrun import where

        logging.getLogger("agent").error("the agent failed: %s", where(error))  # noqa: TRY400
        status = _FAILED
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    run()
