"""What can be wrong with a repository. Every text names the object and says what to do, and holds no secret."""

from __future__ import annotations


class RepositoryError(Exception):
    """The repository could not be used; `remedy` is a sentence for a person, or None."""

    def __init__(self, message: str, remedy: str | None = None) -> None:
        """Keep the remedy apart from what happened."""
        super().__init__(message)
        self.remedy = remedy


class Missing(RepositoryError):
    """An object is not there."""


class Exists(RepositoryError):
    """An object that must be new is there already."""


class Refused(RepositoryError):
    """The store does not let this role do it."""


class Unreachable(RepositoryError):
    """The store gave no answer in time, after all attempts."""


class Damaged(RepositoryError):
    """An object's bytes are not what was written there: flipped, cut, swapped with another's, or of another key."""


class Unusable(RepositoryError):
    """The repository is of a newer format, or its keys cannot be unwrapped."""


class Foreign(RepositoryError):
    """The repository belongs to another installation."""


class Busy(RepositoryError):
    """Another writer holds the chain's lease."""


class Fenced(RepositoryError):
    """The lease of this writer on the chain is gone: somebody else may be writing, so nothing more may be published."""
