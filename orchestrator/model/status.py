"""Statuses, steps and the rules that bind them (OPERATIONS section 4)."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class DeploymentMode(StrEnum):
    """Which account a session's workers are deployed into, and with whose role."""

    BACKUP = "backup"
    PRODUCTION = "production"


class SessionStatus(StrEnum):
    """A session's status; the last four are final."""

    PENDING = "pending"
    RUNNING = "running"
    STOPPING = "stopping"
    SUCCESS = "success"
    WARNING = "warning"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def is_final(self) -> bool:
        """Nothing follows this status."""
        return self in _FINAL_SESSIONS


class ResourceStatus(StrEnum):
    """A resource's status inside a session; the last five are final."""

    PENDING = "pending"
    ASSUMING_ROLE = "assuming-role"
    WAITING_FOR_SOURCE = "waiting-for-source"
    WAITING_FOR_CAPACITY = "waiting-for-capacity"
    LAUNCHING = "launching"
    BOOTING = "booting"
    READY = "ready"
    RUNNING = "running"
    TEARING_DOWN = "tearing-down"
    SUCCESS = "success"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"
    STOPPED = "stopped"

    @property
    def is_final(self) -> bool:
        """Nothing follows this status."""
        return self in _FINAL_RESOURCES


class Step(StrEnum):
    """A link of a chain. A resource walks the first four, the session itself `START` and `RELEASE`."""

    START = "start"
    ASSUME_ROLE = "assume_role"
    LAUNCH_WORKER = "launch_worker"
    RUN_JOB = "run_job"
    TEARDOWN = "teardown"
    RELEASE = "release"
    DONE = "done"


RESOURCE_STEPS = (Step.ASSUME_ROLE, Step.LAUNCH_WORKER, Step.RUN_JOB, Step.TEARDOWN)
SESSION_STEPS = (Step.START, Step.RELEASE)

_ORDER = {
    step: number
    for number, step in enumerate(
        (Step.START, Step.ASSUME_ROLE, Step.LAUNCH_WORKER, Step.RUN_JOB, Step.TEARDOWN, Step.RELEASE, Step.DONE)
    )
}

_FINAL_SESSIONS = frozenset({SessionStatus.SUCCESS, SessionStatus.WARNING, SessionStatus.FAILED, SessionStatus.STOPPED})
_FINAL_RESOURCES = frozenset(
    {
        ResourceStatus.SUCCESS,
        ResourceStatus.WARNING,
        ResourceStatus.FAILED,
        ResourceStatus.SKIPPED,
        ResourceStatus.STOPPED,
    }
)
_AFTER_SESSION: dict[SessionStatus, frozenset[SessionStatus]] = {
    SessionStatus.PENDING: frozenset({SessionStatus.RUNNING, SessionStatus.STOPPING}) | _FINAL_SESSIONS,
    SessionStatus.RUNNING: frozenset({SessionStatus.STOPPING}) | _FINAL_SESSIONS,
    SessionStatus.STOPPING: _FINAL_SESSIONS,
}


def is_past(position: Step, step: Step) -> bool:
    """Whether work that stands at `position` has `step` behind it."""
    return _ORDER[position] > _ORDER[step]


def next_step(step: Step) -> Step:
    """Return the step that follows in its own chain; after the last one comes `DONE`."""
    chain = SESSION_STEPS if step in SESSION_STEPS else RESOURCE_STEPS
    index = chain.index(step) + 1
    return chain[index] if index < len(chain) else Step.DONE


def may_follow(before: SessionStatus | ResourceStatus, after: SessionStatus | ResourceStatus) -> bool:
    """Whether a status change is legal: nothing follows a final status, and sessions only go forward."""
    if before == after:
        return not before.is_final
    if isinstance(before, SessionStatus):
        return isinstance(after, SessionStatus) and after in _AFTER_SESSION.get(before, frozenset())
    return not before.is_final


def session_outcome(statuses: Iterable[ResourceStatus]) -> SessionStatus:
    """Return the final status that follows from the resources' final statuses (OPERATIONS section 4).

    Success when every resource is success or skipped, failed when some failed and none succeeded, stopped when a stop
    ended at least one resource, else warning; nothing selected is warning.
    """
    found = set(statuses)
    if not found:
        return SessionStatus.WARNING
    if found <= {ResourceStatus.SUCCESS, ResourceStatus.SKIPPED}:
        return SessionStatus.SUCCESS
    if ResourceStatus.FAILED in found and not found & {ResourceStatus.SUCCESS, ResourceStatus.WARNING}:
        return SessionStatus.FAILED
    if ResourceStatus.STOPPED in found:
        return SessionStatus.STOPPED
    return SessionStatus.WARNING
