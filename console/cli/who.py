"""Who gives a command: for records that say by whom something was changed."""

from __future__ import annotations

import getpass


def who() -> str:
    """Return the user's name on this machine; nobody proves it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"  # a container whose user has no name
