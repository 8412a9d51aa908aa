"""The app of the recovery benchmark: plain steps that act in the benchmark's world.

`python -m benchmarks.recovery_app` is its Celery worker, started as `daywork run` starts the product's.
"""

from __future__ import annotations

import os
from pathlib import Path

from support.plain import STEPS as PLAIN, plain_services

from benchmarks.world import World
from config.celeryconfig import QUEUES
from config.settings import load_settings
from orchestrator.model.status import RESOURCE_STEPS, Step
from orchestrator.model.work import Claim, Outcome
from orchestrator.services import Services
from orchestrator.steps.carry import StepFunction
from tasks.app import make_app

_WORLDS = Path(os.environ["BENCH_WORLDS"])
_PAUSE = float(os.environ["BENCH_PAUSE"])


def _acting(step: Step) -> StepFunction:
    def act(services: Services, held: Claim) -> Outcome:
        World(_WORLDS / held.key.session, _PAUSE).act(str(step), held.key.ordinal)
        return PLAIN[step](services, held)

    return act


STEPS = PLAIN | {step: _acting(step) for step in RESOURCE_STEPS}

app = make_app(load_settings(), steps=STEPS, services=plain_services)

#: Steps at once.
AT_ONCE = 4


def main() -> None:
    """Be a Celery worker."""
    app.Worker(
        hostname="bench@localhost",
        queues=list(QUEUES),
        concurrency=AT_ONCE,
        task_events=True,
        without_gossip=True,
        without_mingle=True,
        loglevel="WARNING",
        quiet=True,
    ).start()


if __name__ == "__main__":
    main()
