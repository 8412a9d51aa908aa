"""A session as a Celery chord of chains, published so that every part of it can be published again.

    session.start -> chord( worker.assume_role -> worker.launch -> worker.run_job -> worker.teardown, per resource )
                     callback: session.release

Celery's own `chord(...)` sets the chord's size with the last header task and draws new ids, so a publisher that dies
half-way leaves a chord that never calls back, and a parked chain could not go on. Here the size is set first, while the
session is being published, and each chain is published on its own with ids that can be computed again. This module is
the one that knows Celery's chord protocol (pinned version; `tests/integration/tasks` holds the promises it relies on).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog
from kombu.exceptions import BatchPublishError  # type: ignore[attr-defined]  # the stubs are of an older kombu

from orchestrator.ledger import work
from orchestrator.ledger.store import Ledger
from orchestrator.model.status import RESOURCE_STEPS, Step
from orchestrator.model.work import SESSION, WorkKey
from tasks.ids import group_id, task_id

if TYPE_CHECKING:
    from celery import Celery
    from celery.canvas import Signature

#: The task that carries each step out (names are fixed: they are what Flower shows).
TASKS = {
    Step.START: "session.start",
    Step.ASSUME_ROLE: "worker.assume_role",
    Step.LAUNCH_WORKER: "worker.launch",
    Step.RUN_JOB: "worker.run_job",
    Step.TEARDOWN: "worker.teardown",
    Step.RELEASE: "session.release",
}


#: Messages to a round trip: the first of them are at work while the next are put together.
_BATCH = 100

log = structlog.get_logger(__name__)


class CeleryDispatch:
    """Gets work moving by publishing it (`orchestrator.ports.Dispatch`)."""

    def __init__(self, app: Celery, ledger: Ledger) -> None:
        """Take the app to publish with and the ledger that says where work stands."""
        self._app = app
        self._ledger = ledger

    def drive(self, keys: Iterable[WorkKey]) -> None:
        """Publish the rest of each one's chain from where its row stands; work that is done is left alone."""
        wanted = list(keys)
        if not wanted:
            return
        with self._ledger.read() as tx:
            places = work.places(tx, wanted)
        publish_all(self._app, places)

    def launch(self, account: str, region: str, *, after: timedelta = timedelta()) -> None:
        """Publish a look at the launch requests of an account and Region."""
        self._look("fleet.launch", account, region, after)

    def terminate(self, account: str, region: str, *, after: timedelta = timedelta()) -> None:
        """Publish a look at the workers of an account and Region that shall end."""
        self._look("fleet.terminate", account, region, after)

    def _look(self, task: str, account: str, region: str, after: timedelta) -> None:
        # A look is no link of a chain: it may be lost, because `watch` asks for another one, and come twice.
        options: dict[str, Any] = {"countdown": after.total_seconds()} if after else {}
        self._app.signature(task, args=(account, region), immutable=True).apply_async(**options)


def publish_session(app: Celery, ledger: Ledger, session: str) -> int:
    """Publish the chord of a session that has just been planned; returns its size. Repeating it is harmless.

    A session without a planned resource has no header: its release is published at once.
    """
    with ledger.read() as tx:
        ordinals = work.ordinals(tx, session)
        places = work.places(tx, [WorkKey(session, ordinal) for ordinal in ordinals])
        release = work.places(tx, [WorkKey(session, SESSION)])
    if ordinals:
        app.backend.set_chord_size(group_id(session), len(ordinals))
    publish_all(app, places if ordinals else release)
    return len(ordinals)


def publish_all(app: Celery, places: Sequence[work.Place]) -> None:
    """Publish the rest of many units' chains, many messages to a round trip.

    A round trip that fails may have delivered some of its messages; then each is published by itself, with Celery's own
    retries, because twice is harmless and not at all is late.
    """
    with app.producer_or_acquire() as producer:
        try:
            with producer.batch(max_size=_BATCH):
                for place in places:
                    publish(app, place, producer=producer)
        except BatchPublishError:
            log.warning("messages are published one by one", count=len(places))
            for place in places:
                publish(app, place, producer=producer)


def publish(app: Celery, place: work.Place, **options: Any) -> None:
    """Publish the rest of one unit's chain, from the step it stands at."""
    if place.step is Step.DONE:
        return
    links = _links(app, place)
    first, rest = links[0], links[1:]
    # The protocol keeps the links that follow in reverse order and takes them from the end.
    first.apply_async(chain=[_as_message(link) for link in reversed(rest)], **options)


def _links(app: Celery, place: work.Place) -> list[Signature[Any]]:
    key = place.key
    if key.ordinal == SESSION:
        return [_link(app, place, place.step)]
    steps = RESOURCE_STEPS[RESOURCE_STEPS.index(place.step) :]
    links = [_link(app, place, step) for step in steps]
    chord = {
        "chord": _as_message(release_link(app, key.session)),
        "group_id": group_id(key.session),
        "group_index": key.ordinal,
    }
    links[-1].options.update(chord)
    return links


def release_link(app: Celery, session: str) -> Signature[Any]:
    """Return the chord's callback. Its argument is the session's id, however large the session is."""
    place = work.Place(key=WorkKey(session, SESSION), step=Step.RELEASE, attempt=1, resource_id=None)
    return _link(app, place, Step.RELEASE)


def _link(app: Celery, place: work.Place, step: Step) -> Signature[Any]:
    key = place.key
    of_session = key.ordinal == SESSION
    shown = f"session={key.session}" + ("" if of_session else f" resource={place.resource_id}")
    arguments: tuple[Any, ...] = (key.session,) if of_session else (key.session, key.ordinal, place.attempt)
    link: Signature[Any] = app.signature(TASKS[step], args=arguments, immutable=True)
    link.options.update(task_id=task_id(key, place.attempt, step), argsrepr=shown, kwargsrepr="")
    return link


def _as_message(link: Signature[Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(dict(link)))
    return plain
