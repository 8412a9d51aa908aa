"""A policy, as its author writes it (CONTRACT section 7): what is done, to which resources, when."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import Field, StringConstraints, field_validator

from orchestrator.model.request import RequestRoles, ResourceSelector, Retry, Strict, TagSelector, read_strict
from orchestrator.model.status import DeploymentMode

#: Sessions of a policy have this source; their ids are the moments of their ticks.
SOURCE = "daywork.policy"


class Schedule(Strict):
    """When a policy is due.

    `cron` has five fields and is read in `timezone`. A time that daylight saving skips runs when the clock has moved
    on, one that comes twice runs once; `*` and steps of minutes or hours run on through both. `missed` says what
    becomes of ticks that nobody could see (an outage, a pause), `overlap` of one that finds the session before it still
    running. Each tick is put off by up to `jitter` seconds, always by the same for the same tick.
    """

    cron: str
    timezone: str = "UTC"
    missed: Literal["skip", "run-once", "run-all"] = "run-once"
    overlap: Literal["skip", "queue"] = "skip"
    jitter: int = Field(default=0, ge=0, le=3600)

    @field_validator("timezone")
    @classmethod
    def _is_known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError):
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


class Policy(Strict):
    """A policy; without a `schedule` it runs by hand alone."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    operation: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    mode: DeploymentMode | None = None
    resources: tuple[ResourceSelector, ...] = ()
    select: tuple[TagSelector, ...] = ()
    roles: RequestRoles = RequestRoles()
    repository: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    retry: Retry = Retry()
    schedule: Schedule | None = None

    def request(self, run: str) -> dict[str, Any]:
        """Return the session request of one run; `run` makes it one session, however often it is asked for."""
        body = self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"name", "schedule"})
        return {"schemaVersion": 1, "source": f"{SOURCE}/{self.name}", "id": run, **body}


def read_policy(document: Any) -> Policy:
    """Read a policy from YAML's values. Raises `Refused` with every mistake, the first one's field in front."""
    return read_strict(Policy, document, what="the policy")
