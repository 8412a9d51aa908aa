"""Whole sessions in this process: a queue of messages, a fake cloud with agents, and time that jumps to what is next.

The loop does what Celery, beat and the listener do, and nothing else: it delivers messages to `carry_out`, follows a
chain when it goes on, counts a chord, runs `watch` and `reconcile`, and takes reports.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from orchestrator import submission
from orchestrator.dispatch import ForgivingDispatch
from orchestrator.fleet.endings import end_workers
from orchestrator.fleet.launches import launch_pending
from orchestrator.fleet.reports import take
from orchestrator.fleet.watch import watch
from orchestrator.ledger import registry, schema, sessions, work
from orchestrator.ledger.store import Ledger, Transaction
from orchestrator.model.account import Registry
from orchestrator.model.status import RESOURCE_STEPS, Step, next_step
from orchestrator.model.work import SESSION, WorkKey
from orchestrator.reconcile import reconcile
from orchestrator.scheduler.following import follow
from orchestrator.services import Install, Services
from orchestrator.steps import STEPS
from orchestrator.steps.carry import Carried, Verdict, carry_out
from support import install as values
from support.clock import FakeClock
from support.fakes.agent import Agents
from support.fakes.cloud import FakeCloud
from support.fakes.limiter import MemoryLimiter
from support.fakes.script import Call, Died
from support.fakes.world import World

_RECONCILE = timedelta(seconds=15)
_FIRST_JUMP, _LONGEST_JUMP = timedelta(seconds=10), timedelta(minutes=2)


class MortalLedger(Ledger):
    """A ledger whose process can die, and which knows whether a transaction is open."""

    def __init__(self, engine: Engine, clock: FakeClock) -> None:
        """Take an engine and the clock."""
        super().__init__(engine, clock)
        self.is_dead = False
        self.depth = 0
        self.before_end: Callable[[], None] = lambda: None
        self.after_end: Callable[[], None] = lambda: None

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """As it is; the dead write nothing."""
        with self._open(super().write) as tx:
            yield tx
            self.before_end()
        self.after_end()

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """As it is; the dead read nothing."""
        with self._open(super().read) as tx:
            yield tx

    @contextmanager
    def _open(self, begin: Callable[[], Any]) -> Iterator[Transaction]:
        if self.is_dead:
            raise Died
        assert self.depth == 0, "a transaction inside another one locks itself out"
        self.depth += 1
        try:
            with begin() as tx:
                yield tx
        finally:
            self.depth -= 1


class Message(NamedTuple):
    """One Celery message: a step of a unit of work, or a look at launches or endings of a place."""

    kind: str
    key: WorkKey | None = None
    step: Step | None = None
    attempt: int = 1
    place: tuple[str, str] | None = None
    after: timedelta = timedelta()


@dataclass
class QueueDispatch:
    """`orchestrator.ports.Dispatch` on a queue in memory."""

    ledger: Ledger
    messages: deque[Message]
    is_down: bool = False

    def drive(self, keys: Iterable[WorkKey]) -> None:
        """See the port."""
        wanted = list(keys)
        if self.is_down and wanted:
            raise ConnectionError("the broker does not answer")
        with self.ledger.read() as tx:
            places = work.places(tx, wanted)
        self.messages.extend(
            Message("step", place.key, place.step, place.attempt) for place in places if place.step is not Step.DONE
        )

    def launch(self, account: str, region: str, *, after: timedelta = timedelta()) -> None:
        """See the port. The queue itself gathers: whatever can be done before this message is done before it."""
        self.messages.append(Message("launch", place=(account, region), after=after))

    def terminate(self, account: str, region: str, *, after: timedelta = timedelta()) -> None:
        """See the port."""
        self.messages.append(Message("terminate", place=(account, region), after=after))


@dataclass
class Stage:
    """One installation at work. Public fields may be changed by a test at any time.

    `redelivers` has a message whose process died delivered again; `dies_every` is how many write transactions a process
    lives, every other one dying before its last commit. `twice` delivers every message a second time; `nested` delivers
    the present message again in the middle of each cloud call, together with watch, reconcile and the listener; `chord`
    False never calls the callback.
    """

    engine: Engine
    clock: FakeClock
    document: dict[str, Any] = field(default_factory=values.document)
    install: Install = field(default_factory=values.install)
    chord: bool = True
    twice: bool = False
    nested: bool = False
    redelivers: bool = False
    dies_every: int | None = None

    def __post_init__(self) -> None:
        """Furnish the world and start the first process."""
        self.world = World(self.clock)
        values.furnish(self.world)
        self.agents = Agents(self.world)
        self.limiter = MemoryLimiter(self.clock)
        self.messages: deque[Message] = deque()
        self.deaths = 0
        self.failures = 0
        self.delivered: list[tuple[Message, Carried | None]] = []
        self._sizes: dict[str, int] = {}
        self._counted: dict[str, set[int]] = {}
        self._jump = _FIRST_JUMP
        self._reconciled = self.clock.now()
        self._now_delivering: Message | None = None
        self._depth = 0
        self._is_guarded = False
        self._transactions = 0
        self.world.script.on_call = self._on_call
        self.world.script.on_death = self._on_death
        self.start_process()
        with self.ledger.write() as tx:
            registry.apply(tx, Registry.model_validate(self.document))
        self.baseline = self.iam()
        self.foreign: set[str] = set()

    def start_process(self) -> None:
        """Start a new process: nothing is shared with the one before but the database and the cloud."""
        self.ledger = MortalLedger(self.engine, self.clock)
        self.ledger.before_end = lambda: self._count_transaction(is_rolled_back=True)
        self.ledger.after_end = lambda: self._count_transaction(is_rolled_back=False)
        self.dispatch = QueueDispatch(self.ledger, self.messages)
        self.services = Services(
            ledger=self.ledger,
            cloud=FakeCloud(self.world, self.install, values.EXTERNAL_IDS.get),
            dispatch=ForgivingDispatch(self.dispatch),
            limiter=self.limiter,
            clock=self.clock,
            install=self.install,
            follow=follow,
        )

    def iam(self) -> dict[str, Any]:
        """Return all IAM state, to be compared."""
        roles = {f"{key}": (one.arn, one.role_id, one.policy) for key, one in self.world.roles.items()}
        profiles = {f"{key}": tuple(one.roles) for key, one in self.world.profiles.items()}
        return {"roles": roles, "profiles": profiles}

    def instance(self, account: str = values.A, *sizes: int, **options: Any) -> str:
        """Add an instance to be protected; returns `ACCOUNT/REGION/ID`."""
        made = self.world.add_instance(account, values.REGION, *(sizes or (8,)), **options)
        self.foreign |= {one.volume_id for one in made.volumes}
        return f"{account}/{values.REGION}/{made.id}"

    # --- what people do ---

    def submit(self, *resources: str, **request: Any) -> str:
        """Submit a request over `ACCOUNT/REGION/ID`s; returns the session's id."""
        self._requests = getattr(self, "_requests", 0) + 1
        body = {
            "source": "test",
            "id": str(self._requests),
            "operation": "ec2-backup",
            "resources": [dict(zip(("account", "region", "id"), one.split("/", 2), strict=True)) for one in resources],
            **request,
        }
        return submission.submit(self.ledger, body, dispatch=self.dispatch).session_id

    def stop(self, session: str) -> None:
        """Ask a session to stop."""
        with self.ledger.write() as tx:
            woken = sessions.request_stop(tx, session)
        self.dispatch.drive(woken)

    def session(self, session: str) -> sessions.Session:
        """Return a session."""
        with self.ledger.read() as tx:
            return sessions.get(tx, session)

    def resources(self, session: str) -> list[sessions.Resource]:
        """Return a session's resources."""
        with self.ledger.read() as tx:
            return sessions.resources(tx, session)

    # --- what processes do ---

    def deliver(self, message: Message) -> Carried | None:
        """Deliver one message, as a Celery worker does."""
        before, self._now_delivering = self._now_delivering, message
        try:
            carried = self._carry(message)
        finally:
            self._now_delivering = before
        self.delivered.append((message, carried))
        return carried

    def _carry(self, message: Message) -> Carried | None:
        if message.place is not None:
            look = launch_pending if message.kind == "launch" else end_workers
            self._guarded(lambda: look(self.services, *message.place))  # type: ignore[misc]
            return None
        assert message.key is not None
        assert message.step is not None
        key, step, services = message.key, message.step, self.services
        carried = self._guarded(lambda: carry_out(services, STEPS, key, step, message.attempt))
        if carried is None:
            if self.redelivers:
                self.messages.append(message)
            return None
        if carried.verdict is Verdict.GO_ON:
            self._go_on(key, step, message.attempt)
        return carried

    def _go_on(self, key: WorkKey, step: Step, attempt: int) -> None:
        if step is Step.START:
            self._guarded(lambda: self._publish(key.session))
        elif step is Step.TEARDOWN:
            counted = self._counted.setdefault(key.session, set())
            is_new = key.ordinal not in counted
            counted.add(key.ordinal)
            if self.chord and is_new and len(counted) == self._sizes.get(key.session):
                self.messages.append(Message("step", WorkKey(key.session, SESSION), Step.RELEASE))
        elif step in RESOURCE_STEPS:
            self.messages.append(Message("step", key, next_step(step), attempt))

    def _publish(self, session: str) -> None:
        with self.ledger.read() as tx:
            ordinals = work.ordinals(tx, session)
        self._sizes[session] = len(ordinals)
        self.dispatch.drive([WorkKey(session, one) for one in ordinals] or [WorkKey(session, SESSION)])

    def _guarded(self, deed: Callable[[], Any]) -> Any:
        """Run something that may be the end of its process; then a new one starts."""
        ledger = self.ledger
        before, self._is_guarded = self._is_guarded, True
        try:
            return deed()
        except Died:
            ledger.is_dead = True
            if ledger is self.ledger:
                self.deaths += 1
                self.start_process()
            return None
        except Exception:  # noqa: BLE001 - a test may make anything fail
            # A Celery task that raises is over; so is one round of beat or of the listener.
            self.failures += 1
            return None
        finally:
            self._is_guarded = before

    def _on_call(self, call: Call) -> None:
        assert self.ledger.depth == 0, f"{call.operation} was called inside a transaction"
        if not self.nested or self._depth >= 1 or self._now_delivering is None:
            return
        self._depth += 1
        try:
            self.deliver(self._now_delivering)
            self.listen()
            self._guarded(lambda: watch(self.services))
            self._guarded(lambda: reconcile(self.services))
        finally:
            self._depth -= 1

    def _on_death(self) -> None:
        """Let the dead write nothing: what Python runs on the way out of an exception, a killed process does not."""
        self.ledger.is_dead = True

    def _count_transaction(self, *, is_rolled_back: bool) -> None:
        if self.dies_every is None or not self._is_guarded:
            return
        self._transactions += is_rolled_back
        if self._transactions >= self.dies_every and is_rolled_back == bool(self.deaths % 2):
            self._transactions = 0
            raise Died

    def listen(self) -> bool:
        """Take what is in the report queue, as the listener does."""
        if not self.world.queue:
            return False
        reports = FakeCloud(self.world, self.install, values.EXTERNAL_IDS.get).reports()

        def deed() -> None:
            received = reports.receive(0)
            reports.acknowledge(take(self.services, received))

        self._guarded(deed)
        return True

    # --- time ---

    def turn(self, enough: Callable[[], bool] | None = None) -> bool:
        """Do everything that can be done now, or `enough` of it. Returns whether anything was."""
        moved = False
        while self.messages and not (enough is not None and enough()):
            moved = True
            message = self.messages.popleft()
            self.deliver(message)
            if self.twice:
                self.deliver(message)
        moved |= self.agents.run()
        return self.listen() or moved

    def pass_time(self) -> None:
        """Move to the next moment at which something happens by itself, at most to the end of the present patience."""
        now = self.clock.now()
        with self.ledger.read() as tx:
            parked = tx.execute(
                sa.select(sa.func.min(schema.work.c.wait_until)).where(schema.work.c.parked)
            ).scalar_one()
            batches = tx.execute(
                sa.select(sa.func.min(schema.launch_batches.c.not_before)).where(
                    schema.launch_batches.c.state == "open"
                )
            ).scalar_one()
        moments = [self.world.next_change(), self.agents.next_deed(), parked, batches, now + self._jump]
        nearest = min(one for one in moments if one is not None and one > now)
        self.clock.set(max(nearest, now + timedelta(milliseconds=50)))
        self._jump = min(self._jump * 2, _LONGEST_JUMP)
        self._guarded(lambda: watch(self.services))
        if self.clock.now() - self._reconciled >= _RECONCILE:
            self._reconciled = self.clock.now()
            self._guarded(lambda: reconcile(self.services))

    def run_until(
        self, condition: Callable[[], bool], *, limit: timedelta = timedelta(days=4), look_often: bool = False
    ) -> None:
        """Go on until a condition holds; it is looked at when nothing is left to do, or after every message."""
        end = self.clock.now() + limit
        while True:
            if self.turn(condition if look_often else None):
                self._jump = _FIRST_JUMP
            if condition():
                return
            assert self.clock.now() < end, f"the condition did not come true within {limit} of fake time"
            self.pass_time()

    def run(self, *wanted: str, limit: timedelta = timedelta(days=4)) -> None:
        """Go on until these sessions have ended."""
        self.run_until(lambda: all(self.session(one).status.is_final for one in wanted), limit=limit)

    def has_running(self) -> bool:
        """Whether any session has not ended."""
        with self.ledger.read() as tx:
            return any(not one.status.is_final for one in sessions.recent(tx))

    def elapse_quietly(self) -> None:
        """Let late messages and reports come, and claims of the dead run out, without any fault."""
        self.world.script.heal()
        self.dies_every = None
        self.elapse(timedelta(minutes=4))

    def elapse(self, span: timedelta) -> None:
        """Let time pass, with everything that happens in it."""
        end = self.clock.now() + span
        self.run_until(lambda: self.clock.now() >= end)
