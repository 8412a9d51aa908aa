"""Pool children and their Celery worker."""

from __future__ import annotations

import os
import signal
from typing import Any

import psutil
from support.servers import wait_for

from console.stack.processes import Process


def test_a_child_that_is_deep_in_a_call_dies_with_its_celery_worker(plain: Any) -> None:
    """Only the parent is killed; a child that cannot run any code of its own does not outlive it."""
    plain.start_worker()
    parent = psutil.Process(plain.worker.pid)
    wait_for(lambda: len(parent.children()) == 2, seconds=60)
    wait_for(lambda: plain.app.control.inspect(timeout=1).ping(), seconds=60)
    children = [Process.find(child.pid) for child in parent.children()]
    assert None not in children
    for child in children:
        child.signal(signal.SIGSTOP)

    os.kill(parent.pid, signal.SIGKILL)

    wait_for(lambda: not any(child.is_alive for child in children), seconds=30)
