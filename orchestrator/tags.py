"""Names and tags: how everything of ours is recognised in the cloud."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from fnmatch import fnmatchcase

INSTALL = "daywork:install"
SESSION = "daywork:session"
RESOURCE = "daywork:resource"
ATTEMPT = "daywork:attempt"
#: On the snapshots of a backup: the restore point that is made of them.
POINT = "daywork:point"
#: On a snapshot that is none of ours, by its owner: the backup account may look into it. Its value is the install.
FILES = "daywork:files"
#: On a restored instance and its volumes until they are complete; its value is the install.
RESTORING = "daywork:restoring"


def path_of(install: str) -> str:
    """Return the IAM path of an install's temporary roles and instance profiles."""
    return f"/daywork/{install}/"


def temporary_role_name(session: str) -> str:
    """Return a name for a session's temporary role: unique for ever, because IAM binds old ids to reused names."""
    return f"dw-{session.removeprefix('s-').lower()}-{secrets.token_hex(3)}"


def session_tags(install: str, session: str) -> dict[str, str]:
    """Return the tags of everything a session makes."""
    return {INSTALL: install, SESSION: session}


def resource_tags(install: str, session: str, ordinal: int, attempt: int) -> dict[str, str]:
    """Return the tags of what is made for one resource of a session."""
    return session_tags(install, session) | {RESOURCE: str(ordinal), ATTEMPT: str(attempt)}


def restoring_tags(install: str, session: str, ordinal: int, attempt: int) -> dict[str, str]:
    """Return the tags of an instance under restore: it is no worker, so it lacks the install's own tag."""
    marks = resource_tags(install, session, ordinal, attempt)
    return {RESTORING: marks.pop(INSTALL), **marks}


def carries(tags: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Whether tags hold every one of those wanted; `*` and `?` in a value stand for any text, as in EC2's filters."""
    return all(key in tags and fnmatchcase(tags[key], _literal(value)) for key, value in wanted.items())


def _literal(value: str) -> str:
    """Take the meaning of brackets away, which EC2's filters do not have."""
    return value.replace("[", "[[]")
