"""Thousands of resources that wait: parked, against Celery's own way to wait, `retry(countdown)`, and poll again.

A resource that waits for hours should hold nothing: no message, no slot, no memory of Celery's. Both wait on the same
servers with the same settings. Of Celery's own way one poll is measured, the first; whoever polls twice a minute pays
for it so often. Of ours also how long it takes from the event to the beginning of the step that follows.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import redis
import sqlalchemy as sa

from benchmarks.contenders import Ours, Raw, ours, raw
from benchmarks.stage import QUEUES, Stage
from orchestrator.ledger import schema, sessions, work
from orchestrator.model.status import ResourceStatus, Step
from orchestrator.model.work import SESSION, WorkKey

#: Resources that are woken one after the other.
WOKEN = 200
#: Resources that have waited and gone on before anything is weighed: a pool child grows for a while, whatever it does.
WARM = 2000
#: How long everybody is watched while nothing happens.
QUIET = 10.0
_LOOK = 0.25
_PATIENCE = 1800.0
_KIB = 1024


@dataclass(frozen=True)
class Held:
    """What waiting holds and costs: memory in KiB for each, times in milliseconds."""

    contender: str
    waiting: int
    messages: int
    worker_kib: float
    children_kib: float
    broker_kib: float
    processor_ms_to_wait: float
    processor_ms_a_second: float
    wake_ms_median: float | None = None
    wake_ms_worst: float | None = None


@dataclass
class Scales:
    """Weighs a Celery worker, its children and the broker."""

    stage: Stage
    client: redis.Redis

    def messages(self) -> int:
        """Return how many messages wait or are in somebody's hands."""
        queued = sum(int(self.client.llen(queue)) for queue in QUEUES.split(","))  # type: ignore[arg-type]
        return queued + int(self.client.hlen("unacked"))  # type: ignore[arg-type]

    def weigh(self) -> tuple[float, float, float]:
        """Return the memory of the Celery worker, of its children and of the broker, in KiB."""
        parent = psutil.Process(self.stage.counted[-1])
        children = sum(one.memory_full_info().pss for one in parent.children(recursive=True))
        broker: Any = self.client.info("memory")
        return parent.memory_full_info().pss / _KIB, children / _KIB, broker["used_memory"] / _KIB


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("not everybody came to wait")
        time.sleep(_LOOK)


def _quiet(stage: Stage) -> float:
    """Return what all processes but this one spend in a second in which nothing happens, in milliseconds."""
    before, own = stage.processor_seconds(), time.process_time()
    time.sleep(QUIET)
    return 1000 * (stage.processor_seconds() - before - (time.process_time() - own)) / QUIET


def polling(count: int) -> Held:
    """Let tasks wait as Celery lets them: held by the Celery worker until they are due again."""
    with tempfile.TemporaryDirectory(prefix="daywork-bench-") as folder, raw(Path(folder)) as made:
        if not isinstance(made, Raw):
            raise TypeError("the contender is not raw Celery")
        scales = Scales(made.stage, made.broker)
        made.run(500)
        before, spent = scales.weigh(), made.stage.processor_seconds()
        for ordinal in range(count):
            made.app.wait.delay("s", ordinal)

        def held() -> bool:
            # Each poll is a message that has been taken and is not acknowledged; the first messages are gone.
            return scales.messages() == count == int(made.broker.hlen("unacked"))  # type: ignore[arg-type]

        _until(held)
        spent = made.stage.processor_seconds() - spent
        worker, children, broker = (after - was for after, was in zip(scales.weigh(), before, strict=True))
        return Held(
            contender="Celery, retry(countdown)",
            waiting=count,
            messages=scales.messages(),
            worker_kib=round(worker / count, 2),
            children_kib=round(children / count, 2),
            broker_kib=round(broker / count, 2),
            processor_ms_to_wait=round(1000 * spent / count, 2),
            processor_ms_a_second=round(_quiet(made.stage), 2),
        )


def parked(count: int, database: str) -> Held:
    """Let resources park."""
    with tempfile.TemporaryDirectory(prefix="daywork-bench-") as folder, ours(Path(folder), database) as made:
        client = redis.Redis.from_url(made.broker)
        scales = Scales(made.stage, client)
        _wake_all(made, _park(made, scales, min(count, WARM)))
        before, spent = scales.weigh(), made.stage.processor_seconds()
        session = _park(made, scales, count)
        spent = made.stage.processor_seconds() - spent
        worker, children, broker = (after - was for after, was in zip(scales.weigh(), before, strict=True))
        quiet = _quiet(made.stage)
        messages = scales.messages()
        wakes = [_wake(made, WorkKey(session, ordinal)) for ordinal in range(min(WOKEN, count))]
        _wake_all(made, session)
        client.close()
        return Held(
            contender=f"Daywork, {database}",
            waiting=count,
            messages=messages,
            worker_kib=round(worker / count, 2),
            children_kib=round(children / count, 2),
            broker_kib=round(broker / count, 2),
            processor_ms_to_wait=round(1000 * spent / count, 2),
            processor_ms_a_second=round(quiet, 2),
            wake_ms_median=round(statistics.median(wakes), 1),
            wake_ms_worst=round(max(wakes), 1),
        )


def _park(made: Ours, scales: Scales, count: int) -> str:
    """Bring a session to where all of its resources wait."""
    from support.plain import submit

    session = submit(made.services, count, park=True)
    made.services.dispatch.drive([WorkKey(session, SESSION)])

    def all_wait() -> bool:
        with made.services.ledger.read() as tx:
            at_work = sessions.statuses(tx, session).get(ResourceStatus.RUNNING, 0)
        return at_work == count and not scales.messages()

    _until(all_wait)
    return session


def _wake(made: Ours, key: WorkKey) -> float:
    """Wake one; returns the milliseconds from the event to the beginning of the step that follows the woken one."""
    began = time.time()
    with made.services.ledger.write() as tx:
        woken = work.signal(tx, [key])
    made.services.dispatch.drive(woken)
    table = schema.steps
    query = sa.select(table.c.started_at).where(
        table.c.session_id == key.session, table.c.ordinal == key.ordinal, table.c.step == Step.TEARDOWN
    )
    while True:
        with made.services.ledger.read() as tx:
            row = tx.row(query)
        if row is not None:
            return float(1000 * (row.started_at.timestamp() - began))
        time.sleep(0.005)


def _wake_all(made: Ours, session: str) -> None:
    with made.services.ledger.write() as tx:
        woken = work.signal_session(tx, session)
    made.services.dispatch.drive(woken)
    _until(lambda: made.status(session).is_final)


def table(found: list[Held]) -> str:
    """Return a table in Markdown."""
    head = (
        "contender", "waiting", "messages", "Celery worker, each", "its children, each", "broker, each",
        "processor time to come to wait (one poll)", "while nothing happens", "event to next step, median (worst)",
    )  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for one in found:
        wake = "-" if one.wake_ms_median is None else f"{one.wake_ms_median} ms ({one.wake_ms_worst})"
        cells = (
            one.contender, one.waiting, one.messages, f"{one.worker_kib} KiB", f"{one.children_kib} KiB",
            f"{one.broker_kib} KiB", f"{one.processor_ms_to_wait} ms", f"{one.processor_ms_a_second} ms/s", wake,
        )  # fmt: skip
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Run what the command line asks for and print it; `--json` also keeps it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--waiting", type=int, default=10_000)
    contenders: dict[str, Callable[[int], Held]] = {
        "celery": polling,
        "sqlite": partial(parked, database="sqlite"),
        "postgresql": partial(parked, database="postgresql"),
    }
    parser.add_argument("--contenders", nargs="+", choices=list(contenders), default=list(contenders))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found: list[Held] = []
    for name in given.contenders:
        found.append(contenders[name](given.waiting))
        print(json.dumps(asdict(found[-1])), flush=True)
    print(table(found))
    if given.json:
        given.json.write_text(json.dumps([asdict(one) for one in found], indent=2) + "\n")


if __name__ == "__main__":
    main()
