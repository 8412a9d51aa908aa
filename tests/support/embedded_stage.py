"""Whole sessions on an embedded cloud: real adapters, rights and limits; agents are simulated, and time runs faster.

The loop does what Celery, beat and the listener do (`support.stage`), on an embedded cloud in this process. What an
agent says is handed to the listener's own function under the sender that SQS would attach; orders come from the bucket.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from time import monotonic
from types import SimpleNamespace
from typing import Any, Final

from localcloud import state
from localcloud.metadata import user_data
from orchestrator import submission, tags
from orchestrator.aws.cloud import AwsCloud
from orchestrator.dispatch import ForgivingDispatch
from orchestrator.fleet.endings import end_workers
from orchestrator.fleet.launches import launch_pending
from orchestrator.fleet.reports import take
from orchestrator.fleet.watch import watch
from orchestrator.ledger import registry, schema, sessions, things, work
from orchestrator.ledger.store import Ledger, make_engine
from orchestrator.model.account import Registry
from orchestrator.model.status import RESOURCE_STEPS, Step, next_step
from orchestrator.model.work import SESSION, WorkKey
from orchestrator.reconcile import reconcile
from orchestrator.services import Services
from orchestrator.steps import STEPS
from orchestrator.steps.carry import Verdict, carry_out
from support.fakes.agent import Agents
from support.fakes.limiter import MemoryLimiter
from support.seeded import FIRST, HOME, REGION, World
from support.servers import wait_for
from support.stage import Message, QueueDispatch

#: How many times as fast as the machine's own clock time passes.
SPEED: Final = 20
_WATCH, _RECONCILE = timedelta(seconds=2), timedelta(seconds=15)
_LONG: Final = timedelta(hours=12)


@dataclass
class FastClock:
    """The machine's clock, `speed` times as fast from now on."""

    speed: float = SPEED
    begun: datetime = field(default_factory=lambda: datetime.now(UTC))
    mark: float = field(default_factory=monotonic)

    def seconds(self) -> float:
        """Return how much time has passed."""
        return (monotonic() - self.mark) * self.speed

    def now(self) -> datetime:
        """Return the time, UTC."""
        return self.begun + timedelta(seconds=self.seconds())


class _Bucket:
    """The control bucket, as agents see it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def get(self, key: str) -> str | None:
        found = state.bucket(self._name).keys.get(key)
        return None if found is None else found.value.decode()

    def __contains__(self, key: str) -> bool:
        return self.get(key) is not None


@dataclass
class _Machines:
    """What `Agents` needs of a world, on the embedded cloud's own state."""

    world: World
    clock: FastClock
    queue: list[Any] = field(default_factory=list)
    timing: Any = field(default_factory=lambda: SimpleNamespace(boot=timedelta()))
    _known: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.bucket = _Bucket(self.world.install.control_bucket)

    @property
    def instances(self) -> dict[str, Any]:
        for one in state.instances(HOME, REGION):
            if one.id not in self._known and tags.INSTALL in _tags_of(one) and one.state == "running":
                role = next(iter(state.profile(HOME, one.iam_instance_profile["Arn"].rsplit("/", 1)[-1]).roles))
                self._known[one.id] = SimpleNamespace(
                    id=one.id,
                    user_data=user_data(one),
                    user_id=f"{role.id}:{one.id}",
                    launched_at=self.clock.now(),
                )
        return self._known

    def state_of(self, instance: Any) -> str:
        return str(state.instance(HOME, REGION, instance.id).state)

    def terminate(self, instance_id: str, reason: str) -> None:
        del reason
        self.world.cloud.server.cloud.instance_shutdown(HOME, REGION, instance_id)


def _tags_of(instance: Any) -> dict[str, str]:
    return {one["key"]: one["value"] for one in instance.get_tags()}


class EmbeddedStage:
    """One installation at work. `rules` are faults that end at a time of the fast clock."""

    def __init__(self, world: World, speed: float = SPEED) -> None:
        """Make an empty ledger with the seeded accounts in it; time begins."""
        self.world, self.clock = world, FastClock(speed)
        self.engine = make_engine("sqlite://")
        schema.metadata.create_all(self.engine)
        self.ledger = Ledger(self.engine, self.clock)
        self.messages: deque[Message] = deque()
        self.machines = _Machines(world, self.clock)
        self.agents = Agents(self.machines)  # type: ignore[arg-type]  # it asks no more of a world than this
        manners = self.agents.manners
        manners.ready, manners.work = timedelta(0), timedelta(seconds=5)
        # They do not end their instances, so that terminating them is the control plane's own work.
        manners.loses_object, manners.ends = True, False
        limiter = MemoryLimiter(self.clock)
        self.services = Services(
            ledger=self.ledger,
            cloud=AwsCloud(install=world.install, external_id=world.external_ids.get, limiter=limiter),
            dispatch=ForgivingDispatch(QueueDispatch(self.ledger, self.messages)),
            limiter=limiter,
            clock=self.clock,
            install=world.install,
        )
        self._rules: list[tuple[datetime, str]] = []
        self._watched = self._reconciled = self.clock.now()
        world.cloud.server.cloud.throttle.set_clock(self.clock.seconds)

    def apply(self, document: dict[str, Any]) -> None:
        """Apply a registry document."""
        with self.ledger.write() as tx:
            registry.apply(tx, Registry.model_validate(document))

    def fault_for(self, span: timedelta, operation: str, kind: str, **rule: Any) -> None:
        """Make calls fail for a while."""
        self._rules.append((self.clock.now() + span, self.world.cloud.fault(operation, kind, **rule)))

    def submit(self, ids: list[str], number: int = 1) -> str:
        """Submit a backup of instances of the first production account; return the session's id."""
        body = {
            "source": "test",
            "id": str(number),
            "operation": "ec2-backup",
            "resources": [{"account": FIRST, "region": REGION, "id": one} for one in ids],
        }
        return submission.submit(self.ledger, body, dispatch=self.services.dispatch).session_id

    def run(self, *wanted: str, seconds: float) -> None:
        """Go on until these sessions have ended, `seconds` of the machine's time at most."""
        wait_for(lambda: self._turn() and self._have_ended(*wanted), seconds=seconds, every=0.01)

    def _have_ended(self, *wanted: str) -> bool:
        with self.ledger.read() as tx:
            return all(sessions.get(tx, one).status.is_final for one in wanted)

    def _turn(self) -> bool:
        now = self.clock.now()
        for end, rule in [one for one in self._rules if one[0] <= now]:
            self.world.cloud.sim("DELETE", f"faults/{rule}")
            self._rules.remove((end, rule))
        for _ in range(len(self.messages)):
            self._deliver(self.messages.popleft())
        self.agents.run()
        if self.machines.queue:
            received, self.machines.queue[:] = list(self.machines.queue), []
            done = take(self.services, received)
            self.machines.queue += [one for one in received if one.handle not in done]
        if now - self._watched >= _WATCH:
            self._watched = now
            watch(self.services)
        if now - self._reconciled >= _RECONCILE:
            self._reconciled = now
            reconcile(self.services)
        return not self.messages

    def _deliver(self, message: Message) -> None:
        if message.place is not None:
            (launch_pending if message.kind == "launch" else end_workers)(self.services, *message.place)
            return
        assert message.key is not None
        assert message.step is not None
        carried = carry_out(self.services, STEPS, message.key, message.step, message.attempt)
        if carried.verdict is not Verdict.GO_ON:
            return
        if message.step is Step.START:
            with self.ledger.read() as tx:
                keys = [WorkKey(message.key.session, one) for one in work.ordinals(tx, message.key.session)]
            self.services.dispatch.drive(keys)
        elif message.step is Step.TEARDOWN:
            self.services.dispatch.drive([WorkKey(message.key.session, SESSION)])
        elif message.step in RESOURCE_STEPS:
            self.messages.append(Message("step", message.key, next_step(message.step), message.attempt))

    def launched(self, session: str) -> int:
        """Return how many instances a session has ever had, terminated ones included."""
        found = state.instances(HOME, REGION)
        return sum(_tags_of(one).get(tags.SESSION) == session for one in found)

    def left(self, session: str) -> list[str]:
        """Return what is in the cloud: living workers, temporary roles and profiles, orders, snapshots not to stay."""
        mine = [one for one in state.instances(HOME, REGION) if tags.INSTALL in _tags_of(one)]
        path, orders = tags.path_of(self.world.install.id), state.bucket(self.world.install.control_bucket).keys
        with self.ledger.read() as tx:
            kept = {one.cloud_id for one in things.of_session(tx, session, kinds=["snapshot"]) if one.keep}
        return [
            *(
                one.id
                for one in state.ec2(FIRST, REGION).snapshots.values()
                if _tags_of(one).get(tags.SESSION) == session and one.id not in kept
            ),
            *(one.id for one in mine if one.state != "terminated"),
            *(one.name for one in state.iam(HOME).roles.values() if one.path == path),
            *(one.name for one in state.iam(HOME).instance_profiles.values() if one.path == path),
            *(key for key in orders if str(key).startswith("orders/")),
        ]

    def close(self) -> None:
        """End all faults and give the cloud its own time back."""
        self.world.cloud.sim("DELETE", "faults")
        self.world.cloud.server.cloud.throttle.set_clock(monotonic)
        self.engine.dispose()


@contextmanager
def embedded_stage(world: World, speed: float = SPEED) -> Iterator[EmbeddedStage]:
    """Run a stage on a seeded cloud."""
    made = EmbeddedStage(world, speed)
    try:
        yield made
    finally:
        made.close()
