"""The store: contents over shared layers, their writable heads, and space given back."""

from __future__ import annotations

import itertools
import shutil
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from localcloud.blocks.layers import BLOCK, Layer
from localcloud.blocks.maps import EMPTY, BlockMap, found_in
from localcloud.filepart import FilePart

_STRIPES: Final = 64


class Sealed(Exception):
    """The content is not writable any more."""


class Content:
    """What one volume or snapshot holds. Made by `Store`; safe to use from many threads.

    `lineage` is equal for contents that came from one another.
    """

    def __init__(self, store: Store, blocks: BlockMap, lineage: str) -> None:
        self.lineage = lineage
        self._store = store
        self._blocks = blocks
        self._head: Layer | None = None
        self._sealed = False
        self._writers = 0
        self._still = 0
        self._changed = threading.Condition()

    @property
    def blocks(self) -> BlockMap:
        """What was frozen so far; blocks written since the last `freeze` are not in it."""
        return self._blocks

    def write(self, index: int, data: bytes | memoryview, digest: bytes) -> None:
        """Write a block of 512 KiB with this SHA-256 digest. Raises `Sealed`."""
        head = self._begin_write()
        try:
            # A repeated write of the same block waits: data and digest belong together.
            with self._store.stripes[index % _STRIPES]:
                head.write(index, data, digest)
        finally:
            with self._changed:
                self._writers -= 1
                self._changed.notify_all()

    def _begin_write(self) -> Layer:
        with self._changed:
            while self._still and not self._sealed:
                self._changed.wait()
            if self._sealed:
                raise Sealed
            if self._head is None:
                self._head = self._store.new_layer(self)
            self._writers += 1
            return self._head

    @contextmanager
    def still(self) -> Iterator[None]:
        """Let no block be written meanwhile; those that are being written are finished first."""
        with self._changed:
            self._still += 1
            while self._writers:
                self._changed.wait()
        try:
            yield
        finally:
            with self._changed:
                self._still -= 1
                self._changed.notify_all()

    def seal(self) -> None:
        """Refuse all writing from now on."""
        with self._changed:
            self._sealed = True
            self._changed.notify_all()

    def freeze(self) -> BlockMap:
        """Return the map of everything written so far; what is written later goes to another layer."""
        with self.still(), self._changed:
            if self._head is not None:
                written = self._head.written()
                if len(written):
                    self._store.account(self, self._blocks.under(written, self._head.number), self._head)
                    self._head = None
            return self._blocks

    def head(self) -> Layer | None:
        """Return the layer that is being written, if there is one."""
        return self._head


class Store:
    """All contents of the cloud, in one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._layers: dict[int, Layer] = {}
        self._users: dict[int, set[Content]] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()
        #: Held while a block is written, so that a repeated write of the same block comes after it.
        self.stripes = tuple(threading.Lock() for _ in range(_STRIPES))

    def clear(self) -> None:
        """Forget everything; contents made before are worth nothing any more."""
        with self._lock:
            self._layers.clear()
            self._users.clear()
            shutil.rmtree(self._directory, ignore_errors=True)

    def create(self, source: Content | None = None, *, same_lineage: bool = True) -> Content:
        """Make a content: empty and of a new lineage, or with everything that `source` has frozen."""
        with self._lock:
            if source is None:
                return Content(self, EMPTY, uuid.uuid4().hex)
            content = Content(self, EMPTY, source.lineage if same_lineage else uuid.uuid4().hex)
            self.account(content, source.blocks)
            return content

    def snapshot(self, source: Content) -> Content:
        """Make a sealed content of what `source` holds now."""
        with source.still():
            source.freeze()
            content = self.create(source)
        content.seal()
        return content

    def open(self, content: Content, index: int) -> tuple[bytes, FilePart | bytes] | None:
        """Return digest and data of a frozen block, or None when it was never written or the content is gone.

        A `FilePart` is the caller's to close.
        """
        layer = self._layer_of(content, index)
        try:
            return None if layer is None else layer.open(index)
        except FileNotFoundError:
            return None

    def read(self, content: Content, index: int) -> bytes:
        """Return a frozen block; zeros where nothing was ever written."""
        found = self.open(content, index)
        if found is None:
            return bytes(BLOCK)
        data = found[1]
        if isinstance(data, bytes):
            return data
        try:
            return b"".join(data)
        finally:
            data.close()

    def digest(self, content: Content, index: int) -> bytes | None:
        """Return the digest of a frozen block, or None when it was never written."""
        layer = self._layer_of(content, index)
        return None if layer is None else layer.digest(index)

    def _layer_of(self, content: Content, index: int) -> Layer | None:
        number = content.blocks.layer_of(index)
        return None if number is None else self._layers.get(number)

    def drop(self, content: Content) -> None:
        """Forget a content and give back what no other one shares. May be called again."""
        content.seal()
        with content.still():
            head = content.head()
            self.account(content, EMPTY)
            with self._lock:
                if head is not None and content in self._users.get(head.number, ()):
                    self._forget(head.number)

    def new_layer(self, content: Content) -> Layer:
        """Make a layer that `content` writes into."""
        with self._lock:
            layer = Layer(self._directory, next(self._numbers))
            self._layers[layer.number] = layer
            self._users[layer.number] = {content}
            return layer

    def account(self, content: Content, blocks: BlockMap, head: Layer | None = None) -> None:
        """Give `content` another map. `head`: the layer that it wrote and that the map names from now on."""
        with self._lock:
            before = content.blocks
            content._blocks = blocks  # noqa: SLF001 - store and content are one thing, split for reading
            now = blocks.numbers()
            for number in now:
                self._users[number].add(content)
            for number in before.numbers() - now:
                self._users[number].discard(content)
                self._give_back(number, before)
            if head is None:
                return
            for number in before.numbers() & now:
                self._give_back(number, before)

    def _give_back(self, number: int, before: BlockMap) -> None:
        """Give back the blocks of a layer that a map had and that no map has now."""
        users = self._users[number]
        if not users:
            self._forget(number)
            return
        lost = before.of_layer(number)
        for user in users:
            lost = lost[~found_in(lost, user.blocks.of_layer(number))]
            if not len(lost):
                return
        self._layers[number].discard(lost)

    def _forget(self, number: int) -> None:
        self._users.pop(number, None)
        layer = self._layers.pop(number, None)
        if layer is not None:
            layer.remove()
