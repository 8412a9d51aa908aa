"""How a process says that it is ready: systemd's own way, so units of `Type=notify` and the supervisor see the same."""

from __future__ import annotations

import os
import socket
import struct
from types import TracebackType
from typing import Final, Self

_READY: Final = b"READY=1"
_CREDENTIALS: Final = struct.Struct("3i")


def announce_ready() -> None:
    """Tell whoever started this process that it serves now; nobody may have asked."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(f"\0{address[1:]}" if address.startswith("@") else address)
        sender.sendall(_READY)


class ReadySocket:
    """Hears which processes are ready; the kernel vouches for the sender."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        # an empty name has the kernel choose a free one; no file, so no length limit and nothing to clean up
        self._socket.bind("")
        self.address = "@" + self._socket.getsockname()[1:].decode()

    def fileno(self) -> int:
        """For `select`."""
        return self._socket.fileno()

    def heard(self) -> set[int]:
        """Return the ids of the processes that have said so since the last call."""
        found: set[int] = set()
        while True:
            try:
                text, ancillary, _, _ = self._socket.recvmsg(256, socket.CMSG_SPACE(_CREDENTIALS.size))
            except BlockingIOError:
                return found
            for level, kind, data in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                    pid, uid, _ = _CREDENTIALS.unpack(data[: _CREDENTIALS.size])
                    if uid == os.getuid() and text == _READY:
                        found.add(pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
