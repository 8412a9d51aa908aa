"""A policy, as its author writes it (CONTRACT section 7): what is done, to which resources, when, and what follows."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import BeforeValidator, Field, StringConstraints, field_validator, model_validator

from orchestrator.model.account import SecretRef
from orchestrator.model.options import Keep
from orchestrator.model.reading import read_strict
from orchestrator.model.request import Strict, Undertaking
from orchestrator.model.status import SessionStatus
from orchestrator.operations import CATALOGUE

#: Sessions of a policy have this source; their ids are the moments of their ticks.
SOURCE = "daywork.policy"

#: What a policy says beside the request of its sessions.
_OWN = {"name", "priority", "schedule", "retention", "then", "notify"}

ClockTime = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]


class Missed(StrEnum):
    """What becomes of ticks that nobody saw in time (an outage, a pause)."""

    SKIP = "skip"
    RUN_ONCE = "run-once"
    RUN_ALL = "run-all"


class Overlap(StrEnum):
    """What becomes of a tick that finds the policy's session before it still running."""

    SKIP = "skip"
    QUEUE = "queue"


class Weekday(StrEnum):
    """A day of the week, in the schedule's time zone."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"


def _several(value: Any) -> Any:
    """Let one word stand for a list of one."""
    return (value,) if isinstance(value, str) else value


Weekdays = Annotated[tuple[Weekday, ...], BeforeValidator(_several)]


class Window(Strict):
    """A time in which sessions may start, by the clock of the schedule.

    It goes over midnight when `to` is earlier than `from`. `days` are those on which it begins; none named: all.
    """

    begins: ClockTime = Field(alias="from")
    ends: ClockTime = Field(alias="to")
    days: Weekdays = ()

    @model_validator(mode="after")
    def _has_a_length(self) -> Self:
        if self.begins == self.ends:
            raise ValueError("the window ends when it begins; leave windows out if any time will do")
        return self


class Schedule(Strict):
    """When a policy is due.

    `cron` has five fields and is read in `timezone`. A time that daylight saving skips runs when the clock has moved
    on, one that comes twice runs once; `*` and steps of minutes or hours run on through both. Each tick is put off by
    up to `jitter` seconds, always by the same for the same tick.

    Of `missed` ticks none runs (`skip`), one for all of them (`run-once`) or each (`run-all`); what makes up for them
    waits for the session that runs. A tick seen in time that finds the session before it running is left out (`overlap:
    skip`) or waits for it (`queue`): one run for all that wait, or each with `run-all`.
    """

    cron: str
    timezone: str = "UTC"
    missed: Missed = Missed.RUN_ONCE
    overlap: Overlap = Overlap.SKIP
    jitter: int = Field(default=0, ge=0, le=3600)
    windows: tuple[Window, ...] = ()

    @field_validator("timezone")
    @classmethod
    def _is_known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"time zone {value!r} is not known; use a name such as Europe/Berlin") from None
        return value

    @field_validator("cron")
    @classmethod
    def _has_ticks(cls, value: str) -> str:
        if len(value.split()) != 5:  # noqa: PLR2004 - minute, hour, day, month, weekday
            raise ValueError("a schedule has five fields: minute, hour, day of the month, month, day of the week")
        try:
            next(CronSim(value, datetime(2026, 1, 1, tzinfo=UTC)))
        except CronSimError as error:
            raise ValueError(f"{value!r} is no schedule: {error}") from None
        except StopIteration:
            raise ValueError(f"{value!r} never comes") from None
        return value


class Retention(Strict):
    """How long the policy's restore points are kept."""

    keep: Keep


class FollowUp(Strict):
    """An operation that follows the policy's session, every time or only `on` these days."""

    operation: str
    on: Weekdays = ()

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"operation": value} if isinstance(value, str) else value

    @field_validator("operation")
    @classmethod
    def _can_follow(cls, value: str) -> str:
        follow = [name for name in CATALOGUE if name.rpartition("-")[2] in ("retention", "archive", "check")]
        if value not in follow:
            raise ValueError(f"{value!r} cannot follow a session; what can: {', '.join(follow)}")
        return value


Ending = Annotated[SessionStatus, Field(json_schema_extra={"enum": [one for one in SessionStatus if one.is_final]})]


class Notification(Strict):
    """Whom to tell how a session ended: a URL, which is a secret and so named by where it stands."""

    url: SecretRef
    on: Annotated[tuple[Ending, ...], BeforeValidator(_several)] = (SessionStatus.WARNING, SessionStatus.FAILED)

    @field_validator("on")
    @classmethod
    def _are_ends(cls, value: tuple[SessionStatus, ...]) -> tuple[SessionStatus, ...]:
        if wrong := [one for one in value if not one.is_final]:
            raise ValueError(f"no session ends {wrong[0]}")
        return value


class Policy(Undertaking):
    """A policy; without a `schedule` it runs by hand alone.

    Where two policies want a resource at a time, the one of the higher `priority` has it.
    """

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    priority: int = Field(default=0, ge=-1000, le=1000)
    schedule: Schedule | None = None
    retention: Retention | None = None
    then: tuple[FollowUp, ...] = ()
    notify: tuple[Notification, ...] = ()

    def request(self, run: str) -> dict[str, Any]:
        """Return the session request of one run; `run` makes it one session, however often it is asked for."""
        body = self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=_OWN)
        return {"schemaVersion": 1, "source": f"{SOURCE}/{self.name}", "id": run, **body}

    def stored_only(self) -> list[str]:
        """Name the parts that are kept and shown, and that this version does not carry out yet."""
        given = {
            "schedule.windows": self.schedule is not None and self.schedule.windows,
            "notify": self.notify,
        }
        return [name for name, value in given.items() if value]


def read_policy(document: Any, *, prefix: str = "") -> Policy:
    """Read a policy from YAML's values. Raises `Refused` with every mistake, the first one's field in front.

    `prefix` stands before the names of fields.
    """
    return read_strict(Policy, document, what="the policy", prefix=prefix)
