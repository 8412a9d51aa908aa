"""The steps, in the order in which a session walks them.

    start -> for each resource: assume_role -> launch_worker -> run_job -> teardown -> release

A step is a function of the services and its claim. It looks at the ledger and the cloud, makes what is missing, and
answers Done, Park, Failed, Stopped, Skipped or Again (`orchestrator.model.work`). When a parked step is woken, the same
function runs again from its top. `carry` claims, calls and settles.
"""

from __future__ import annotations

from types import MappingProxyType

from orchestrator.model.status import Step
from orchestrator.steps.assume_role import assume_role
from orchestrator.steps.launch_worker import launch_worker
from orchestrator.steps.release import release
from orchestrator.steps.run_job import run_job
from orchestrator.steps.start import start
from orchestrator.steps.teardown import teardown

STEPS = MappingProxyType(
    {
        Step.START: start,
        Step.ASSUME_ROLE: assume_role,
        Step.LAUNCH_WORKER: launch_worker,
        Step.RUN_JOB: run_job,
        Step.TEARDOWN: teardown,
        Step.RELEASE: release,
    }
)
