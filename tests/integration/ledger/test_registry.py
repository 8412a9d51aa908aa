"""The registry in the ledger: every apply that changes something is a version, with time and who."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from support import install as values
from support.install import A, B

from orchestrator.errors import NotFound
from orchestrator.ledger import registry
from orchestrator.ledger.store import Ledger
from orchestrator.model.account import Registry


def apply(ledger: Ledger, document: dict[str, Any], by: str | None = None) -> int | None:
    """Apply a document."""
    with ledger.write() as tx:
        return registry.apply(tx, Registry.model_validate(document), by=by)


def test_each_change_is_a_version_that_holds_all_of_the_registry(ledger: Ledger) -> None:
    """What is applied twice changes nothing; an older version can be looked at."""
    first = values.document()
    second = copy.deepcopy({"accounts": [first["accounts"][1]]})
    second["accounts"][0]["limits"] = {"workers": 5, "vcpus": 40}

    assert [apply(ledger, first, "ada"), apply(ledger, first, "bob"), apply(ledger, second, "bob")] == [1, None, 2]

    with ledger.read() as tx:
        newest, oldest = registry.history(tx)
        assert registry.version(tx) == 2
        assert registry.as_of(tx, 1) == Registry.model_validate(first)
        assert registry.as_of(tx, 2) == registry.load(tx)
    assert (newest.applied_by, oldest.applied_by) == ("bob", "ada")
    assert newest.changes == [
        {"kind": "accounts", "id": A, "name": "production-a", "change": "changed", "fields": ["limits"]}
    ]
    assert [one["change"] for one in oldest.changes] == ["added"] * 4
    assert newest.applied_at >= oldest.applied_at


def test_a_version_that_is_not_there_is_not_found(ledger: Ledger) -> None:
    """With where to look; before the first apply there is none."""
    with ledger.read() as tx:
        assert registry.version(tx) is None
        with pytest.raises(NotFound) as caught:
            registry.as_of(tx, 7)
    assert caught.value.field == "version"
    assert caught.value.remedy


def test_two_accounts_may_swap_their_names(ledger: Ledger) -> None:
    """And a new one may take the name that another gives up, in the same document."""
    document = values.document()
    apply(ledger, document)
    a, b = document["accounts"][1:]
    a["name"], b["name"] = b["name"], a["name"]
    apply(ledger, document)
    freed = {**b, "name": "old"}
    fresh = {"id": "444444444444", "name": b["name"], "regions": ["eu-west-1"]}

    apply(ledger, {"accounts": [fresh, freed]})

    with ledger.read() as tx:
        names = {one.id: one.name for one in registry.load(tx).accounts}
        assert registry.account(tx, "production-b").id == A
    assert {name: names[name] for name in (A, B, "444444444444")} == {
        A: "production-b",
        B: "old",
        "444444444444": "production-a",
    }


def test_versions_written_at_the_same_time_have_numbers_of_their_own(ledger: Ledger) -> None:
    """None is lost."""
    apply(ledger, values.document())

    def add(number: int) -> int | None:
        entry = {"id": f"4444444444{number:02}", "name": f"more-{number}", "regions": ["eu-west-1"]}
        return ledger.run(lambda tx: registry.apply(tx, Registry.model_validate({"accounts": [entry]})))

    with ThreadPoolExecutor(4) as pool:
        numbers = list(pool.map(add, range(4)))

    assert sorted(one for one in numbers if one is not None) == [2, 3, 4, 5]
    with ledger.read() as tx:
        assert len(registry.as_of(tx, 5).accounts) == 7
