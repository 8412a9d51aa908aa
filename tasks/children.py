"""Pool children end with their Celery worker, whatever ended it.

By default a child whose parent was killed goes on with its step to the end, without anybody to enforce its time limits,
while a Celery worker that was started again already carries out the same step. The kernel ends it instead (Linux).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Have this process killed when its `parent` dies; one that has died already takes it along at once.

    Does nothing in the parent itself (Celery's solo pool has no children) and where the kernel does not offer it.
    """
    if os.getpid() == parent or sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
