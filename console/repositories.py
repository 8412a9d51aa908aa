"""Reading what restore points a repository holds, with the agent's own reader of its format.

Heads are read and nothing else: the role that does this may see neither packs nor maps, so whoever runs the control
plane learns what there is to restore and no byte of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import ValidationError

from agent.aws import Access
from agent.protocol import ProtocolError, parse_time
from agent.repository import repository as format_1
from agent.repository.damage import is_damaged
from agent.repository.errors import Missing, Refused, RepositoryError, Unreachable, Unusable
from agent.repository.head import Head
from agent.repository.kms import Kms
from agent.repository.layout import DAMAGE, POINTS, Chain, damage_key
from agent.repository.s3 import open_s3
from orchestrator import errors as orchestrator_errors
from orchestrator.aws.credentials import Identities
from orchestrator.aws.errors import translated
from orchestrator.errors import AccessDenied, Ambiguous, CloudError, Permanent
from orchestrator.importing import Found, Place, Unread
from orchestrator.ledger import points
from orchestrator.ledger.points import RestorePoint
from orchestrator.model.account import Repository
from orchestrator.model.plan import SourceVolume

_AT_ONCE: Final = 16
_GIB: Final = 1024**3
#: rp/<account>/<region>/<resource>/<point>
_PARTS: Final = 5


class RepositoryShelf:
    """`orchestrator.importing.Shelf` on a repository of the agent's format, and its archive if it has one."""

    def __init__(
        self, name: str, opened: format_1.Repository, archive: tuple[str, format_1.Repository] | None = None
    ) -> None:
        """Take the repository's registered name, the open repository, and the archive with its url."""
        self._name = name
        self._opened = opened
        self._archive = archive
        self._findings: frozenset[str] | None = None

    def places(self) -> Iterator[Place | Unread]:
        """See the port."""
        try:
            for opened in [self._opened, *([self._archive[1]] if self._archive is not None else [])]:
                for entry in opened.objects.list(POINTS):
                    parts = entry.key.split("/")
                    if len(parts) == _PARTS:
                        yield Place(account=parts[1], region=parts[2], resource_id=parts[3], point=parts[4])
                    else:
                        yield Unread(name=entry.key, reason="this is no place of a restore point")
        except RepositoryError as error:
            raise _as_cloud_error(self._name, error) from None

    def read(self, places: Sequence[Place]) -> list[Found | Unread]:
        """See the port."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            try:
                answers = list(pool.map(self._read, places))
            finally:
                pool.shutdown(cancel_futures=True)
        unusable = [one for one in answers if isinstance(one, Unusable)]
        if unusable and len(unusable) == len(answers):
            # None of many: that is the key and not a point.
            raise _as_cloud_error(self._name, unusable[0])
        return [
            Unread(name=str(place), reason=str(one), remedy=one.remedy or "") if isinstance(one, Unusable) else one
            for place, one in zip(places, answers, strict=True)
        ]

    def _read(self, place: Place) -> Found | Unread | Unusable:
        try:
            chain = Chain(account=place.account, region=place.region, resource=place.resource_id)
            head, url = self._head(chain, place.point)
            status = points.DAMAGED if url is None and self._is_damaged(chain, place.point) else points.COMPLETE
            return Found(point=_point(self._name, head, url, status), install=head.install)
        except (Refused, Unreachable) as error:
            raise _as_cloud_error(self._name, error) from None
        except Unusable as error:
            return error
        except RepositoryError as error:
            return Unread(name=str(place), reason=str(error), remedy=error.remedy or "")
        except (ValidationError, ProtocolError, ValueError, KeyError, TypeError) as error:
            return Unread(name=str(place), reason=f"its head cannot be understood ({type(error).__name__})")

    def _is_damaged(self, chain: Chain, point: str) -> bool:
        """Whether a health check has found something wrong; a reading role from before that may not look knows none."""
        if self._findings is None:
            try:
                self._findings = frozenset(entry.key for entry in self._opened.objects.list(DAMAGE))
            except Refused:
                self._findings = frozenset()
        return damage_key(chain, point) in self._findings and is_damaged(self._opened, chain, point)

    def _head(self, chain: Chain, point: str) -> tuple[Head, str | None]:
        """Return a head, and the archive's url when it stands there."""
        try:
            return self._opened.point(chain, point), None
        except Missing:
            if self._archive is None:
                raise
        url, archive = self._archive
        return archive.point(chain, point), url


def open_shelf(identities: Identities, repository: Repository) -> RepositoryShelf:
    """Open a registered repository and its archive through their reading role. Raises `CloudError`."""
    role = repository.reader
    with translated(f"take the reading role of repository {repository.name}"):
        access = Access(
            session=identities.session(role),
            region=repository.region,
            endpoint_url=os.environ.get("AWS_ENDPOINT_URL") or None,
        )
        access.keys()
    try:
        kms = Kms(access, repository.key.kms)
        opened = format_1.open_repository(open_s3(repository.url, access), kms)
        archive = _open_archive(repository, access, kms)
    except RepositoryError as error:
        raise _as_cloud_error(repository.name, error) from None
    except (BotoCoreError, ClientError) as error:
        raise Permanent(f"repository {repository.name}: {type(error).__name__}") from None
    return RepositoryShelf(repository.name, opened, archive)


def _open_archive(repository: Repository, access: Access, kms: Kms) -> tuple[str, format_1.Repository] | None:
    """Open a repository's archive; None when there is none, or nothing was ever archived."""
    if repository.archive is None:
        return None
    try:
        return repository.archive.url, format_1.open_repository(open_s3(repository.archive.url, access), kms)
    except Missing:
        return None


def _point(repository: str, head: Head, archive: str | None, status: str) -> RestorePoint:
    figures = {name: value for name, value in head.figures.items() if name != "packs"}
    return RestorePoint(
        id=head.point,
        account=head.account,
        region=head.region,
        resource_id=head.resource,
        repository=repository,
        session=head.session,
        kind=head.kind,
        status=status,
        parent=head.parent,
        created_at=parse_time(head.created_at).astimezone(UTC),
        record={
            "volumes": [_volume(one) for one in head.volumes],
            "configuration": dict(head.configuration),
            "consistency": head.consistency,
            "figures": figures,
            **({} if archive is None else {"archive": points.archive_record(archive, head.figures)}),
            "snapshots": {one.volume_id: one.snapshot_id for one in head.volumes},
        },
    )


def _volume(volume: Any) -> dict[str, Any]:
    """Return a volume as the ledger has it; what its attributes do not say is in the head itself."""
    least = {
        "volumeId": volume.volume_id,
        "device": volume.device,
        "sizeGib": -(-volume.size_bytes // _GIB),
    }
    checked = SourceVolume.model_validate({**least, **volume.attributes})
    return checked.model_dump(mode="json", by_alias=True, exclude_none=True)


def _as_cloud_error(name: str, error: RepositoryError) -> CloudError:
    if isinstance(error, Missing):
        return orchestrator_errors.Missing(
            f"repository {name}: nothing has been written there",
            remedy="Correct the repository's url, if there should be something",
        )
    kinds: dict[type[RepositoryError], type[CloudError]] = {Refused: AccessDenied, Unreachable: Ambiguous}
    kind = kinds.get(type(error), Permanent)
    return kind(f"repository {name}: {error}", code=type(error).__name__, remedy=error.remedy or "")
