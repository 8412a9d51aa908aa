"""Threads that work together: bounded queues between them, and one end for all.

The first failure of any member, or a wish to stop, ends the whole crew: every queue and pause wakes up and raises
`Cancelled` in its thread. Whoever waits for the crew gets the failure itself, or `Stopped`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

_Item = TypeVar("_Item")

#: How often whoever waits for the crew looks whether it shall stop, in seconds.
_LOOK: Final = 0.1
#: How long the members get to end by themselves when the crew is dismissed.
_PARTING: Final = 0.3


class Cancelled(Exception):
    """The crew has ended; unwinds the thread that hears it."""


class Stopped(Exception):
    """The crew was asked to stop."""


class Crew:
    """Some threads and the queues between them. Use as a context manager: leaving it ends every member."""

    def __init__(self, stop: threading.Event) -> None:
        """Take the event that asks to stop."""
        self._stop = stop
        self._over = threading.Event()
        self._failure: BaseException | None = None
        self._lock = threading.Lock()
        self._queues: list[Queue[object]] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        until = time.monotonic() + _PARTING
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        if isinstance(error, Cancelled):
            # The owner itself met a queue of a crew that had ended: it hears the reason instead.
            self.check()

    def start(self, count: int, work: Callable[[], None], *, name: str) -> Group:
        """Have `count` threads do `work`, each once."""
        group = Group(self, count)

        def member() -> None:
            try:
                work()
            except Cancelled:
                pass
            except BaseException as error:  # noqa: BLE001 - told to whoever waits, whatever it is
                self._fail(error)
            finally:
                group.leave()

        for number in range(count):
            thread = threading.Thread(target=member, name=f"{name}-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()
        return group

    def queue(self, size: int) -> Queue[_Item]:
        """Return a queue for at most `size` items between members."""
        made: Queue[_Item] = Queue(self, size)
        with self._lock:
            self._queues.append(made)  # type: ignore[arg-type]  # only woken through this list
        return made

    def pause(self, seconds: float) -> None:
        """Wait, for a member. Raises `Cancelled` as soon as the crew ends."""
        if self._over.wait(seconds):
            raise Cancelled

    def check(self) -> None:
        """Raise the first failure, or `Stopped` when that was asked for; for whoever owns the crew."""
        if self._failure is not None:
            raise self._failure
        if self._stop.is_set():
            self._end()
            raise Stopped

    def rest(self, seconds: float) -> None:
        """Wait, for whoever owns the crew. Raises as `check` does, soon after there is a reason."""
        until = time.monotonic() + seconds
        while True:
            self.check()
            left = until - time.monotonic()
            if left <= 0:
                return
            self._stop.wait(min(left, _LOOK))

    @property
    def is_over(self) -> bool:
        """Whether members shall end."""
        return self._over.is_set()

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            if self._failure is None:
                self._failure = error
        self._end()

    def _end(self) -> None:
        self._over.set()
        with self._lock:
            queues = list(self._queues)
        for queue in queues:
            queue.wake()


class Group:
    """Threads that do the same work."""

    def __init__(self, crew: Crew, count: int) -> None:
        """Take how many there are."""
        self._crew = crew
        self._left = count
        self._changed = threading.Condition()

    def leave(self) -> None:
        """Note that one has ended."""
        with self._changed:
            self._left -= 1
            self._changed.notify_all()

    def wait(self) -> None:
        """Wait until all have ended. Raises the crew's first failure, or `Stopped`."""
        while True:
            self._crew.check()
            with self._changed:
                if not self._left:
                    break
                self._changed.wait(_LOOK)
        self._crew.check()


class Queue(Generic[_Item]):
    """A bounded queue. Both ends raise `Cancelled` once the crew has ended."""

    def __init__(self, crew: Crew, size: int) -> None:
        """Made by `Crew.queue`."""
        self._crew = crew
        self._size = size
        self._items: deque[_Item] = deque()
        self._closed = False
        lock = threading.Lock()
        self._room = threading.Condition(lock)
        self._filled = threading.Condition(lock)

    def put(self, item: _Item) -> None:
        """Add an item; waits while the queue is full."""
        with self._room:
            while len(self._items) >= self._size and not self._crew.is_over:
                self._room.wait()
            self._alive()
            self._items.append(item)
            self._filled.notify()

    def get(self) -> _Item | None:
        """Take the oldest item; waits for one. None once the queue is closed and empty."""
        with self._filled:
            while not self._items and not self._closed and not self._crew.is_over:
                self._filled.wait()
            self._alive()
            if not self._items:
                return None
            item = self._items.popleft()
            self._room.notify()
            return item

    def close(self) -> None:
        """Say that nothing more will be put."""
        with self._filled:
            self._closed = True
            self._filled.notify_all()

    def wake(self) -> None:
        """Let everybody who waits look again."""
        with self._filled:
            self._filled.notify_all()
            self._room.notify_all()

    def _alive(self) -> None:
        if self._crew.is_over:
            raise Cancelled
