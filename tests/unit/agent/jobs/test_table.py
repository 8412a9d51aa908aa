"""The table of jobs is complete, and costs nothing until a job is done."""

from __future__ import annotations

import subprocess
import sys

from agent.jobs import JOBS
from agent.protocol import JOB_MESSAGES


def test_every_job_that_can_be_ordered_can_be_done() -> None:
    """Names are those of the orders."""
    assert JOBS.keys() == JOB_MESSAGES.keys()


def test_waiting_for_an_order_needs_no_heavy_library() -> None:
    """They are imported with the job's own module."""
    heavy = ("numpy", "obstore", "zstandard", "cryptography", "msgpack", "botocore", "urllib3")
    program = f"import sys, agent.jobs; print([name for name in {heavy!r} if name in sys.modules])"

    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert said.strip() == "[]"
