"""The sweeper over many accounts: a pass is bounded, goes on where the last one ended, and forgets nobody."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from support import install as values
from support.fakes.world import FakeInstance
from support.install import HOME, INSTALL, REGION
from support.stage import Stage

from orchestrator import tags
from orchestrator.errors import AccessDenied
from orchestrator.ledger import counters, registry
from orchestrator.model.account import Registry
from orchestrator.sweeper import removal
from orchestrator.sweeper.sweep import FOUND, Pass, sweep

UNKNOWN = "s-01ARZ3NDEKTSV4RRFFQ69G5FAV"
MANY = 60
#: Regions of two accounts.
PLACES = 4


@pytest.fixture
def crowded(stage: Stage) -> Stage:
    """An installation with some hundred accounts, each with two Regions."""
    documents = [
        values.account(f"4{number:011}", f"account-{number}", "backup", "restore", "worker") for number in range(MANY)
    ]
    for one in documents:
        for role in one["roles"].values():
            stage.world.add_role(one["id"], role.rsplit("/", 1)[-1])
    with stage.ledger.write() as tx:
        registry.apply(tx, Registry.model_validate({"accounts": documents, "repositories": []}))
    return stage


def leave_worker(stage: Stage, account: str, session: str = UNKNOWN) -> FakeInstance:
    """Leave an instance of an unknown session behind."""
    one = FakeInstance(
        id=stage.world.new_id("i"), account=account, region=REGION, type="c5.large", subnet="subnet", zone=f"{REGION}a",
        launched_at=stage.clock.now() - timedelta(hours=1), tags=tags.session_tags(INSTALL, session),
    )  # fmt: skip
    stage.world.instances[one.id] = one
    return one


def one_pass(stage: Stage, places: int = PLACES) -> tuple[Pass, int]:
    """Let a pass of the periodic sweep run; returns it and how many calls of the cloud it made."""
    before = len(stage.world.script.calls)
    done = sweep(stage.services, places=places)
    stage.clock.pass_by(timedelta(seconds=70))
    return done, len(stage.world.script.calls) - before


def a_turn(stage: Stage, places: int = PLACES) -> list[tuple[Pass, int]]:
    """Let passes run until all accounts have been looked at."""
    passes: list[tuple[Pass, int]] = []
    while sum(done.accounts for done, _ in passes) < MANY + 3:
        passes.append(one_pass(stage, places))
    return passes


def trusted(stage: Stage) -> Stage:
    """Have the ledger sweep while the cloud is empty."""
    assert sweep(stage.services).distrust is None
    return stage


def test_a_pass_makes_a_bounded_number_of_calls_however_many_accounts_there_are(crowded: Stage) -> None:
    """And a turn of passes looks at all of them, each once."""
    trusted(crowded)

    passes = a_turn(crowded)

    assert sum(done.accounts for done, _ in passes) == MANY + 3
    assert len(passes) == (MANY + 3 + 1) // 2
    assert max(calls for _, calls in passes) <= PLACES * 5 + 2 + 3
    looked = {call.account for call in crowded.world.script.calls if call.operation == "workers"}
    assert len(looked) == MANY + 3


def test_an_orphan_anywhere_is_marked_in_one_turn_and_removed_in_the_next(crowded: Stage) -> None:
    """Passes about other accounts leave its mark alone, and it is counted once."""
    trusted(crowded)
    orphans = [leave_worker(crowded, f"4{number:011}") for number in (0, 37, MANY - 1)]

    first = [one for done, _ in a_turn(crowded) for one in done.findings]
    assert [one.done for one in first] == ["marked"] * 3
    assert all(one.ends_at is None for one in orphans)
    second = [one for done, _ in a_turn(crowded) for one in done.findings]

    assert [one.done for one in second] == ["removed"] * 3
    assert all(one.ends_at is not None for one in orphans)
    with crowded.ledger.read() as tx:
        assert counters.read(tx, FOUND) == {"instance": 3}


def test_a_ledger_that_is_new_trusts_itself_when_a_whole_turn_was_empty(crowded: Stage) -> None:
    """Accounts that no pass has looked at yet may hold what another ledger knows."""
    passes = a_turn(crowded)

    assert all(done.distrust is not None for done, _ in passes[:-1])
    assert passes[-1][0].distrust is None
    assert one_pass(crowded)[0].distrust is None


def test_a_ledger_that_is_new_never_removes_what_it_found_in_its_first_turn(crowded: Stage) -> None:
    """The last passes of that turn see nothing; the first one did."""
    orphan = leave_worker(crowded, HOME)

    for _ in range(3):
        assert all(done.distrust is not None for done, _ in a_turn(crowded, 20))

    assert orphan.ends_at is None


def test_an_account_that_refuses_does_not_keep_the_others_from_being_swept(crowded: Stage) -> None:
    """It is named, and looked at again in the next turn."""
    trusted(crowded)
    orphan = leave_worker(crowded, f"4{5:011}")
    refusing = f"4{4:011}"
    crowded.world.script.fail("*", AccessDenied("no"), account=refusing, times=None)

    turns = [a_turn(crowded) for _ in range(2)]

    for passes in turns:
        assert {failure.split(" in ")[1][:12] for done, _ in passes for failure in done.failures} == {refusing}
    assert orphan.ends_at is not None


def test_a_pass_removes_so_much_and_goes_on_in_the_next_one(
    make_stage: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers of one place go in one call, whatever their number; what goes by itself is bounded."""
    stage = trusted(make_stage())
    monkeypatch.setattr(removal, "REMOVALS", 5)
    workers = [leave_worker(stage, HOME) for _ in range(30)]
    for number in range(8):
        stage.world.bucket[f"orders/s-01ARZ3NDEKTSV4RRFFQ69G5F{number:02}/AROA:i-1.json"] = "{}"
    sweep(stage.services)
    stage.clock.pass_by(timedelta(seconds=70))

    found = sweep(stage.services).findings

    assert all(one.ends_at is not None for one in workers)
    assert len([one for one in stage.world.script.calls if one.operation == "terminate"]) == 1
    assert len([one for one in found if one.kind == "orders" and one.done == "removed"]) == 4
    assert {one.done for one in sweep(stage.services).findings} == {"removed"}
    assert not [key for key in stage.world.bucket if key.startswith("orders/")]


def test_a_role_is_not_taken_from_under_a_worker_in_another_region(stage: Stage) -> None:
    """All Regions of its account are looked at when it is to be removed, not when the pass began."""
    trusted(stage)
    role = tags.temporary_role_name(UNKNOWN)
    stage.world.add_role(HOME, role, path=tags.path_of(INSTALL), profile=True, tags=tags.session_tags(INSTALL, UNKNOWN))
    sweep(stage.services)
    stage.clock.pass_by(timedelta(seconds=70))
    late = leave_worker(stage, HOME)
    late.region = values.OTHER_REGION

    found = {one.kind: one for one in sweep(stage.services).findings}

    assert found["role"].done == "marked"
    assert "still has an instance" in found["role"].reason
    assert (HOME, role) in stage.world.roles
