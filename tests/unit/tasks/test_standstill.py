"""When a Celery worker is judged to stand still."""

from __future__ import annotations

from tasks.standstill import PATIENCE, Standstill


def test_a_message_that_waits_beside_a_free_child_for_long_is_a_standstill() -> None:
    """Not before its time."""
    judge = Standstill(children=2)
    judge.look(0, waiting=0, busy=0, accepted=7)

    looks = [judge.look(1 + moment, waiting=1, busy=1, accepted=7) for moment in (0, PATIENCE - 1, PATIENCE)]

    assert looks == [False, False, True]


def test_a_worker_whose_children_are_all_busy_is_no_standstill() -> None:
    """Messages wait for their turn, however long."""
    judge = Standstill(children=2)

    assert not any(judge.look(moment, waiting=2, busy=2, accepted=7) for moment in range(100))


def test_a_worker_without_messages_is_no_standstill() -> None:
    """It is idle."""
    judge = Standstill(children=2)

    assert not any(judge.look(moment, waiting=0, busy=0, accepted=7) for moment in range(100))


def test_every_message_that_begins_starts_the_time_anew() -> None:
    """A long queue is no standstill."""
    judge = Standstill(children=2)

    assert not any(judge.look(moment, waiting=1, busy=1, accepted=moment // 10) for moment in range(100))
