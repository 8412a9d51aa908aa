"""A repository as a whole: made or opened, its restore points listed and read."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import Any, Final

from agent.repository.errors import Damaged, Exists, Missing, Unusable
from agent.repository.forward import Forwards
from agent.repository.head import Head, decode_head
from agent.repository.keys import KeyRing, KeyService
from agent.repository.layout import POINTS, REPOSITORY, Chain, point_key, point_prefix
from agent.repository.maps import SEGMENT
from agent.repository.objects import Objects
from agent.repository.pack import BLOCK

FORMAT: Final = 1

#: What `repo.json` says beside the id; an agent that finds anything else must not touch the repository.
_TERMS: Final = {"format": FORMAT, "blockSize": BLOCK, "segmentBlocks": SEGMENT, "features": []}


class Repository:
    """An open repository. Made by `open_repository`; usable from any thread."""

    def __init__(self, objects: Objects, repository_id: str, ring: KeyRing) -> None:
        """Take the parts."""
        self.objects = objects
        self.id = repository_id
        self.ring = ring
        self.forwards = Forwards(objects, ring.find)

    def point(self, chain: Chain, point: str) -> Head:
        """Return a restore point. Raises `Missing`, `Damaged`, `Unusable`."""
        key = point_key(chain, point)
        return decode_head(self.objects.get(key), place=key, find_key=self.ring.find)

    def points(self, chain: Chain) -> Iterator[str]:
        """List the ids of a chain's restore points, oldest id first."""
        for entry in self.objects.list(point_prefix(chain)):
            yield entry.key.rpartition("/")[2]

    def chains(self) -> Iterator[Chain]:
        """List the chains that have a restore point."""
        last: tuple[str, ...] = ()
        for entry in self.objects.list(POINTS):
            parts = tuple(entry.key.split("/")[1:-1])
            if parts != last:
                last = parts
                account, region, resource = parts
                yield Chain(account=account, region=region, resource=resource)


def open_repository(objects: Objects, service: KeyService, *, create: bool = False) -> Repository:
    """Open a repository; with `create`, make it when it is not there yet.

    Raises `Missing`, `Unusable` when it is of another format, `Damaged`, `Refused`, `Unreachable`.
    """
    try:
        document = _read(objects)
    except Missing:
        if not create:
            raise
        document = _make(objects)
    repository_id = document.get("id")
    if {name: document.get(name) for name in _TERMS} != _TERMS:
        raise Unusable(f"{REPOSITORY} states a format that this agent does not know", "Use a newer agent")
    if not isinstance(repository_id, str) or not repository_id:
        raise Damaged(f"{REPOSITORY} is damaged: it holds no repository id")
    return Repository(objects, repository_id, KeyRing(objects, repository_id, service))


def _read(objects: Objects) -> dict[str, Any]:
    try:
        document = json.loads(bytes(objects.get(REPOSITORY)))
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise Damaged(f"{REPOSITORY} is damaged: it is not a JSON object")
    return document


def _make(objects: Objects) -> dict[str, Any]:
    document = {**_TERMS, "id": secrets.token_hex(16)}
    try:
        objects.create(REPOSITORY, json.dumps(document, sort_keys=True).encode())
    except Exists:
        return _read(objects)
    return document
