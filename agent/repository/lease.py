"""Leases: one writer per chain, and a writer that was overtaken publishes nothing.

A lease is an object whose key ends in its fencing number, sealed like all metadata. Who wants the chain looks for the
highest number, and when nobody holds it creates the next one; creating is only possible once, so of two writers one
gets it. The holder renews by writing its own object again. Before it publishes it makes sure that its number is still
the highest and the object its own. A released lease keeps its number, so numbers only grow.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from agent.repository.errors import Busy, Damaged, Exists, Fenced, Missing, RepositoryError
from agent.repository.keys import KeyRing
from agent.repository.layout import LEASES, Chain, lease_key, lease_prefix
from agent.repository.objects import Objects
from agent.repository.seal import pack_document, seal, unpack_document, unseal

#: How long a lease counts without being renewed, and how often it is renewed, in seconds.
TERM: Final = 60.0
RENEW: Final = 15.0
#: How far two workers' clocks may be apart.
SKEW: Final = 10.0


#: Who collects garbage holds the lease of a chain that no resource has.
COLLECTOR: Final = Chain(account="repository", region="collector", resource="collector")


@dataclass(frozen=True, kw_only=True)
class Held:
    """A lease as it stands in the store. `until` 0 means given back; then `note` is what its holder left."""

    fence: int
    owner: str
    token: str
    until: float
    note: float = 0.0

    def is_over(self, now: float) -> bool:
        """Whether it does not count any more."""
        return self.until + SKEW < now


class Lease:
    """The right to write one chain. Made by `acquire`; `renewing` keeps it alive in the background."""

    def __init__(
        self, objects: Objects, ring: KeyRing, chain: Chain, *, owner: str, fence: int, clock: Callable[[], float]
    ) -> None:
        """Take what `acquire` has found out."""
        self.fence = fence
        self._objects = objects
        self._ring = ring
        self._chain = chain
        self._owner = owner
        self._token = secrets.token_hex(8)
        self._clock = clock
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def _content(self, until: float, note: float = 0.0) -> bytes:
        key_id, data_key = self._ring.current()
        document = {"owner": self._owner, "token": self._token, "until": until, "note": note}
        place = lease_key(self._chain, self.fence)
        return seal(pack_document(document), place=place, key_id=key_id, data_key=data_key)

    def take(self) -> None:
        """Create the lease's object. Raises `Exists` when another writer was faster."""
        until = self._clock() + TERM
        self._objects.create(lease_key(self._chain, self.fence), self._content(until))

    def renew(self) -> None:
        """Push the end away, also when it has passed: whether somebody took over is what `hold` finds out."""
        with self._lock:
            if self._ended.is_set():
                raise Fenced(f"the lease on {self._chain.path} was given back")
            until = self._clock() + TERM
            self._objects.put(lease_key(self._chain, self.fence), self._content(until))

    def hold(self) -> None:
        """Make sure that the chain is still ours, just before something is published. Raises `Fenced`."""
        self.renew()
        held = highest(self._objects, self._ring, self._chain)
        if held is None or held.fence != self.fence or held.token != self._token:
            raise Fenced(f"another writer has taken over {self._chain.path}")

    def keep(self) -> None:
        """Renew until `release`; made to run in a thread of its own. A renewal that fails is tried again next time."""
        while not self._ended.wait(RENEW):
            with contextlib.suppress(RepositoryError):
                self.renew()

    def release(self, note: float = 0.0) -> None:
        """Give the chain back, once, with a note for the next holder. What cannot be written is left to run out."""
        with self._lock, contextlib.suppress(RepositoryError):
            if self._ended.is_set():
                return
            self._ended.set()
            self._objects.put(lease_key(self._chain, self.fence), self._content(0.0, note))


def acquire(
    objects: Objects,
    ring: KeyRing,
    chain: Chain,
    *,
    owner: str,
    pause: Callable[[float], None],
    ended: frozenset[str] = frozenset(),
    clock: Callable[[], float] = time.time,
    patience: float = TERM + SKEW + RENEW,
) -> Lease:
    """Get the right to write a chain.

    When another writer holds it, waits a little longer than a dead writer's lease would count; one that is still held
    then belongs to a living writer. Raises `Busy` then, or after `patience` seconds. Leases of owners that are known to
    have `ended` do not count. `pause` waits that many seconds and may raise.
    """
    last_moment = clock() + patience
    while True:
        held = highest(objects, ring, chain)
        if held is None or held.owner in ended or held.is_over(clock()):
            lease = Lease(
                objects, ring, chain, owner=owner, fence=(held.fence if held is not None else 0) + 1, clock=clock
            )
            try:
                lease.take()
            except Exists:
                continue
            _forget_older(objects, chain, lease.fence)
            return lease
        if clock() >= last_moment:
            raise Busy(
                f"{chain.path} is being written by {held.owner}",
                "Wait until that session has ended, or stop it",
            )
        pause(max(0.1, min(5.0, held.until + SKEW - clock())))


def highest(objects: Objects, ring: KeyRing, chain: Chain) -> Held | None:
    """Return the lease of a chain that counts, None when there never was one. Raises `Damaged`."""
    keys = [entry.key for entry in objects.list(lease_prefix(chain))]
    for key in sorted(keys, reverse=True):
        try:
            sealed = objects.get(key)
        except Missing:
            continue  # an older one, removed by a newer holder meanwhile
        try:
            document = unpack_document(unseal(sealed, place=key, find_key=ring.find), place=key)
        except Damaged as error:
            raise Damaged(str(error), f"When no session works on {chain.resource}, delete the object") from None
        return _held(key, document)
    return None


def all_held(objects: Objects, ring: KeyRing) -> Iterator[tuple[str, Held]]:
    """Return the lease that counts of every chain, by the chain's path. Raises `Damaged`."""
    paths = {entry.key.removeprefix(f"{LEASES}/").rpartition("/")[0] for entry in objects.list(LEASES)}
    for path in sorted(paths - {COLLECTOR.path}):
        account, region, resource = path.split("/")
        held = highest(objects, ring, Chain(account=account, region=region, resource=resource))
        if held is not None:
            yield path, held


def _held(key: str, document: dict[str, Any]) -> Held:
    try:
        return Held(
            fence=int(key.rpartition("/")[2]),
            owner=str(document["owner"]),
            token=str(document["token"]),
            until=float(document["until"]),
            note=float(document.get("note", 0.0)),
        )
    except (KeyError, TypeError, ValueError):
        raise Damaged(f"{key} is damaged: it holds no lease") from None


def _forget_older(objects: Objects, chain: Chain, fence: int) -> None:
    newest = lease_key(chain, fence)
    with contextlib.suppress(RepositoryError):
        for entry in list(objects.list(lease_prefix(chain))):
            if entry.key < newest:
                objects.delete(entry.key)
