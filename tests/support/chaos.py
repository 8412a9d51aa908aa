"""Sessions in a storm: requests come in, processes die, AWS loses answers; every session ends right all the same."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random
from typing import Final

import sqlalchemy as sa

from orchestrator.ledger import points, schema, sessions
from support.autopsy import autopsy
from support.blows import Blows
from support.canaries import settings_of
from support.invariants import Auditor
from support.producer import Producer
from support.stack import REGION, Stack
from support.storm import storm
from support.tiny_machines import TinyMachine, differences

#: How often a resource is tried in all, and so how often it may lose its worker and succeed all the same.
ATTEMPTS: Final = 3
_RETRY: Final = {"attempts": ATTEMPTS, "delay": 1}
#: Resources of the first and of the second session of backups and of the session of restores, in each mode: 60 in all.
_FIRST, _SECOND, _RESTORED = 18, 9, 3
#: Events that 60 resources make when nothing goes wrong are some 430; the last blows fall among the last of them.
_EVENTS: Final = 360
#: Faults of AWS in each round.
_FAULTS: Final = 12


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request, and after how many events of the ledger it is sent. Restores choose their points then."""

    after: int
    id: str
    operation: str
    mode: str
    machines: tuple[TinyMachine, ...] = ()
    #: After how many further events the session is asked to stop.
    stopped_after: int | None = None


@dataclass
class Chaos:
    """One storm over one stack. `limit` is in seconds; when it is reached everything that is known is told."""

    stack: Stack
    auditor: Auditor
    machines: list[TinyMachine]
    seed: int
    limit: float
    rounds: int = 1
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Draw the storm and the requests that go through it."""
        self._random = Random(self.seed)  # noqa: S311 - a storm, not a secret
        self._striker = Blows(self.stack, most_hits=ATTEMPTS - 1)
        self._producer = Producer(settings_of(self.stack).broker_url, f"chaos-{self.seed}-{time.time_ns()}")
        #: By the requests' ids: what was sent, and which session it became.
        self._sent: dict[str, Request] = {}
        self._sessions: dict[str, str] = {}
        self._stops: dict[str, int] = {}
        self._aside = ThreadPoolExecutor(1)
        self._asked: list[Future[None]] = []
        self._used: set[str] = set()
        self._began = time.monotonic()
        self._before = self._count()
        self.requests = [one for number in range(self.rounds) for one in self._draw(number)]
        events, faults = _EVENTS * self.rounds, _FAULTS * self.rounds
        self.blows = storm(self._random, events=events, faults=faults, rounds=self.rounds)

    def _draw(self, number: int) -> Iterator[Request]:
        """Draw the requests of one round: six sessions, one of which is asked to stop."""
        random, begin = self._random, number * _EVENTS
        drawn = random.sample(self.machines, 2 * (_FIRST + _SECOND))
        for name, count in (("first", _FIRST), ("second", _SECOND)):
            for mode in ("backup", "production"):
                mine, drawn = tuple(drawn[:count]), drawn[count:]
                yield Request(
                    after=begin + (0 if name == "first" else random.randrange(120)),
                    id=f"{name}-{mode}-{number}",
                    operation="ec2-backup",
                    mode=mode,
                    machines=mine,
                    stopped_after=random.randrange(1, 60) if (name, mode) == ("second", "backup") else None,
                )
        for mode in ("backup", "production"):
            after = begin + random.randrange(150, 250)
            yield Request(after=after, id=f"restore-{mode}-{number}", operation="ec2-restore-volume", mode=mode)

    # --- the storm ------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Raise the storm, wait until every session has ended, and check everything. Raises AssertionError."""
        try:
            while self.requests or self._producer.waiting or not self._have_ended():
                if time.monotonic() - self._began > self.limit:
                    raise AssertionError(f"not every session has ended within {self.limit} s")  # noqa: TRY301
                self._turn()
                time.sleep(0.05)
            self._striker.heal()
            for one in self._asked:
                one.result()
            broken = [*self.auditor.broken(), *self._wrong()]
            assert not broken, "\n".join(broken)
        except Exception as error:
            raise AssertionError(f"{error}\n{self._story()}\n{autopsy(self.stack)}") from error
        finally:
            self._producer.close()
            self._aside.shutdown()

    def _turn(self) -> None:
        events = self._count() - self._before
        # With nothing under way there are no events: then the next request is due.
        is_quiet = bool(self._sessions) and not self._producer.waiting and self._have_ended()
        for request in list(self.requests):
            if (request.after <= events or is_quiet) and self._send(request):
                self._tell(events, f"{request.id} is sent")
                self.requests.remove(request)
        self._producer.pump()
        self._hear(events)
        self._stop(events)
        for blow in [one for one in self.blows if one.after <= events]:
            if (hit := self._striker.strike(blow)) is not None:
                self._tell(events, f"{blow} -> {hit}")
                self.blows.remove(blow)

    def _send(self, request: Request) -> bool:
        """Send a request; a restore has to wait until there is something to restore."""
        resources = [one.selector for one in request.machines]
        if request.operation == "ec2-restore-volume":
            with self.stack.ledger.read() as tx:
                there = [one for one in points.recent(tx, limit=1000) if one.id not in self._used]
            if len(there) < _RESTORED:
                return False
            chosen = self._random.sample(there, _RESTORED)
            self._used |= {one.id for one in chosen}
            accounts = sorted({one.account for one in self.machines})
            resources = [{"account": self._random.choice(accounts), "region": REGION, "id": one.id} for one in chosen]
        body = {"operation": request.operation, "mode": request.mode, "resources": resources, "retry": _RETRY}
        self._sent[request.id] = request
        self._producer.send(request.id, body)
        return True

    def _hear(self, events: int) -> None:
        """Take what the intake has answered."""
        while self._producer.answers:
            request_id, answer = self._producer.answers.pop(0)
            assert answer["accepted"], f"{request_id} was refused: {answer}"
            session = answer["sessionId"]
            self.auditor.accepted(session, source=self._producer.name, request=request_id)
            after = self._sent[request_id].stopped_after
            if request_id not in self._sessions and after is not None:
                self._stops[session] = events + after
            self._sessions[request_id] = session

    def _stop(self, events: int) -> None:
        for session, after in list(self._stops.items()):
            if after <= events:
                # Not waited for: the storm goes on meanwhile.
                self._asked.append(self._aside.submit(self._ask_to_stop, session))
                self._tell(events, f"{session} is asked to stop")
                del self._stops[session]

    def _ask_to_stop(self, session: str) -> None:
        """Ask as a person does. While the broker is away the command says so; the stop is in the ledger."""
        done = self.stack.run("session", "stop", session)
        assert done.returncode in (0, 9), f"the stop ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert f"{session} is stopping" in done.stdout + done.stderr

    def _count(self) -> int:
        """Count the ledger's events: lines of logs and ends of steps."""
        lines, steps = schema.log_lines, schema.steps
        with self.stack.ledger.read() as tx:
            written = tx.execute(sa.select(sa.func.count()).select_from(lines)).scalar_one()
            ended = sa.select(sa.func.count()).select_from(steps).where(steps.c.ended_at.is_not(None))
            return int(written) + int(tx.execute(ended).scalar_one())

    def _have_ended(self) -> bool:
        return all(self.stack.has_ended(one) for one in self._sessions.values())

    # --- the reckoning --------------------------------------------------------------------------------------------

    def _wrong(self) -> Iterator[str]:
        """Say what is wrong with these sessions besides what holds for all."""
        missed = [str(one) for one in self.blows if one.kill not in ("agent", "hung agent", "instance")]
        if missed:
            yield f"the storm was over before these blows fell: {missed}"
        for request in self._sent.values():
            yield from self._wrong_with(request, self._sessions[request.id])
            if request.operation == "ec2-restore-volume":
                yield from self._differing(self._sessions[request.id])

    def _wrong_with(self, request: Request, session: str) -> Iterator[str]:
        """Only who was hit may have been tried again, and nobody may have failed for it: there were attempts left."""
        workers = schema.workers
        with self.stack.ledger.read() as tx:
            status, found = sessions.get(tx, session).status, sessions.resources(tx, session)
            launched = tx.rows(sa.select(workers.c.ordinal).where(workers.c.session_id == session))
        hits = {one.ordinal: self._striker.hits[session, one.ordinal] for one in found}
        allowed = {"success"} if request.stopped_after is None else {"success", "stopped"}
        if not {str(one.status) for one in found} <= allowed or str(status) not in allowed:
            yield f"{request.id} ({session}) ended {status}: {[(one.status, one.reason) for one in found]}"
        for one in found:
            if one.attempt > 1 + hits[one.ordinal]:
                told = f"{hits[one.ordinal]} times hit, {one.attempt} times tried: {one.state.get('earlier')}"
                yield f"{one.resource_id} of {request.id} ({session}/{one.ordinal}): {told}"
        if len(launched) > len(found) + sum(hits.values()):
            yield f"{request.id} launched {len(launched)} workers for {len(found)} resources hit {hits}"

    def _differing(self, session: str) -> Iterator[str]:
        images = {one.volume: one.image for one in self.machines}
        with self.stack.ledger.read() as tx:
            found = sessions.resources(tx, session)
        for one in found:
            for volume in (one.result or {}).get("volumes", []):
                told = differences(self.stack, one.account, volume["newVolumeId"], images[volume["volumeId"]])
                if not told["equal"]:
                    yield f"{volume['newVolumeId']} of {session} is not what {volume['volumeId']} was: {told}"

    def _tell(self, events: int, what: str) -> None:
        self.told.append(f"{time.monotonic() - self._began:6.1f} s, event {events}: {what}")

    def _story(self) -> str:
        again = f"make chaos SEED={self.seed}" if self.rounds > 1 else f"DAYWORK_CHAOS_SEED={self.seed}"
        ids = [f"{name} is {session}" for name, session in self._sessions.items()]
        return "\n".join([f"--- seed {self.seed} (again with {again})", *ids, *self.told])
