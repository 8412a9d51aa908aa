"""What a step sees of its resource, read in one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from orchestrator import tags
from orchestrator.ledger import registry, sessions, work, workers
from orchestrator.ledger.store import Transaction
from orchestrator.ledger.things import Thing
from orchestrator.model.account import Repository
from orchestrator.model.plan import ResourcePlan, SessionPlan
from orchestrator.model.work import Claim
from orchestrator.services import Services


@dataclass(frozen=True, kw_only=True)
class View:
    """A claim, its session, its resource with both plans, and its worker, if there is one."""

    held: Claim
    session: sessions.Session
    resource: sessions.Resource
    plan: ResourcePlan
    shared: SessionPlan
    worker: workers.Worker | None

    @property
    def label(self) -> str:
        """Name the resource's attempt: part of tokens and of names in the ledger."""
        return f"{self.held.key.ordinal}-{self.held.attempt}"

    def tags(self, install: str) -> dict[str, str]:
        """Return the tags of what is made for this attempt."""
        return tags.resource_tags(install, self.session.id, self.held.key.ordinal, self.held.attempt)

    def thing(self, kind: str, name: str) -> Thing:
        """Return the ledger row of something that the operation's role makes for this resource."""
        place = self.plan.operation
        return Thing(
            session=self.session.id,
            ordinal=self.held.key.ordinal,
            kind=kind,
            name=name,
            account=place.account,
            region=place.region,
            role=place.role,
        )

    def moment(self, name: str) -> datetime | None:
        """Return a time that a step remembered, or None."""
        value = self.resource.state.get(name)
        return None if value is None else datetime.fromtimestamp(value, UTC)

    def own_key(self, key: str | None) -> str | None:
        """Return a KMS key's ARN if it can be used where the operation works, else None: the account's default key.

        A restore into another account or Region cannot use the source's key.
        """
        place = self.plan.operation
        if key is not None and key.startswith("arn:") and key.split(":")[3:5] != [place.region, place.account]:
            return None
        return key


def look(services: Services, held: Claim) -> View:
    """Read what a step needs. A resource without a plan has no chain, so both plans are there."""
    with services.ledger.read() as tx:
        session = sessions.get(tx, held.key.session)
        resource = sessions.resource(tx, held.key)
        worker = workers.get(tx, resource.instance_id) if resource.instance_id else None
    if resource.plan is None or session.plan is None:
        raise LookupError(f"{held.key.session}/{held.key.ordinal} has a chain and no plan")
    return View(held=held, session=session, resource=resource, plan=resource.plan, shared=session.plan, worker=worker)


def remember(tx: Transaction, view: View, **state: Any) -> None:
    """Add to what the resource's steps remember between parking and waking. Raises `Fenced`."""
    work.hold(tx, view.held)
    present = sessions.resource(tx, view.held.key).state
    sessions.remember(tx, view.held.key, state={**present, **state})


def repository(services: Services, view: View) -> Repository:
    """Return the session's repository, as it was when the session was planned."""
    if view.shared.settled is not None:
        return view.shared.settled
    with services.ledger.read() as tx:
        return registry.repository(tx, view.shared.repository)
