"""Whose repository it is: one installation writes it. Another one is refused before it has written anything.

Two installations know nothing of each other's sessions: their writers, retention and collections would meet in one
repository without either control plane's order. Reading is nobody's harm and open to all who have the key.
"""

from __future__ import annotations

import json

from agent.repository.errors import Damaged, Exists, Foreign, Missing
from agent.repository.layout import OWNER
from agent.repository.repository import Repository


def claim(repository: Repository, install: str) -> None:
    """Make sure that the repository belongs to an installation; nobody's becomes its own. Raises `Foreign`, `Damaged`.

    An installation without a name, as in tests of single jobs, claims nothing.
    """
    if not install:
        return
    try:
        owner = _owner(repository)
    except Missing:
        owner = _claim(repository, install)
    if owner != install:
        raise Foreign(
            f"the repository belongs to installation {owner}, this is {install}: {OWNER} says so",
            f"Give this installation a repository of its own; if {owner} is gone for good, delete {OWNER}",
        )


def _claim(repository: Repository, install: str) -> str:
    try:
        repository.objects.create(OWNER, json.dumps({"install": install}).encode())
    except Exists:
        return _owner(repository)
    return install


def _owner(repository: Repository) -> str:
    try:
        found = json.loads(bytes(repository.objects.get(OWNER)))["install"]
    except (ValueError, KeyError, TypeError):
        found = None
    if not isinstance(found, str) or not found:
        raise Damaged(
            f"{OWNER} is damaged: it names no installation",
            "If no other installation uses this repository, delete the object; the next session writes it again",
        )
    return found
