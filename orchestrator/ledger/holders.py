"""Who holds claims: a Celery worker by its name, in one of its lives, with its processes.

A claim lasts longer than any step may run, so that nobody takes over what is still being done. When its holder is known
to be dead nobody has to wait for that: a process of this life is gone, or the whole life is over because the Celery
worker of that name was started again.
"""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Holder:
    """A Celery worker: of one name, `node`, there is one at a time; `life` is drawn whenever it starts."""

    node: str
    life: str = field(default_factory=lambda: uuid.uuid4().hex[:12])

    @property
    def name(self) -> str:
        """What claims of this process carry."""
        return f"{self.node[-40:]}/{self.life}/{os.getpid()}"

    @property
    def before(self) -> str:
        """How the names of this worker's processes begin, in whatever life."""
        return f"{self.node[-40:]}/"

    def is_dead(self, name: str) -> bool:
        """Whether the process that carries a name is known to be gone. Not known is no."""
        if not name.startswith(self.before):
            return False
        life, pid = name.removeprefix(self.before).split("/")
        return life != self.life or not _is_alive(int(pid))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
