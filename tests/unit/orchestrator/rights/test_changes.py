"""The permissions changelog: replayed, it is the documents of today."""

from __future__ import annotations

from datetime import date

import pytest
from support.rights import HOME, PRODUCTION, facts

from orchestrator.rights.changes import CHANGES, VERSION, actions_of
from orchestrator.rights.purposes import PURPOSES, Purpose


@pytest.mark.parametrize("purpose", PURPOSES.values(), ids=lambda one: one.name)
def test_the_changes_add_up_to_the_documents_of_today(purpose: Purpose) -> None:
    """An action that comes or goes needs a new version that says so (orchestrator/rights/changes.py)."""
    document = purpose.policy(facts(PRODUCTION if purpose.stands_in == "production" else HOME))
    actions: set[str] = set()
    for statement in document["Statement"]:
        named = statement["Action"]
        actions |= {named} if isinstance(named, str) else set(named)

    assert actions_of()[purpose.name] == actions


def test_versions_go_up_by_one_and_say_when_and_why() -> None:
    """So that an operator can tell which ones to roll out."""
    assert [one.version for one in CHANGES] == list(range(1, VERSION + 1))
    assert all(date.fromisoformat(one.date) and one.why for one in CHANGES)
    assert actions_of(0) == {}
