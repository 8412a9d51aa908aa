"""What can be wrong with an image. Every text names the place and says what to do."""

from __future__ import annotations


class FilesError(Exception):
    """Files could not be read; `remedy` is a sentence for a person, or None."""

    def __init__(self, message: str, remedy: str | None = None) -> None:
        """Keep the remedy apart from what happened."""
        super().__init__(message)
        self.remedy = remedy


class NotThere(FilesError):
    """A path, volume or file system that was asked for is not in the image."""


class Unsupported(FilesError):
    """The image holds something that this version cannot read; the message names it."""


class Broken(FilesError):
    """A file system contradicts itself at the place that the message names."""


class Unsafe(FilesError):
    """Writing this would leave the target or overwrite something in it."""
