"""What accounts share: the control plane's own identity, the control bucket, the report queue, the repository's key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from console.checks.findings import Finding, Findings, State
from console.checks.roles import Look, prove
from orchestrator.errors import CloudError, Missing
from orchestrator.rights.facts import Facts
from orchestrator.rights.purposes import PURPOSES
from orchestrator.rights.trust import Answer, Question, lets_in
from orchestrator.statements import Document


def look_at_control_plane(look: Look, identity: str) -> Findings:
    """Prove the rights of the control plane's own identity, which asks for itself."""
    own = replace(look, facts=replace(look.facts, control_plane=identity))
    # A role under a path cannot be told from its session, and is then not found: that proves nothing.
    for one in prove(own, PURPOSES["control-plane"], identity, look.cloud.rights(look.access(None))):
        if one.text.startswith("there is no role"):
            yield look.finding(
                "controlPlane",
                State.UNKNOWN,
                f"IAM does not know {identity}: a role under a path has another ARN",
                remedy="Compare its policy with daywork role document --purpose control-plane",
            )
        else:
            yield one


def look_at_doors(look: Look) -> Findings:
    """Look whether workers of every account may reach their orders and send reports."""
    doors = look.cloud.doors()
    for subject, name, read, target in (
        ("bucket", "control-bucket", doors.bucket_policy, look.facts.control_bucket),
        ("queue", "report-queue", doors.queue_policy, look.facts.report_queue),
    ):
        try:
            policy = read()
        except Missing as error:
            yield look.finding(subject, State.MISSING, error.reason, remedy=error.remedy, target=target)
            continue
        except CloudError as error:
            yield look.finding(subject, State.UNKNOWN, error.reason, remedy=error.remedy, target=target)
            continue
        yield from _door(look, subject, target, policy, PURPOSES[name].policy(look.facts)["Statement"])


def _door(look: Look, subject: str, target: str, policy: Document, wanted: Sequence[Document]) -> Findings:
    lacking = [
        (account, statement)
        for account, _ in look.facts.workers
        if account != look.facts.home
        for statement in wanted
        if not _is_open(policy, account, statement)
    ]
    for account, statement in lacking:
        add = {**statement, "Principal": {"AWS": f"arn:aws:iam::{account}:root"}}
        yield Finding(
            account=account,
            subject=subject,
            state=State.MISSING,
            text=f"{target.rpartition(':')[2]} does not let workers of {account} in ({statement['Sid']})",
            remedy=f"Add the statement to the {subject}'s policy",
            target=target,
            add=add,
        )
    if not lacking:
        yield look.finding(subject, State.OK, f"{target.rpartition(':')[2]} lets the workers of every account in")


def _is_open(policy: Document, account: str, statement: Document) -> bool:
    resources: Any = statement["Resource"]
    actions: Any = statement["Action"]
    return all(
        lets_in(
            policy,
            Question(
                principal=f"arn:aws:iam::{account}:root",
                account=account,
                action=action,
                resource=resource,
            ),
        )
        is not Answer.NO
        for action in ([actions] if isinstance(actions, str) else actions)
        for resource in ([resources] if isinstance(resources, str) else resources)
    )


def look_at_key(look: Look, facts: Facts) -> Findings:
    """Look whether the repository's key is there and enabled, as a role of its account sees it."""
    key = facts.repository.key
    role = look.account.roles.backup or look.account.roles.restore
    if role is None:
        yield look.finding("key", State.NOTE, f"no backup or restore role in {look.account.name} can look at {key}")
        return
    try:
        found = look.cloud.keys(look.access(role)).key(key)
    except Missing as error:
        yield look.finding("key", State.MISSING, error.reason, remedy="Name the repository's key right", target=key)
    except CloudError as error:
        yield look.finding("key", State.UNKNOWN, error.reason, remedy=error.remedy, target=key)
    else:
        if found.is_enabled:
            yield look.finding("key", State.OK, "the repository's key is enabled", target=key)
        else:
            yield look.finding(
                "key",
                State.MISSING,
                "the repository's key is disabled: nothing can be backed up or restored",
                remedy="Enable the key; losing it loses the backups",
                target=key,
            )
