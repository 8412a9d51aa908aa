"""A policy's session and what follows it, on a whole installation that may die at any time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support import install as values
from support.install import A
from support.stage import Stage

from orchestrator.ledger import sessions
from orchestrator.scheduler import asking
from orchestrator.scheduler.policy import read_policy


@pytest.fixture
def document() -> dict[str, Any]:
    """Return a registry with an archive."""
    document = values.document()
    document["repositories"][0] |= {"archive": {"url": "s3://daywork-vault/main"}}
    return document


def run_policy(stage: Stage) -> str:
    """Apply a policy over one instance and run it; return its session."""
    account, region, instance = stage.instance(A).split("/")
    policy = {
        "name": "nightly",
        "operation": "ec2-backup",
        "resources": [{"account": account, "region": region, "id": instance}],
        "then": ["ec2-archive"],
    }
    asking.apply(stage.ledger, [read_policy(policy)])
    return asking.run(stage.ledger, "nightly", dispatch=stage.dispatch).session_id


def followers(stage: Stage) -> list[sessions.Session]:
    """Return the sessions that are no policy's run."""
    with stage.ledger.read() as tx:
        return [one for one in sessions.recent(tx) if one.policy is None]


@pytest.mark.parametrize(
    "faults",
    [{}, {"chord": False}, {"twice": True, "nested": True}, {"dies_every": 7, "redelivers": True}, {"dies_every": 11}],
    ids=["none", "no chord", "everything twice", "deaths, redelivered", "deaths"],
)
def test_a_session_is_followed_once_whatever_dies(
    make_stage: Callable[..., Stage], document: dict[str, Any], faults: dict[str, Any]
) -> None:
    """The point that it has written is archived by one session of its own, which nothing follows."""
    stage = make_stage(document=document)
    session = run_policy(stage)
    for name, value in faults.items():
        setattr(stage, name, value)

    stage.run_until(lambda: stage.session(session).status.is_final and not stage.has_running())

    (follower,) = followers(stage)
    assert (follower.operation, follower.status) == ("ec2-archive", "success")
    assert follower.request_id == f"{session}/ec2-archive"
    (point,) = [one.result["restorePoint"] for one in stage.resources(session) if one.result is not None]
    assert [one.resource_id for one in stage.resources(follower.id)] == [point]
