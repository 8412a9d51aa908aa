"""A Daywork app whose steps do nothing in the cloud: for tests of `tasks/` and for benchmarks of the orchestration.

Options of the request steer the steps: `park` makes run_job wait for a signal, `fail` makes launch_worker fail for
every resource whose number is divisible by it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from orchestrator.bootstrap import SystemClock
from orchestrator.ledger import sessions, work
from orchestrator.ledger.store import Ledger, make_engine
from orchestrator.model.request import SessionRequest
from orchestrator.model.status import DeploymentMode, ResourceStatus, SessionStatus, Step, session_outcome
from orchestrator.model.work import Claim, Done, Failed, Outcome, Park
from orchestrator.services import Install, Services
from support.fakes.limiter import MemoryLimiter


def _start(services: Services, held: Claim) -> Outcome:
    with services.ledger.write() as tx:
        work.hold(tx, held)
        sessions.move(tx, held.key.session, SessionStatus.RUNNING, started_at=tx.now)
        count = sum(sessions.statuses(tx, held.key.session).values())
        work.enrol(tx, held.key.session, range(count), Step.ASSUME_ROLE)
    return Done()


def _nothing(services: Services, held: Claim) -> Outcome:
    return Done()


def _launch(services: Services, held: Claim) -> Outcome:
    fail = _options(services, held).get("fail")
    if fail and held.key.ordinal % fail == 0:
        return Failed("it was asked for", "Ask for something else")
    return Done()


def _run_job(services: Services, held: Claim) -> Outcome:
    if not _options(services, held).get("park"):
        return Done()
    with services.ledger.write() as tx:
        work.hold(tx, held)
        if sessions.resource(tx, held.key).state:
            return Done()
        sessions.remember(tx, held.key, state={"parked": True})
    return Park("result", services.clock.now() + timedelta(hours=1), status=ResourceStatus.RUNNING)


def _teardown(services: Services, held: Claim) -> Outcome:
    if not _options(services, held):
        return Done(ResourceStatus.SUCCESS)
    with services.ledger.read() as tx:
        return Done(ResourceStatus(sessions.resource(tx, held.key).outcome or "success"))


def _release(services: Services, held: Claim) -> Outcome:
    with services.ledger.write() as tx:
        session = held.key.session
        if work.unfinished(tx, session):
            return Park(work.RESOURCES, tx.now + timedelta(hours=1))
        work.hold(tx, held)
        sessions.move(tx, session, session_outcome(sessions.statuses(tx, session)))
    return Done()


def _options(services: Services, held: Claim) -> dict[str, Any]:
    """Return the request's options, read once in each process: they steer the steps and are no part of the work."""
    session = held.key.session
    if session not in _OPTIONS:
        with services.ledger.read() as tx:
            _OPTIONS[session] = sessions.get(tx, session).request.options
    return _OPTIONS[session]


_OPTIONS: dict[str, dict[str, Any]] = {}

STEPS = {
    Step.START: _start,
    Step.ASSUME_ROLE: _nothing,
    Step.LAUNCH_WORKER: _launch,
    Step.RUN_JOB: _run_job,
    Step.TEARDOWN: _teardown,
    Step.RELEASE: _release,
}


def plain_services(settings: Any, make_dispatch: Any, *, ledger: Ledger | None = None) -> Services:
    """Services with a ledger - that of the settings, or this one - and no cloud."""
    ledger = ledger or Ledger(make_engine(settings.ledger_url), SystemClock())
    install = Install(
        id="plain", control_bucket="none", control_region="eu-west-1", report_queue="none", home_account="0" * 12
    )
    return Services(
        ledger=ledger,
        cloud=None,  # type: ignore[arg-type]  # plain steps touch no cloud
        dispatch=make_dispatch(ledger),
        limiter=MemoryLimiter(ledger.clock),
        clock=ledger.clock,
        install=install,
    )


def submit(services: Services, count: int, **options: Any) -> str:
    """Put a session over `count` resources into the ledger; returns its id."""
    request = SessionRequest.model_validate(
        {
            "source": "plain",
            "id": f"{count}-{services.clock.now().timestamp()}",
            "operation": "ec2-backup",
            "resources": [{"account": "1" * 12, "region": "eu-west-1", "id": f"i-{n:017x}"} for n in range(count)],
            "options": options,
        }
    )
    wanted = [sessions.Wanted(account=one.account, region=one.region, resource_id=one.id) for one in request.resources]
    with services.ledger.write() as tx:
        session, _ = sessions.submit(tx, request, mode=DeploymentMode.BACKUP, resources=wanted)
    return session
