"""The peer: the same shape in raw Celery. Four steps that do nothing, a chain for each resource, a chord over all.

It has our settings for the broker, so what differs is what we add: the ledger, claims and ids that can be computed.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import redis
from celery import Celery, chain, chord

from config.celeryconfig import celery_settings

#: The list to which the callback pushes the session's id.
DONE = "benchmark.done"

URL = os.environ["DAYWORK_BROKER_URL"]

app = Celery("raw")
app.conf.update(
    celery_settings(
        broker_url=URL,
        result_url=URL,
        watch_every=timedelta(minutes=1),
        reconcile_every=timedelta(minutes=1),
        sweep_every=timedelta(minutes=1),
        backup_every=timedelta(minutes=1),
    )
)
app.conf.beat_schedule = {}


@app.task(name="worker.assume_role", shared=False)
def assume_role(session: str, ordinal: int, attempt: int) -> str:
    """Do nothing."""
    del session, ordinal, attempt
    return "done"


@app.task(name="worker.launch", shared=False)
def launch(session: str, ordinal: int, attempt: int) -> str:
    """Do nothing."""
    del session, ordinal, attempt
    return "done"


@app.task(name="worker.run_job", shared=False)
def run_job(session: str, ordinal: int, attempt: int) -> str:
    """Do nothing."""
    del session, ordinal, attempt
    return "done"


@app.task(name="worker.teardown", shared=False)
def teardown(session: str, ordinal: int, attempt: int) -> str:
    """Do nothing."""
    del session, ordinal, attempt
    return "done"


@app.task(name="session.release", shared=False)
def release(session: str) -> str:
    """Tell the benchmark that the chord has called back."""
    client = redis.Redis.from_url(URL)
    client.lpush(DONE, session)
    client.close()
    return "done"


@app.task(name="worker.wait", bind=True, shared=False, max_retries=None)
def wait(self: Any, session: str, ordinal: int) -> str:
    """Wait as Celery lets a task wait: it is held by the Celery worker until it is due again."""
    del session, ordinal
    raise self.retry(countdown=3600)


def publish(session: str, count: int) -> Any:
    """Publish a session over `count` resources."""
    steps = (assume_role, launch, run_job, teardown)
    header = [chain(*(step.si(session, ordinal, 1) for step in steps)) for ordinal in range(count)]
    return chord(header)(release.si(session))
