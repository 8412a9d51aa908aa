"""A part of a file as the body of an answer: sent by the kernel, without passing through this process's memory."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterator
from typing import Final

#: Milliseconds that a client may take nothing before it counts as gone.
_PATIENCE: Final = 120_000


class FilePart:
    """`length` bytes at `offset` of a file, an iterable of chunks like any body. Owns the descriptor; close it."""

    def __init__(self, descriptor: int, offset: int, length: int) -> None:
        self._descriptor = descriptor
        self._offset = offset
        self.length = length

    def __del__(self) -> None:
        # An answer that a fault swallowed is nobody's to close.
        self.close()

    def __iter__(self) -> Iterator[bytes]:
        """Yield the bytes, for who needs them here."""
        yield os.pread(self._descriptor, self.length, self._offset)

    def send(self, connection: socket.socket) -> None:
        """Send the bytes. Raises OSError; TimeoutError when the client takes nothing for two minutes."""
        target = connection.fileno()
        sent = 0
        while sent < self.length:
            try:
                count = os.sendfile(target, self._descriptor, self._offset + sent, self.length - sent)
            except BlockingIOError:
                # A socket with a time-out does not block; its time-out is kept by waiting here.
                poll = select.poll()
                poll.register(target, select.POLLOUT)
                if not poll.poll(_PATIENCE):
                    raise TimeoutError("the client takes nothing") from None
                continue
            if count == 0:
                raise ConnectionAbortedError("the file is shorter than the answer")
            sent += count

    def close(self) -> None:
        """Close the file. May be called again."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
