"""The indexes of file systems that a repository holds, with the agent's own reader of them.

Names of files are content: they are read with the repository's opener role, as blocks are, and kept nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError

from agent.index.head import IndexHead, all_indexes, read_head
from agent.index.search import Open, opening
from agent.repository import repository as format_1
from agent.repository.errors import Missing
from agent.repository.kms import Kms
from agent.repository.layout import Chain
from agent.repository.s3 import open_s3
from console.opener import opener_access
from orchestrator.aws.credentials import Identities
from orchestrator.errors import Permanent
from orchestrator.model.account import Repository


@dataclass(frozen=True)
class Kept:
    """An index and the repository that it is in."""

    chain: Chain
    index: str
    repository: format_1.Repository

    def head(self) -> IndexHead:
        """Read its head. Raises `RepositoryError`."""
        return read_head(self.repository, self.chain, self.index)

    def opened(self) -> Open:
        """Return what opens its parts."""
        return opening(self.repository)


def kept_indexes(identities: Identities, repository: Repository) -> list[Kept]:
    """List the indexes in a registered repository; none when nothing has been written there.

    Raises `Refused`, `CloudError`, `RepositoryError`.
    """
    access = opener_access(identities, repository)
    try:
        opened = format_1.open_repository(open_s3(repository.url, access), Kms(access, repository.key.kms))
        return [Kept(chain, index, opened) for chain, index in all_indexes(opened)]
    except Missing:
        return []
    except (BotoCoreError, ClientError) as error:
        raise Permanent(f"repository {repository.name}: {type(error).__name__}") from None


def newest(found: Iterable[Kept]) -> Iterator[Kept]:
    """Return the newest index of each file system: their ids sort by time."""
    last = {one.chain: one for one in sorted(found, key=lambda one: one.index)}
    yield from sorted(last.values(), key=lambda one: one.chain.path)
