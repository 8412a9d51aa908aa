"""Threads that work together end together."""

from __future__ import annotations

from threading import Event, Thread

import pytest

from agent.crew import Cancelled, Crew, Queue, Stopped


def test_work_flows_through_bounded_queues() -> None:
    """Every item arrives once, whatever the sizes."""
    got: list[int] = []
    with Crew(Event()) as crew:
        queue: Queue[int] = crew.queue(2)

        def consume() -> None:
            while (item := queue.get()) is not None:
                got.append(item)

        group = crew.start(3, consume, name="consumer")
        for number in range(100):
            queue.put(number)
        queue.close()
        group.wait()

    assert sorted(got) == list(range(100))


def fail() -> None:
    """Fail, as a member may."""
    raise ValueError("the reason")


def test_the_first_failure_ends_everybody_and_is_told_to_the_owner() -> None:
    """Members that wait for queues, or pause, wake up."""
    crew = Crew(Event())
    empty: Queue[int] = crew.queue(1)
    full: Queue[int] = crew.queue(1)
    full.put(1)
    crew.start(1, lambda: full.put(2), name="producer")
    crew.start(1, lambda: crew.pause(60), name="sleeper")
    consumers = crew.start(2, lambda: empty.get() and None, name="consumer")
    crew.start(1, fail, name="failing")

    with pytest.raises(ValueError, match="the reason"), crew:
        consumers.wait()

    assert not any(thread.is_alive() for thread in crew._threads)


def test_a_stop_ends_everybody() -> None:
    """The owner hears `Stopped`; members hear that the crew is over."""
    stop = Event()
    crew = Crew(stop)
    queue: Queue[int] = crew.queue(1)
    consumers = crew.start(4, lambda: queue.get() and None, name="consumer")
    stop.set()

    with pytest.raises(Stopped), crew:
        consumers.wait()

    assert not any(thread.is_alive() for thread in crew._threads)


def test_an_owner_that_meets_a_cancelled_queue_hears_the_reason() -> None:
    """Not that its queue was cancelled, but why."""
    crew = Crew(Event())
    queue: Queue[int] = crew.queue(1)
    queue.put(1)
    crew.start(1, fail, name="failing")

    with pytest.raises(ValueError, match="the reason"), crew:
        queue.put(2)


def test_after_the_end_nothing_moves() -> None:
    """Queues and pauses of an ended crew raise at once."""
    with Crew(Event()) as crew:
        queue: Queue[int] = crew.queue(5)
        queue.put(1)

    for act in (lambda: queue.put(2), queue.get, lambda: crew.pause(60)):
        with pytest.raises(Cancelled):
            act()


def test_resting_ends_with_a_stop() -> None:
    """The owner's own waits look at the stop too."""
    stop = Event()
    crew = Crew(stop)
    Thread(target=stop.set).start()

    with pytest.raises(Stopped), crew:
        crew.rest(60)
