"""What a plan says: of each resource, of each place in which workers are to stand, of the whole session."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from orchestrator.errors import CloudError, Refused
from orchestrator.model.plan import Access, ResourcePlan, SessionPlan
from orchestrator.model.status import DeploymentMode
from orchestrator.network import Candidate
from orchestrator.ports import Room


class Severity(StrEnum):
    """How much a finding matters, the worst first."""

    REFUSED = "refused"
    """It will not be done until somebody changes something."""
    SKIPPED = "skipped"
    """It is left out on purpose: excluded, or a policy of higher priority has it."""
    DOUBTFUL = "doubtful"
    """It may fail; what decides cannot be seen from here."""
    WAITS = "waits"
    """It will be done, but not at once."""
    NOTE = "note"
    """Worth knowing; nothing fails by it."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found: how much it matters, what it is, what to do."""

    severity: Severity
    reason: str
    remedy: str = ""

    @classmethod
    def of(cls, error: Refused | CloudError) -> Finding:
        """Return a refusal as a finding."""
        return cls(Severity.REFUSED, error.reason, error.remedy)


@dataclass(kw_only=True)
class ResourceForecast:
    """What is planned for a resource (None: refused or left out), what was found, the subnets that were looked at."""

    account: str
    region: str
    resource_id: str
    plan: ResourcePlan | None = None
    findings: list[Finding] = field(default_factory=list)
    candidates: tuple[Candidate, ...] = ()

    @property
    def status(self) -> str:
        """The word for the worst finding that is more than a note, or ok."""
        found = {one.severity for one in self.findings} - {Severity.NOTE}
        return next((str(one) for one in Severity if one in found), "ok")

    @property
    def is_refused(self) -> bool:
        """Whether it will not be done."""
        return self.status == Severity.REFUSED or (self.plan is None and self.status != Severity.SKIPPED)


@dataclass(kw_only=True)
class PlaceForecast:
    """An account and Region in which workers are to stand, and what there is room for.

    `access` is who launches them. `vcpus` are those that the planned workers take of the standard quota, by the first
    type of each. `free_addresses` are those of all subnets that fit. `launch` is how long EC2's limits make launching
    them take, booting not included; `launch_calls` how many calls it takes.
    """

    access: Access
    workers: int = 0
    vcpus: int = 0
    room_for_vcpus: Room | None = None
    free_addresses: int = 0
    room_for_roles: Room | None = None
    room_for_profiles: Room | None = None
    launch: timedelta = timedelta(0)
    launch_calls: int = 0
    findings: list[Finding] = field(default_factory=list)


@dataclass(kw_only=True)
class Forecast:
    """The whole plan."""

    operation: str
    mode: DeploymentMode
    is_available: bool
    session: SessionPlan | None = None
    resources: list[ResourceForecast] = field(default_factory=list)
    places: list[PlaceForecast] = field(default_factory=list)

    @property
    def is_refused(self) -> bool:
        """Whether anything of it will not be done."""
        return not self.is_available or any(one.is_refused for one in self.resources)

    def planned(self) -> Iterator[tuple[ResourceForecast, ResourcePlan]]:
        """Yield the resources that have a plan."""
        for one in self.resources:
            if one.plan is not None:
                yield one, one.plan
