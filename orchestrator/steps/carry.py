"""How a step is carried out: claim, call, settle. The one place where a step's answer becomes a ledger change.

    claim refused, done already   -> GO_ON   (a repeat: the chain may publish the next link)
    claim refused, somebody at it -> STAND   (a repeat: do nothing)
    Done / Failed / Stopped / ... -> GO_ON   (the ledger says where the chain stands now)
    Park                          -> STAND, or the step again when a signal came meanwhile
    Again                         -> STAND   (the next attempt has a chain of its own)
    Fenced                        -> STAND

Errors of the cloud become answers here: `Retryable` parks the step for a while, `Permanent` fails the resource.
Teardown, start and release never fail: they come back until they succeed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

import structlog

from agent.protocol import format_time
from orchestrator import retry
from orchestrator.errors import CloudError, Fenced, LedgerContended, LedgerUnavailable, Retryable, Throttled
from orchestrator.ledger import sessions, settling, work
from orchestrator.ledger.holders import Holder
from orchestrator.ledger.settling import Shown
from orchestrator.ledger.store import Ledger, Transaction
from orchestrator.ledger.work import Refusal, Settled
from orchestrator.model.status import ResourceStatus, Step
from orchestrator.model.work import SESSION, Again, Claim, Done, Failed, Outcome, Park, Skipped, Stopped, WorkKey
from orchestrator.services import Services

StepFunction = Callable[[Services, Claim], Outcome]

log = structlog.get_logger(__name__)

#: How often a step runs again at once because something happened while it ran; more would hog its process.
AGAIN = 5

_NEVER_FAILS = frozenset({Step.TEARDOWN, Step.RELEASE, Step.START})


class Verdict(Enum):
    """What the caller's chain does next."""

    GO_ON = "go on"
    STAND = "stand"


@dataclass(frozen=True, kw_only=True)
class Carried:
    """How a step went: the verdict, and words for whoever watches (`parked: worker`, `failed: ...`)."""

    verdict: Verdict
    words: str


def carry_out(
    services: Services, steps: Mapping[Step, StepFunction], key: WorkKey, step: Step, attempt: int
) -> Carried:
    """Carry one step out. Raises only `LedgerUnavailable`; the reconciler then finds the work standing still."""
    ledger = services.ledger
    for _ in range(AGAIN):
        held = ledger.run(lambda tx: _begin(tx, key, step, attempt, ledger.holder), single=True)
        if isinstance(held, Refusal):
            verdict = Verdict.GO_ON if held is Refusal.PAST else Verdict.STAND
            return Carried(verdict=verdict, words=f"repeat: {held.value}")
        try:
            outcome = _poison(held) or _answer(services, steps[step], held)
            settled = ledger.run(
                lambda tx, held=held, outcome=outcome: _end(tx, held, outcome),  # type: ignore[misc]
                single=settling.at_once(ledger.engine) and not isinstance(outcome, Again),
            )
        except Fenced:
            return Carried(verdict=Verdict.STAND, words="repeat: taken over")
        except LedgerUnavailable:
            services.interrupted(services, held)
            raise
        if settled is Settled.MOVED:
            return Carried(verdict=Verdict.GO_ON, words=_words(outcome))
        if settled is Settled.PARKED:
            return Carried(verdict=Verdict.STAND, words=_words(outcome))
    services.dispatch.drive([key])
    return Carried(verdict=Verdict.STAND, words="again")


def _begin(tx: Transaction, key: WorkKey, step: Step, attempt: int, holder: Holder | None) -> Claim | Refusal:
    shows = ResourceStatus.ASSUMING_ROLE if step is Step.ASSUME_ROLE else None
    return work.claim(tx, key, step, attempt, holder=holder, shows=shows)


def _end(tx: Transaction, held: Claim, outcome: Outcome) -> Settled:
    return settling.settle(tx, held, outcome, _shown(tx, held, outcome))


def _poison(held: Claim) -> Failed | None:
    """Return why a step is not tried any more whose every try was its process's death."""
    if held.deaths < retry.DEATHS or held.step in _NEVER_FAILS:
        return None
    return Failed(
        f"{held.step} was given up: the {held.deaths} processes that tried it have died or hung",
        "See the Celery worker's log and the memory of its machine; start the operation again for this resource",
    )


def _answer(services: Services, function: StepFunction, held: Claim) -> Outcome:
    """Call the step; turn what it raises into an answer."""
    try:
        return function(services, held)
    except LedgerContended:
        # Rolled back for the sake of another transaction: nothing is wrong, the step runs again.
        return Park("retry", services.clock.now() + retry.CONTENDED.delay(held.tries), is_retry=True)
    except (Fenced, LedgerUnavailable):
        raise
    except CloudError as error:
        return _after_cloud_error(services.clock.now(), held, error)
    except Exception as error:
        log.exception("step failed unexpectedly", session_id=held.key.session, ordinal=held.key.ordinal, step=held.step)
        name = type(error).__name__
        if held.step not in _NEVER_FAILS and retry.UNEXPECTED.is_over(held.tries):
            return Failed(f"internal error in {held.step}: {name}", "See the Celery worker's log and report it")
        pause = retry.UNEXPECTED.delay(held.tries)
        until = services.clock.now() + pause
        return Park("retry", until, reason=f"internal error ({name}), trying again", is_retry=True)


def _after_cloud_error(now: datetime, held: Claim, error: CloudError) -> Outcome:
    lasting = held.step in _NEVER_FAILS
    if not lasting and (not isinstance(error, Retryable) or _is_given_up(now, held, error)):
        return Failed(error.reason, error.remedy)
    policy = retry.REMOVAL if lasting else retry.CLOUD
    return Park("retry", now + policy.delay(held.tries), reason=error.reason, is_retry=True)


def _is_given_up(now: datetime, held: Claim, error: Retryable) -> bool:
    """Whether enough has been tried. Being slowed down is no failure: it may go on for hours."""
    if isinstance(error, Throttled):
        return held.begun_at is not None and now - held.begun_at >= retry.THROTTLED_FOR
    return retry.CLOUD.is_over(held.tries)


def _shown(tx: Transaction, held: Claim, outcome: Outcome) -> Shown:
    """Return what people see of an answer. Only the next attempt has to look first at what there was."""
    if held.key.ordinal == SESSION:
        reason = outcome.reason if isinstance(outcome, Park) else None
        return Shown(line=f"{held.step}: {reason}", level="warning") if reason else Shown()
    if isinstance(outcome, Park):
        return _waiting(held, outcome)
    if isinstance(outcome, Again):
        return _next_attempt(tx, held.key, outcome)
    if isinstance(outcome, Failed):
        ended = {"outcome": "failed", "reason": outcome.reason[:2000], "remedy": outcome.remedy[:2000]}
        return Shown(
            resource={"status": ResourceStatus.TEARING_DOWN, **ended}, line=f"failed: {outcome.reason}", level="error"
        )
    if isinstance(outcome, Stopped | Skipped):
        word = "stopped" if isinstance(outcome, Stopped) else "skipped"
        ended = {"outcome": word, "reason": outcome.reason[:2000]}
        return Shown(resource={"status": ResourceStatus.TEARING_DOWN, **ended}, line=outcome.reason)
    if outcome.status is not None:
        forgotten = {"reason": None} if outcome.status is ResourceStatus.SUCCESS else {}
        return Shown(resource={"status": outcome.status, **forgotten}, line=f"ended: {outcome.status}")
    if held.step is Step.RUN_JOB:
        return Shown(resource={"status": ResourceStatus.TEARING_DOWN})
    if held.signals and held.step in (Step.ASSUME_ROLE, Step.LAUNCH_WORKER):
        # What it waited for is over; a reason that stays would be read as a failure.
        return Shown(resource={"reason": None})
    return Shown()


def _waiting(held: Claim, outcome: Park) -> Shown:
    # The reason shown while a teardown waits is the one with which the job ended.
    reason = {} if held.step is Step.TEARDOWN else {"reason": outcome.reason}
    status = {} if outcome.status is None else {"status": outcome.status}
    return Shown(resource={**reason, **status}, line=f"waiting: {outcome.reason}" if outcome.reason else None)


def _next_attempt(tx: Transaction, key: WorkKey, outcome: Again) -> Shown:
    """Let a resource forget its attempt, except for how it ended."""
    found = sessions.resource(tx, key)
    ended = {
        "attempt": found.attempt,
        "reason": found.reason,
        "remedy": found.remedy,
        "instanceId": found.instance_id,
        "endedAt": format_time(tx.now),
        "nextAt": format_time(outcome.at),
    }
    earlier = [*found.state.get("earlier", []), {name: value for name, value in ended.items() if value is not None}]
    fresh = {
        "status": ResourceStatus.PENDING,
        "attempt": found.attempt + 1,
        "state": {"earlier": earlier},
        "outcome": None,
        "result": None,
        "instance_id": None,
        "done": 0,
        "reason": f"attempt {found.attempt} failed: {found.reason}"[:2000],
        "remedy": None,
    }
    return Shown(resource=fresh, line=f"next attempt at {format_time(outcome.at)}", level="warning")


def _words(outcome: Outcome) -> str:
    if isinstance(outcome, Done):
        return str(outcome.status or "done")
    if isinstance(outcome, Park):
        return f"parked: {outcome.wait_for}"
    if isinstance(outcome, Again):
        return "parked: next-attempt"
    if isinstance(outcome, Skipped):
        return "skipped"
    return f"failed: {outcome.reason}" if isinstance(outcome, Failed) else "stopped"


def resource_failed(ledger: Ledger, key: WorkKey) -> str | None:
    """Return the reason with which a resource has failed so far, for whoever watches; None when it has not."""
    with ledger.read() as tx:
        found = sessions.resource(tx, key)
    return found.reason or "failed" if found.outcome == "failed" else None
