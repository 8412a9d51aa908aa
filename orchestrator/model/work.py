"""Work: what a step is given and what it may answer. The mechanism behind parking (DESIGN section 3)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from orchestrator.model.status import ResourceStatus, Step

#: The ordinal of a session's own work (start, release); its resources count from 0.
SESSION = -1


class WorkKey(NamedTuple):
    """One unit of work: a resource of a session by its ordinal, or the session itself (`SESSION`)."""

    session: str
    ordinal: int


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The right to carry out one step now, until `until`, under a fencing number.

    Whoever claims the same work later gets a higher `fence`; every write under the older one is refused (`Fenced`).
    `signals` is how many events the work had seen when it was claimed: parking is refused when there are more by then.
    `tries` counts how often this step was claimed since it was reached or last made progress, `deaths` how often the
    process that had claimed it was not heard of again since it last answered; it was first claimed at `begun_at`.
    """

    key: WorkKey
    step: Step
    attempt: int
    fence: int
    signals: int
    tries: int
    until: datetime
    begun_at: datetime | None = None
    deaths: int = 0


@dataclass(frozen=True)
class Done:
    """The step is complete; the chain goes on. A final `status` is given by `teardown` alone."""

    status: ResourceStatus | None = None


@dataclass(frozen=True)
class Park:
    """The step has to wait, holding nothing: no slot, no message, no timer.

    `wait_for` names the event for people and for `watch` (`snapshot`, `worker`, `result`, ...); at `until` the step is
    woken in any case and has to look itself whether its own deadline has passed. `status` is what the resource shows.
    `is_retry` says that an error is behind it: only then do a step's tries go on counting.
    """

    wait_for: str
    until: datetime
    status: ResourceStatus | None = None
    reason: str | None = None
    is_retry: bool = False


@dataclass(frozen=True)
class Again:
    """The attempt has failed and everything of it is removed; the next one begins at `at`. For `teardown` alone."""

    at: datetime


@dataclass(frozen=True)
class Failed:
    """The resource has failed here; the chain goes on to `teardown`, which removes what was made."""

    reason: str
    remedy: str = ""


@dataclass(frozen=True)
class Stopped:
    """A stop ended the resource here; the chain goes on to `teardown`."""

    reason: str = "stopped on request"


@dataclass(frozen=True)
class Skipped:
    """The resource is left to somebody else; the chain goes on to `teardown`, which finds nothing to remove."""

    reason: str


Outcome = Done | Park | Again | Failed | Stopped | Skipped
