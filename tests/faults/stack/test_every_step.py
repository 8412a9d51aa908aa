"""Parts of a whole stack die while sessions of both modes stand at each of their steps.

Every test brings sessions to their moments (`support.held`), a dozen at once, kills, and lets them go on. Each has to
end with the right status within a minute of the recovery. Then an auditor compares ledger, call journal and cloud:
nothing is left in any account, nothing of others was touched, nothing was done twice to a different effect.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from support import canaries, kills
from support.held import AT_WORK, MOMENTS, Standing, Tableau
from support.invariants import Auditor
from support.servers import wait_for
from support.sources import Source, kill_agent, tiny_sources
from support.stack import Stack, running_stack

from orchestrator.ledger import sessions
from orchestrator.model.work import WorkKey

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

#: Nine held calls, each of which keeps a child of the Celery worker, and some for those that go on.
_UP = ("--concurrency", "12")

#: Within what time of the recovery every session has to end, in seconds.
_RECOVERY = 60


class Scene:
    """A stack with tiny instances in two accounts, and its auditor."""

    def __init__(self, stack: Stack, directory: Path) -> None:
        self.stack = stack
        self.auditor = Auditor.begin(stack)
        first, second = self.auditor.accounts[1:3]
        # Agents that boot in production mode can be held by their account alone, so they have one for themselves.
        self.booting: list[Source] = tiny_sources(stack.eye, first, 4, directory)
        self.others: list[Source] = tiny_sources(stack.eye, second, len(MOMENTS), directory)

    def tableau(self, moments: Sequence[tuple[str, str]]) -> Tableau:
        """Return a tableau whose sources suit its moments."""
        others, booting = iter(self.others), iter(self.booting)
        return Tableau(
            self.stack, [next(booting) if moment == ("production", "booting") else next(others) for moment in moments]
        )

    def ends(self, tableau: Tableau) -> dict[tuple[str, str], str]:
        """Wait for the end of all sessions; return their statuses by their moments."""
        for session in tableau.sessions:
            self.auditor.accepted(session)
        wait_for(lambda: all(self.stack.has_ended(one) for one in tableau.sessions), seconds=_RECOVERY, every=0.1)
        return {(one.mode, one.step): self.status(one) for one in tableau.standing}

    def status(self, one: Standing) -> str:
        """Return a session's status."""
        with self.stack.ledger.read() as tx:
            return str(sessions.get(tx, one.session).status)

    def resource(self, one: Standing) -> sessions.Resource:
        """Return what the ledger says of a session's one resource."""
        with self.stack.ledger.read() as tx:
            return sessions.resource(tx, WorkKey(one.session, 0))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One stack for all tests; at its end no secret may stand anywhere, after all that has gone wrong in it."""
    with running_stack(tmp_path_factory.mktemp("stack"), accounts=2, instances=0, up=_UP) as stack:
        yield Scene(stack, tmp_path_factory.mktemp("images"))
        assert canaries.leaks(stack, tasks_of_each=5) == []


def pool_children(stack: Stack) -> dict[str, int]:
    """Kill the children that carry steps out; their parent replaces them."""
    kills.kill(kills.children(stack, "celery-worker"))
    return {}


def all_of_celery(stack: Stack) -> dict[str, int]:
    """Kill Celery workers with their children, and beat."""
    return kills.kill_programs(stack, kills.CELERY)


def listener_and_beat(stack: Stack) -> dict[str, int]:
    """Kill who takes reports and who has periodic work done."""
    return kills.kill_programs(stack, ["listener", "beat"])


def broker(stack: Stack) -> dict[str, int]:
    """Kill the broker; it comes back with what it had written down."""
    return kills.kill_programs(stack, ["valkey"])


def broker_and_its_data(stack: Stack) -> dict[str, int]:
    """Kill the broker; it comes back empty."""
    kills.empty_broker(stack)
    return kills.kill_programs(stack, ["valkey"])


@pytest.mark.parametrize("victim", [pool_children, all_of_celery, listener_and_beat, broker, broker_and_its_data])
def test_what_is_killed_at_any_step_costs_time_and_nothing_else(
    scene: Scene, victim: Callable[[Stack], dict[str, int]]
) -> None:
    """Every session succeeds, in both modes, wherever it stood."""
    moments = MOMENTS if victim is all_of_celery else AT_WORK
    tableau = scene.tableau(moments)
    with tableau.set_up(moments):
        killed = victim(scene.stack)
    kills.wait_for_others(scene.stack, killed)

    assert set(scene.ends(tableau).values()) == {"success"}
    assert scene.auditor.broken() == []


def test_a_soft_end_of_everything_fails_no_resource(scene: Scene) -> None:
    """SIGTERM to all programs of the control plane, as for an upgrade: steps in flight are finished or handed back."""
    tableau = scene.tableau(AT_WORK)
    with tableau.set_up(AT_WORK):
        ended = kills.kill_programs(
            scene.stack, [*kills.CELERY, "listener", "intake"], number=signal.SIGTERM, with_children=False
        )
    kills.wait_for_others(scene.stack, ended)

    assert set(scene.ends(tableau).values()) == {"success"}
    assert scene.auditor.broken() == []


_WITH_A_WORKER = tuple((mode, step) for mode in ("backup", "production") for step in ("booting", "running"))


def test_an_agent_that_is_killed_is_replaced_when_the_request_allows_it(scene: Scene) -> None:
    """Its instance ends with it; the next attempt has a worker of its own and succeeds."""
    tableau = scene.tableau(_WITH_A_WORKER)
    with tableau.set_up(_WITH_A_WORKER, retry={"attempts": 2, "delay": 0}):
        first = {one.session: tableau.instance(one) for one in tableau.standing}
        for instance in first.values():
            kill_agent(scene.stack.eye, instance)

    assert set(scene.ends(tableau).values()) == {"success"}
    for one in tableau.standing:
        shown = scene.resource(one)
        assert shown.attempt == 2
        assert shown.instance_id not in (None, first[one.session])
    assert scene.auditor.broken() == []


def test_an_instance_that_is_terminated_by_hand_fails_its_resource_and_says_so(scene: Scene) -> None:
    """The account's administrator ends the workers in the console; nothing else of them stays."""
    tableau = scene.tableau(_WITH_A_WORKER)
    with tableau.set_up(_WITH_A_WORKER):
        for one in tableau.standing:
            account = one.source[0] if one.mode == "production" else scene.auditor.accounts[0]
            scene.stack.eye.client(account, "ec2").terminate_instances(InstanceIds=[tableau.instance(one)])

    assert set(scene.ends(tableau).values()) == {"failed"}
    for one in tableau.standing:
        reason = scene.resource(one).reason or ""
        assert "ended before its agent was ready" in reason or "before its job ended" in reason
    assert scene.auditor.broken() == []
