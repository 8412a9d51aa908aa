"""The invariants that hold whatever dies: checked over the ledger, the embedded cloud's journal and the cloud itself.

How to use it, on a whole stack (`support.stack.Stack`):

    auditor = Auditor.begin(stack)             # after the seed, before the first session; plants look-alikes
    session = stack.start(request)
    auditor.accepted(session)                  # every submission that was acknowledged, as often as it was
    ... faults ...; wait until the sessions are final ...
    assert auditor.broken() == []              # sentences, each with the invariant's number; may be asked again

The numbers are those of the design:

I1 every session, and every resource, reaches exactly one final status, and the one follows from the other
I2 nothing of an ended session is in the cloud but what its receipt keeps; nobody else's things were touched
I3 nothing is done under an older claim once there is a newer one: one worker for each attempt, none unknown
I4 a job has one effect: one restore point for each resource backed up, one new volume for each volume restored
I5 a release has one effect
I6 no role is deleted while an instance uses it
I7 what was accepted is never lost
I8 the same request is one session
I9 AWS is called a bounded number of times, whatever goes wrong

I10 (no secret anywhere) is `support.canaries.leaks`, which wants a stack at rest.
"""

from __future__ import annotations

import json
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from console.demo.eye import Eye
from orchestrator import records, tags
from orchestrator.ledger import points, schema, sessions, things
from orchestrator.ledger.store import Transaction
from orchestrator.model.status import ResourceStatus, SessionStatus, session_outcome
from support.lookalikes import Planted, plant, standing_roles
from support.stack import HOME, INSTALL, Stack

#: Principals of the product: its own user, the roles that it was given, the temporary ones.
_OURS: Final = (":user/daywork-control-plane", "/Daywork", "/dw-")
_REMOVING: Final = (
    "ec2:TerminateInstances",
    "ec2:StopInstances",
    "ec2:DeleteSnapshot",
    "ec2:DeleteVolume",
    "ec2:DetachVolume",
    "iam:DeleteRole",
    "iam:DeleteRolePolicy",
    "iam:DeleteInstanceProfile",
    "iam:RemoveRoleFromInstanceProfile",
)
_DONE: Final = range(200, 300)


@dataclass
class Auditor:
    """Watches one stack from before its first session. `most_changes` is I9's limit: see `broken`."""

    stack: Stack
    eye: Eye
    accounts: tuple[str, ...]
    planted: Planted
    standing: Planted
    known: dict[tuple[str, str], str] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)

    @classmethod
    def begin(cls, stack: Stack) -> Auditor:
        """Plant look-alikes in every account and look at the roles that customers have made."""
        accounts, eye = tuple(stack.accounts()), stack.eye
        bucket = f"daywork-control-{INSTALL}"
        planted = plant(eye, accounts, control_account=HOME, control_bucket=bucket, install=INSTALL)
        return cls(stack, eye, accounts, planted, standing_roles(eye, accounts))

    def accepted(self, session: str, *, source: str | None = None, request: str | None = None) -> None:
        """Note an acknowledged submission; with `source` and `request`, which one it was (I7, I8)."""
        key = (source or "", request or session)
        before = self.known.setdefault(key, session)
        if before != session:
            self.complaints.append(f"I8: request {key} became {before} and {session}")

    def broken(self, *, most_changes: int = 40, most_launches: int = 8) -> list[str]:
        """Return what does not hold; every session must have ended (or that is the first complaint).

        I9: EC2 and IAM are asked at most `most_changes` times for each attempt of a resource, and 40 times more for
        each session, to make or remove something; RunInstances at most `most_launches` times for each attempt.
        """
        journal = self.journal()
        with self.stack.ledger.read() as tx:
            found = [*self.complaints, *_lost(tx, self.known)]
            ids = [row.id for row in tx.rows(sa.select(schema.sessions.c.id).order_by(schema.sessions.c.created_at))]
            for session in ids:
                found += _ending(tx, session)
                found += _fences(tx, session)
                found += _effects(tx, session)
                found += _release(tx, session, journal)
            found += _strangers(tx, journal, self.planted)
            found += _bounds(tx, journal, most_changes, most_launches)
            kept = {thing.cloud_id for one in ids for thing in things.of_session(tx, one, present=True) if thing.keep}
            recorded = {one.id: one for one in points.recent(tx, limit=100_000)}
            launched = {
                row.cloud_id
                for row in tx.rows(
                    sa.select(schema.cloud_things.c.cloud_id).where(schema.cloud_things.c.kind == "instance")
                )
            }
        found += self._leftovers({str(one) for one in kept})
        found += self._unseen_workers(launched)
        found += self._heads(recorded)
        found += [f"I2: {one}" for one in self.planted.touched(self.eye)]
        found += [f"I2: {one}" for one in self.standing.touched(self.eye)]
        return found

    def journal(self) -> list[dict[str, Any]]:
        """Return the cloud's call log. Calls that make or remove something are in it from the beginning."""
        url = self.stack.record["addresses"]["cloud"] + "/_sim/calls"
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - the cloud's loopback address
            found: list[dict[str, Any]] = json.load(answer)["calls"]
        return found

    def _leftovers(self, kept: set[str]) -> Iterator[str]:
        bucket = f"daywork-control-{INSTALL}"
        for one in self.eye.left(self.accounts, install=INSTALL, control_bucket=bucket, control_account=HOME):
            if one.name in kept | self.planted.names:
                continue
            yield f"I2: left behind: {one}"
        for account in self.accounts:
            pages = (
                self.eye.client(account, "ec2")
                .get_paginator("describe_volumes")
                .paginate(Filters=[{"Name": f"tag:{tags.INSTALL}", "Values": [INSTALL]}])
            )
            for one in (one for page in pages for one in page["Volumes"]):
                if one["VolumeId"] not in kept:
                    yield f"I2: left behind: volume {one['VolumeId']} in account {account}"

    def _unseen_workers(self, known: set[str]) -> Iterator[str]:
        for account in self.accounts:
            pages = (
                self.eye.client(account, "ec2")
                .get_paginator("describe_instances")
                .paginate(Filters=[{"Name": f"tag:{tags.INSTALL}", "Values": [INSTALL]}])
            )
            for one in (one for page in pages for group in page["Reservations"] for one in group["Instances"]):
                if one["InstanceId"] not in known:
                    yield f"I3: instance {one['InstanceId']} in {account} was launched and the ledger never knew of it"

    def _heads(self, recorded: Mapping[str, points.RestorePoint]) -> Iterator[str]:
        """Compare the repository's heads with what the ledger lists. A failed attempt may leave one more."""
        pages = (
            self.eye.client(HOME, "s3")
            .get_paginator("list_objects_v2")
            .paginate(Bucket=f"daywork-repository-{INSTALL}", Prefix="rp/")
        )
        heads = Counter(one["Key"].rsplit("/", 1)[-1] for page in pages for one in page.get("Contents", []))
        for point in recorded:
            if heads[point] != 1:
                yield f"I4: restore point {point} is listed, and has {heads[point]} heads in the repository"
        with self.stack.ledger.read() as tx:
            ended_well = {
                one.state.get("restorePoint"): one
                for row in tx.rows(sa.select(schema.sessions.c.id))
                for one in sessions.resources(tx, row.id)
                if one.status is ResourceStatus.SUCCESS
            }
        for head in heads:
            if head in ended_well and head not in recorded:
                yield f"I4: restore point {head} is in the repository, its backup has succeeded, and it is not listed"


# --- over the ledger --------------------------------------------------------------------------------------------------


def _lost(tx: Transaction, known: Mapping[tuple[str, str], str]) -> Iterator[str]:
    there = {row.id for row in tx.rows(sa.select(schema.sessions.c.id))}
    for key, session in known.items():
        if session not in there:
            yield f"I7: {session} was accepted ({key}) and the ledger does not know it"
    query = sa.select(schema.sessions.c.source, schema.sessions.c.request_id)
    for pair, count in Counter((row.source, row.request_id) for row in tx.rows(query)).items():
        if count > 1:
            yield f"I8: request {pair} became {count} sessions"


def _ending(tx: Transaction, session: str) -> Iterator[str]:
    record = records.session_record(tx, session)
    ends = [ResourceStatus(one["status"]) for one in record["resources"]]
    if not SessionStatus(record["status"]).is_final or record["endedAt"] is None:
        yield f"I1: {session} is {record['status']}, its resources {[str(one) for one in ends]}"
        return
    for one in record["resources"]:
        if not ResourceStatus(one["status"]).is_final or one["endedAt"] is None:
            yield f"I1: {one['id']} of {session} is {one['status']} although the session has ended"
        if one["status"] != ResourceStatus.SUCCESS and not one["reason"]:
            yield f"I1: {one['id']} of {session} is {one['status']} without a reason"
    remaining = record["receipt"]["remaining"]
    if record["status"] != session_outcome(ends) and not remaining:
        yield f"I1: {session} is {record['status']}, its resources are {[str(one) for one in ends]}"
    if remaining:
        yield f"I2: {session} ended and {remaining} remains"
    done = tx.rows(
        sa.select(schema.work.c.ordinal).where(schema.work.c.session_id == session, schema.work.c.step != "done")
    )
    if done:
        yield f"I1: {session} has ended with work open: {[row.ordinal for row in done]}"
    leases = tx.rows(
        sa.select(schema.leases.c.name).where(
            schema.leases.c.owner.like(f"{session}/%"), schema.leases.c.until > tx.now
        )
    )
    if leases:
        yield f"I1: {session} has ended and holds {[row.name for row in leases]}"


def _fences(tx: Transaction, session: str) -> Iterator[str]:
    table = schema.workers
    given = Counter(
        (row.ordinal, row.attempt)
        for row in tx.rows(sa.select(table.c.ordinal, table.c.attempt).where(table.c.session_id == session))
        if row.ordinal is not None
    )
    for (ordinal, attempt), count in given.items():
        if count > 1:
            yield f"I3: attempt {attempt} of resource {ordinal} of {session} was given {count} workers"


def _effects(tx: Transaction, session: str) -> Iterator[str]:
    shown = sessions.get(tx, session)
    table = schema.restore_points
    listed = Counter(
        (row.account, row.region, row.resource_id)
        for row in tx.rows(sa.select(table).where(table.c.session_id == session))
    )
    for one in sessions.resources(tx, session):
        key = (one.account, one.region, one.resource_id)
        if shown.operation == "ec2-backup":
            # A resource that failed after its point was written has one as well: it is complete.
            wanted = {1} if one.status is ResourceStatus.SUCCESS else {0, 1}
            if listed[key] not in wanted:
                yield f"I4: {one.resource_id} of {session} ended {one.status} with {listed[key]} restore points listed"
        elif shown.operation == "ec2-restore-volume":
            kept = [
                thing
                for thing in things.of_session(tx, session, ordinal=one.ordinal, kinds=["volume"], present=True)
                if thing.keep
            ]
            wanted_volumes = len((one.result or {}).get("volumes", [])) if one.status is ResourceStatus.SUCCESS else 0
            if len(kept) != wanted_volumes:
                yield f"I4: {one.resource_id} of {session} ended {one.status} with {len(kept)} new volumes"


def _release(tx: Transaction, session: str, journal: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    lines = [
        row.text
        for row in tx.rows(sa.select(schema.log_lines.c.text).where(schema.log_lines.c.session_id == session))
        if row.text.startswith("session ended")
    ]
    if len(lines) != 1:
        yield f"I5: {session} was ended {len(lines)} times"
    for role in things.of_session(tx, session, kinds=["role"]):
        calls = [one for one in journal if role.name in one["targets"]]
        made = [one for one in calls if one["operation"] == "iam:CreateRole" and one["status"] in _DONE]
        deleted = [one for one in calls if one["operation"] == "iam:DeleteRole" and one["status"] in _DONE]
        cut = [one for one in calls if one["operation"] in ("iam:CreateRole", "iam:DeleteRole") and one["status"] == 0]
        if len(made) > 1 or len(deleted) > 1 or (made and not deleted and not cut):
            yield f"I5: role {role.name} was made {len(made)} times and deleted {len(deleted)} times"
        yield from _used(tx, session, role.name, deleted)


def _used(tx: Transaction, session: str, role: str, deleted: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    table = schema.workers
    for call in deleted:
        for row in tx.rows(
            sa.select(table.c.instance_id, table.c.state, table.c.terminated_at).where(table.c.session_id == session)
        ):
            ended: datetime | None = row.terminated_at
            if row.state != "terminated" or (ended is not None and ended.timestamp() > call["time"]):
                yield f"I6: role {role} was deleted before {row.instance_id} had ended"


# --- over the journal -------------------------------------------------------------------------------------------------


def _is_ours(call: Mapping[str, Any]) -> bool:
    return any(mark in (call["principal"] or "") for mark in _OURS)


def _strangers(tx: Transaction, journal: Sequence[Mapping[str, Any]], planted: Planted) -> Iterator[str]:
    """What the product has removed, it had written down before; look-alikes it has never even asked for."""
    table = schema.cloud_things
    since: dict[str, float] = {}
    for row in tx.rows(sa.select(table.c.name, table.c.cloud_id, table.c.intended_at)):
        for name in (row.name, row.cloud_id):
            if name is not None:
                since[name] = min(since.get(name, row.intended_at.timestamp()), row.intended_at.timestamp())
    for call in journal:
        if not _is_ours(call) or call["operation"] not in _REMOVING:
            continue
        for name in call["targets"]:
            if name in planted.names:
                yield f"I2: {call['operation']} was asked for {name}, which is somebody else's"
            elif call["status"] in _DONE and since.get(name, float("inf")) > call["time"] + call["seconds"]:
                yield f"I2: {call['operation']} removed {name}, which the ledger had not written down"


def _bounds(
    tx: Transaction, journal: Sequence[Mapping[str, Any]], most_changes: int, most_launches: int
) -> Iterator[str]:
    table = schema.resources
    rows = tx.rows(sa.select(table.c.session_id, table.c.attempt))
    attempts, count = sum(int(row.attempt) for row in rows), len({row.session_id for row in rows})
    changes: dict[str, int] = defaultdict(int)
    for call in journal:
        if _is_ours(call) and call["targets"] and call["operation"].partition(":")[0] in ("ec2", "iam"):
            changes[call["operation"]] += 1
    if sum(changes.values()) > most_changes * attempts + 40 * count:
        yield f"I9: {sum(changes.values())} calls to change something for {attempts} attempts: {dict(changes)}"
    if changes["ec2:RunInstances"] > most_launches * max(attempts, 1):
        yield f"I9: RunInstances was called {changes['ec2:RunInstances']} times for {attempts} attempts"
