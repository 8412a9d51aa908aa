"""The intake on a real Valkey server and a real ledger: nothing lost, nothing stops it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import kombu
import pytest
import redis
import sqlalchemy as sa
from support.servers import valkey, wait_for

from console.intake.queue import REJECTED, REQUESTS, RedisQueue
from console.intake.service import Intake
from orchestrator.bootstrap import SystemClock
from orchestrator.ledger import registry, schema
from orchestrator.ledger.migrate import upgrade
from orchestrator.ledger.store import Ledger, make_engine
from orchestrator.model.account import Registry
from orchestrator.model.work import WorkKey

ROOT = Path(__file__).parents[3]
ACCOUNT = "222222222222"
STRANGER = {"account": "999999999999", "region": "eu-west-1", "id": "i-1"}
REGISTRY = {
    "accounts": [{"id": ACCOUNT, "name": "production-a", "regions": ["eu-west-1"]}],
    "repositories": [
        {"name": "main", "url": "s3://bucket/x", "region": "eu-west-1", "account": ACCOUNT, "key": {"kms": "arn:key"}}
    ],
}


@dataclass
class Driven:
    """A dispatch that remembers."""

    keys: list[WorkKey] = field(default_factory=list)

    def drive(self, keys: Iterable[WorkKey]) -> None:
        """Remember."""
        self.keys += keys

    def launch(self, account: str, region: str, *, after: timedelta = timedelta()) -> None:
        """Nothing is launched by an intake."""


@dataclass
class World:
    """A broker, a ledger with one account, and an intake that has not been started."""

    url: str
    client: redis.Redis
    ledger: Ledger
    directory: Path
    driven: Driven = field(default_factory=Driven)

    def handle_all(self) -> None:
        """Let an intake handle what is there, in this process."""
        queue = RedisQueue(self.url)
        queue.open()
        intake = Intake(queue, self.ledger, self.driven, stop=Event())
        while (taken := queue.take(1)) is not None:
            intake.handle(taken)
        queue.close()

    def sessions(self) -> int:
        """Count the sessions in the ledger."""
        with self.ledger.read() as tx:
            return int(tx.execute(sa.select(sa.func.count()).select_from(schema.sessions)).scalar_one())


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A broker and a ledger."""
    with valkey(tmp_path) as (url, _):
        ledger = Ledger(make_engine(f"sqlite:///{tmp_path / 'ledger.sqlite3'}"), SystemClock())
        upgrade(ledger.engine)
        with ledger.write() as tx:
            registry.apply(tx, Registry.model_validate(REGISTRY))
        client = redis.Redis.from_url(url)
        yield World(url=url, client=client, ledger=ledger, directory=tmp_path)
        client.close()
        ledger.close()


def request(number: int, **more: Any) -> dict[str, Any]:
    """Return a good request."""
    return {
        "source": "erp",
        "id": str(number),
        "operation": "ec2-backup",
        "resources": [{"account": ACCOUNT, "region": "eu-west-1", "id": f"i-{number:017x}"}],
    } | more


def answers(world: World, queue: str) -> list[dict[str, Any]]:
    """Return the bare answers on a queue, the oldest first."""
    return [json.loads(raw) for raw in reversed(world.client.lrange(queue, 0, -1))]


def test_a_bare_push_is_a_session_and_is_answered(world: World) -> None:
    """`LPUSH daywork.requests '{...}'` from any language is enough."""
    world.client.lpush(REQUESTS, json.dumps(request(1, replyTo="erp.replies")))

    world.handle_all()

    (answer,) = answers(world, "erp.replies")
    assert answer["accepted"] is True
    assert answer["sessionId"].startswith("s-")
    assert (answer["source"], answer["id"]) == ("erp", "1")
    assert [key.session for key in world.driven.keys] == [answer["sessionId"]]
    assert world.client.keys("intake.*taken*") == []


def test_a_kombu_producer_reads_its_answer_with_kombu(world: World) -> None:
    """Asked in kombu's envelope, answered in it, with the correlation id."""
    with kombu.Connection(world.url) as connection:
        producer = connection.Producer(serializer="json")
        producer.publish(request(2), routing_key=REQUESTS, reply_to="kombu.replies", correlation_id="c-7")
        producer.publish(request(3), routing_key=REQUESTS, reply_to="kombu.replies", correlation_id="c-8", priority=9)

        world.handle_all()

        replies = connection.SimpleQueue("kombu.replies")
        got = [replies.get(timeout=5) for _ in range(2)]
        for message in got:
            message.ack()
        replies.close()
    assert {message.properties["correlation_id"] for message in got} == {"c-7", "c-8"}
    assert all(message.payload["accepted"] for message in got)


def test_the_same_request_twice_is_one_session(world: World) -> None:
    """Both are answered, with the same session."""
    for _ in range(2):
        world.client.lpush(REQUESTS, json.dumps(request(4, replyTo="erp.replies")))

    world.handle_all()

    first, second = answers(world, "erp.replies")
    assert first["sessionId"] == second["sessionId"]
    assert (first["created"], second["created"]) == (True, False)
    assert world.sessions() == 1


@pytest.mark.parametrize(
    ("sent", "refused_field"),
    [
        ("not json", None),
        (json.dumps(request(5, operation="ec2-magic")), "operation"),
        (json.dumps(request(5, mode="both")), "mode"),
        (json.dumps(request(5, surprise=1)), "surprise"),
        (json.dumps(request(5, resources=[STRANGER])), "resources[0].account"),
        (json.dumps(request(5, replyTo="daywork.steps")), "replyTo"),
        (json.dumps(request(5, id="x\u0000y")), "id"),
    ],
)  # fmt: skip
def test_a_refusal_is_kept_with_field_and_reason(world: World, sent: str, refused_field: str | None) -> None:
    """The message itself stands beside the reason on daywork.rejected, and no session was made."""
    world.client.lpush(REQUESTS, sent)

    world.handle_all()

    (envelope,) = answers(world, REJECTED)
    kept = json.loads(envelope["body"])
    assert kept["message"] == sent
    assert kept["refused"].get("field") == refused_field
    assert kept["refused"]["reason"]
    assert world.sessions() == 0
    assert world.client.llen("daywork.steps") == 0


def test_an_answer_queue_of_another_type_costs_the_answer_alone(world: World) -> None:
    """A key that is no list does not keep the message or stop the intake."""
    world.client.set("erp.replies", "mine")
    world.client.lpush(REQUESTS, json.dumps(request(6, replyTo="erp.replies")))

    world.handle_all()

    assert world.sessions() == 1
    assert world.client.get("erp.replies") == b"mine"
    assert world.client.keys("intake.*taken*") == []


def test_a_message_adopted_by_another_intake_is_answered_once(world: World) -> None:
    """An intake that was believed dead comes back with its message: the script lets one of the two answer."""
    slow, quick = RedisQueue(world.url), RedisQueue(world.url)
    slow.open()
    quick.open()
    world.client.lpush(REQUESTS, "garbage")
    taken = slow.take(1)
    assert taken is not None
    world.client.delete(f"intake.{REQUESTS}.alive.{slow.name}")

    assert quick.adopt() == 1
    again = quick.take(1)
    assert again is not None
    for queue, one in ((quick, again), (slow, taken)):
        Intake(queue, world.ledger, world.driven, stop=Event()).handle(one)

    assert world.client.llen(REJECTED) == 1
    slow.close()
    quick.close()


PROGRAM = """
import signal, sys
from threading import Event
from console.intake.queue import RedisQueue
from console.intake.service import Intake
from orchestrator.bootstrap import SystemClock
from orchestrator.ledger.store import Ledger, make_engine
stop = Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
class Nowhere:
    def drive(self, keys): list(keys)
    def launch(self, account, region, *, after=None): pass
Intake(RedisQueue(sys.argv[1]), Ledger(make_engine(sys.argv[2]), SystemClock()), Nowhere(), stop=stop).run()
"""


def test_a_thousand_good_and_a_thousand_bad_with_three_kills(world: World) -> None:
    """The intake is killed three times among 2000 messages: 1000 sessions, 1000 refusals, nothing lost or doubled."""
    bad = ["{", "[]", '"x"', json.dumps(request(0, operation="nothing")), json.dumps({"source": "erp"})]
    for number in range(1000):
        world.client.lpush(REQUESTS, json.dumps(request(number)), bad[number % len(bad)])

    def start() -> subprocess.Popen[bytes]:
        url = f"sqlite:///{world.directory / 'ledger.sqlite3'}"
        return subprocess.Popen([sys.executable, "-c", PROGRAM, world.url, url], cwd=ROOT, stderr=subprocess.DEVNULL)

    for kill in range(3):
        process = start()
        wait_for(lambda part=kill: world.sessions() >= 150 * (part + 1), seconds=60)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        for key in world.client.keys("intake.*alive*"):
            world.client.delete(key)
    process = start()
    wait_for(
        lambda: world.sessions() == 1000 and world.client.llen(REJECTED) == 1000 and not world.client.exists(REQUESTS),
        seconds=120,
    )
    process.terminate()

    assert process.wait(timeout=20) == 0
    assert world.client.llen(REJECTED) == 1000
    assert world.client.keys("intake.*") == []
