"""The agent as it is, with one tiny job in place of its own: what it does is written in the order's configuration.

`{"do": "finish"}` succeeds at once and says so in its detail; `{"do": "wait"}` works until it is asked to stop;
`{"do": "stick"}` never stops; `{"do": "break"}` fails in a way nobody foresaw; `{"do": "refuse"}` raises `JobFailed`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import MappingProxyType

from agent.__main__ import main as agent_main
from agent.jobs.context import JobContext, JobFailed, JobStopped
from agent.protocol import BackupJob, JobResult

#: A secret that must not be found anywhere outside the agent's memory.
CANARY = "canary-2f9d41c7"


def _finish(context: JobContext, job: BackupJob) -> JobResult:
    context.progress(5, 5)
    return JobResult(outcome="success", detail={"restorePoint": job.restore_point, "worker": context.worker_id})


def _wait(context: JobContext, job: BackupJob) -> JobResult:
    del job
    context.progress(1, 5)
    context.stop.wait()
    raise JobStopped


def _stick(context: JobContext, job: BackupJob) -> JobResult:
    del context, job
    threading.Event().wait()
    raise AssertionError("nobody sets that flag")


def _break(context: JobContext, job: BackupJob) -> JobResult:
    del context, job
    raise RuntimeError(f"the signature is {CANARY}")


def _refuse(context: JobContext, job: BackupJob) -> JobResult:
    del context
    raise JobFailed(f"{job.restore_point} cannot be written", "Write another one")


_DEEDS: dict[str, Callable[[JobContext, BackupJob], JobResult]] = {
    "finish": _finish,
    "wait": _wait,
    "stick": _stick,
    "break": _break,
    "refuse": _refuse,
}


def tiny_job(context: JobContext, job: BackupJob) -> JobResult:
    """Do what the configuration says."""
    return _DEEDS[job.configuration["do"]](context, job)


TINY_JOBS = MappingProxyType({"ec2-backup": tiny_job})


def main() -> int:
    """Live as an agent that knows the tiny job alone."""
    return agent_main(jobs=TINY_JOBS)
