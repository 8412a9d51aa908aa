"""Daywork with simulated workers: thousands of them, for tests and benchmarks of everything between request and end.

Real: the ledger, Celery with its chord, parking and waking, the listener, watch and reconcile. Simulated: the cloud (it
says that every worker runs) and the agents (`support.simulated_agents`, one process for all), and between them and the
listener a list in Valkey stands for the SQS queue: it hands out ten reports at once, and forgets what it handed out.

Steps make no call of a cloud; they write to the ledger what the product's own write.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import redis
import sqlalchemy as sa

from agent.protocol import Report, format_time
from orchestrator.bootstrap import SystemClock
from orchestrator.fleet import heartbeats
from orchestrator.ledger import schema, sessions, work, workers
from orchestrator.ledger.store import Ledger, make_engine
from orchestrator.model.plan import Access
from orchestrator.model.status import ResourceStatus, Step
from orchestrator.model.work import Claim, Done, Outcome, Park
from orchestrator.ports import InstanceView, ReceivedReport
from orchestrator.services import Install, Services
from support import plain
from support.fakes.limiter import MemoryLimiter

ACCOUNT: Final = "222222222222"
REGION: Final = "eu-west-1"
ROLE: Final = f"arn:aws:iam::{ACCOUNT}:role/DayworkWorkerDeployment"

#: What passes between the steps, the agents and the listener: lists in a database of Valkey of their own.
BORN, ORDERS, REPORTS = "simulated.born", "simulated.orders", "simulated.reports"
#: The agents end their jobs when this is set.
GO: Final = "simulated.go"

INSTALL: Final = Install(
    id="simulated", control_bucket="none", control_region=REGION, report_queue="none", home_account="1" * 12
)


@cache
def _wire(pid: int, url: str) -> redis.Redis:
    del pid  # a connection must not cross a fork
    return redis.Redis.from_url(url)


def wire() -> redis.Redis:
    """Return this process's connection to what passes between the simulated parts."""
    return _wire(os.getpid(), f"{os.environ['DAYWORK_BROKER_URL'].rsplit('/', 1)[0]}/1")


class ListReports:
    """The report queue (`orchestrator.ports.Reports`)."""

    def receive(self, wait_seconds: int) -> list[ReceivedReport]:
        """See the port."""
        taken = wire().lpop(REPORTS, 10) or []
        if not taken and wait_seconds:
            first = wire().blpop([REPORTS], timeout=1)
            taken = [first[1]] if first else []
        reports = [Report.from_json(one) for one in taken]
        return [ReceivedReport(report=one, sender_id=one.user_id, handle="") for one in reports]

    def acknowledge(self, handles: Sequence[str]) -> None:
        """See the port: nothing comes back here."""


class Running:
    """EC2 as `watch` sees it: every worker runs (part of `orchestrator.ports.Compute`)."""

    def __init__(self, access: Access) -> None:
        """Take whose it is."""
        self._access = access

    def workers(self, *, session: str | None = None, ids: Sequence[str] = ()) -> list[InstanceView]:
        """See the port."""
        del session
        place = {"instance_type": "c5.large", "availability_zone": f"{self._access.region}a"}
        return [InstanceView(instance_id=name, state="running", **place) for name in ids]

    def terminate(self, ids: Sequence[str]) -> None:
        """See the port."""


class SimulatedCloud:
    """Where `watch` gets its clients (part of `orchestrator.ports.Cloud`)."""

    def compute(self, access: Access, *, yields: bool = False) -> Running:
        """See the port."""
        del yields
        return Running(access)


def _launch(services: Services, held: Claim) -> Outcome:
    """Have a worker, and wait until its agent has reported."""
    with services.ledger.read() as tx:
        resource = sessions.resource(tx, held.key)
        worker = workers.get(tx, resource.instance_id) if resource.instance_id else None
    if worker is None:
        name = f"i-{secrets.token_hex(8)}0"
        with services.ledger.write() as tx:
            work.hold(tx, held)
            workers.enter(
                tx, instance_id=name, account=ACCOUNT, region=REGION, session=held.key.session,
                ordinal=held.key.ordinal, attempt=held.attempt, role=ROLE, state="running", instance_type="c5.large",
                availability_zone=f"{REGION}a",
            )  # fmt: skip
            sessions.remember(tx, held.key, instance_id=name)
        wire().rpush(BORN, json.dumps([held.key.session, name]))
    elif worker.ready_at is not None:
        return Done()
    return Park("worker", services.clock.now() + INSTALL.deadlines.boot, status=ResourceStatus.BOOTING)


def _run_job(services: Services, held: Claim) -> Outcome:
    """Give the order, and wait for the result."""
    with services.ledger.read() as tx:
        resource = sessions.resource(tx, held.key)
        worker = workers.get(tx, resource.instance_id or "")
    if worker is None:
        raise LookupError("there is no worker to run the job")
    if worker.report is not None:
        return Done()
    now, deadlines = services.clock.now(), INSTALL.deadlines
    if not resource.state:
        with services.ledger.write() as tx:
            work.hold(tx, held)
            sessions.remember(tx, held.key, state={"deadline": format_time(now + deadlines.job)})
            sessions.move_resource(tx, held.key, ResourceStatus.RUNNING)
        wire().rpush(ORDERS, json.dumps([held.key.session, worker.instance_id, held.fence]))
    heard = worker.heard_at or now
    return Park(heartbeats.RESULT, heard + deadlines.heartbeat, status=ResourceStatus.RUNNING)


def _teardown(services: Services, held: Claim) -> Outcome:
    with services.ledger.write() as tx:
        work.hold(tx, held)
        tx.execute(
            sa.update(schema.workers)
            .where(schema.workers.c.session_id == held.key.session, schema.workers.c.ordinal == held.key.ordinal)
            .values(state=workers.TERMINATED, terminated_at=tx.now)
        )
    return Done(ResourceStatus.SUCCESS)


STEPS = plain.STEPS | {Step.LAUNCH_WORKER: _launch, Step.RUN_JOB: _run_job, Step.TEARDOWN: _teardown}


def simulated_services(settings: Any, make_dispatch: Any) -> Services:
    """Services with the ledger of the settings and a simulated cloud."""
    ledger = Ledger(make_engine(settings.ledger_url), SystemClock())
    return Services(
        ledger=ledger,
        cloud=SimulatedCloud(),  # type: ignore[arg-type]  # what watch needs of it
        dispatch=make_dispatch(ledger),
        limiter=MemoryLimiter(ledger.clock),
        clock=ledger.clock,
        install=INSTALL,
    )
