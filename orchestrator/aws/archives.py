"""Archived packs in S3: listed with their state, and asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from orchestrator.aws.credentials import Identities
from orchestrator.aws.errors import code_of, translated
from orchestrator.errors import NoCapacity
from orchestrator.model.plan import Access
from orchestrator.ports import PackState, PackView

#: Classes that cannot be read before they are retrieved.
_ASLEEP: Final = ("GLACIER", "DEEP_ARCHIVE")
#: A pack's name: 8 hex digits of the data key, 16 of its owner, 16 of chance.
_OWNER: Final = slice(8, 24)
_AT_ONCE: Final = 8


class AwsArchive:
    """`orchestrator.ports.ArchiveStore` on S3."""

    def __init__(self, identities: Identities, access: Access, url: str) -> None:
        """Take the identity that may list packs and ask for them, and the archive's `s3://bucket/prefix`."""
        self._identities = identities
        self._access = access
        parts = urlsplit(url)
        self._bucket = parts.netloc
        self._prefix = f"{parts.path.strip('/')}/" if parts.path.strip("/") else ""

    @property
    def _s3(self) -> Any:
        return self._identities.client("s3", self._access.role, self._access.region)

    def packs(self, folder: str, owner: str) -> list[PackView]:
        """See the port."""
        with translated("list the packs of an archived restore point"):
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=f"{self._prefix}{folder}/", OptionalObjectAttributes=["RestoreStatus"]
            )
            listed = [one for page in pages for one in page.get("Contents", [])]
        return [self._view(one) for one in listed if one["Key"].rpartition("/")[2][_OWNER] == owner]

    def _view(self, listed: Mapping[str, Any]) -> PackView:
        told = listed.get("RestoreStatus") or {}
        state = PackState.READABLE
        if listed.get("StorageClass") in _ASLEEP and "RestoreExpiryDate" not in told:
            state = PackState.RETRIEVING if told.get("IsRestoreInProgress") else PackState.ARCHIVED
        return PackView(
            key=str(listed["Key"]).removeprefix(self._prefix),
            size=int(listed["Size"]),
            state=state,
            until=told.get("RestoreExpiryDate"),
        )

    def retrieve(self, keys: Sequence[str], *, tier: str, days: int) -> None:
        """See the port."""
        request = {"Days": days, "GlacierJobParameters": {"Tier": tier.capitalize()}}
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            try:
                list(pool.map(partial(self._ask, request), keys))
            finally:
                pool.shutdown(cancel_futures=True)

    def _ask(self, request: Mapping[str, Any], key: str) -> None:
        with translated("retrieve an archived pack"):
            try:
                self._s3.restore_object(Bucket=self._bucket, Key=self._prefix + key, RestoreRequest=request)
            except ClientError as error:
                if code_of(error) == "GlacierExpeditedRetrievalNotAvailable":
                    raise NoCapacity(
                        "S3 has no capacity for expedited retrievals now",
                        code="GlacierExpeditedRetrievalNotAvailable",
                        remedy="Start it again with retrieval: standard, or later",
                    ) from None
                if code_of(error) != "RestoreAlreadyInProgress":
                    raise
