"""Index heads, and the objects that they lead to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from agent.index.parts import Part
from agent.repository.errors import RepositoryError, Unusable
from agent.repository.layout import INDEXES, Chain, catalogue_key, index_head_key, time_id
from agent.repository.repository import Repository
from agent.repository.seal import pack_document, seal, unpack_document, unseal

FORMAT: Final = 1
#: idx/<account>/<region>/<file system>/<index>
_PARTS: Final = 5


@dataclass(frozen=True, kw_only=True)
class PartRef:
    """Where a part stands, and what is in it: rows, bytes of its object, its first and last directory."""

    name: str
    rows: int
    length: int
    first: str
    last: str


@dataclass(frozen=True, kw_only=True)
class IndexHead:
    """What an index is of.

    `taken_at` and `finished_at` are when the walk began and ended (RFC 3339); what changed between them may stand there
    in either form. `recovery_point` is the backup that it describes, None: it describes the file system alone.
    `figures` are those of the job's result.
    """

    index: str
    account: str
    region: str
    file_system: str
    taken_at: str
    finished_at: str
    path: str
    exclude_paths: tuple[str, ...]
    recovery_point: str | None
    install: str
    session: str
    writer: str
    fence: int
    rows: int
    parts: tuple[PartRef, ...]
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def chain(self) -> Chain:
        """The chain of the file system's indexes."""
        return Chain(account=self.account, region=self.region, resource=self.file_system)


def write_part(repository: Repository, chain: Chain, part: Part) -> PartRef:
    """Seal and store a part, and remove its file. Raises `RepositoryError`."""
    name = time_id()
    place = catalogue_key(chain, name)
    key_id, data_key = repository.ring.current()
    sealed = seal(part.path.read_bytes(), place=place, key_id=key_id, data_key=data_key)
    part.path.unlink()
    repository.objects.create(place, sealed)
    return PartRef(name=name, rows=part.rows, length=len(sealed), first=part.first, last=part.last)


def read_part(repository: Repository, head: IndexHead, part: PartRef) -> bytes:
    """Return a part's Parquet file. Raises `RepositoryError`."""
    place = catalogue_key(head.chain, part.name)
    return unseal(repository.objects.get(place), place=place, find_key=repository.ring.find)


def write_head(repository: Repository, head: IndexHead) -> None:
    """Publish an index. Raises `RepositoryError`, `Exists` when it is there already."""
    place = index_head_key(head.chain, head.index)
    key_id, data_key = repository.ring.current()
    document = {**asdict(head), "format": FORMAT}
    repository.objects.create(place, seal(pack_document(document), place=place, key_id=key_id, data_key=data_key))


def read_head(repository: Repository, chain: Chain, index: str) -> IndexHead:
    """Return an index's head; what this version does not know is left out. Raises `RepositoryError`."""
    place = index_head_key(chain, index)
    document = unpack_document(
        unseal(repository.objects.get(place), place=place, find_key=repository.ring.find), place=place
    )
    if document.get("format") != FORMAT:
        raise Unusable(f"{place} is of format {document.get('format')}", "Use a newer agent")
    known = {name: document[name] for name in IndexHead.__dataclass_fields__ if name in document}
    fields = PartRef.__dataclass_fields__
    known["parts"] = tuple(PartRef(**{name: one[name] for name in fields}) for one in document["parts"])
    known["exclude_paths"] = tuple(known["exclude_paths"])
    return IndexHead(**known)


def all_indexes(repository: Repository) -> Iterator[tuple[Chain, str]]:
    """List the indexes of all file systems: chain and id, of each file system the oldest first."""
    for entry in repository.objects.list(INDEXES):
        parts = entry.key.split("/")
        if len(parts) != _PARTS:
            raise RepositoryError(f"{entry.key} is no place of an index", "Remove it if you know what it is")
        yield Chain(account=parts[1], region=parts[2], resource=parts[3]), parts[4]
