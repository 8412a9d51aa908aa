"""Copies of the ledger in the control bucket."""

from __future__ import annotations

import hashlib
from typing import IO, Any, Final

from orchestrator.aws.credentials import Identities
from orchestrator.aws.errors import translated
from orchestrator.errors import Missing, WrongRequest
from orchestrator.policies import BACKUP_PREFIX
from orchestrator.ports import Kept
from orchestrator.services import Install

_PIECE: Final = 1 << 20


class AwsBackups:
    """`orchestrator.ports.BackupStore` on S3, with the control plane's own identity."""

    def __init__(self, identities: Identities, install: Install) -> None:
        """Take the identities and the install, which names the bucket."""
        self._identities = identities
        self._bucket = install.control_bucket
        self._region = install.control_region

    @property
    def _s3(self) -> Any:
        return self._identities.client("s3", None, self._region)

    def kept(self) -> list[Kept]:
        """See the port."""
        with translated("list the copies of the ledger"):
            pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=BACKUP_PREFIX)
            found = [
                Kept(name=one["Key"].removeprefix(BACKUP_PREFIX), size=int(one["Size"]))
                for page in pages
                for one in page.get("Contents", [])
            ]
        return sorted(found, key=lambda one: one.name, reverse=True)

    def content(self, name: str) -> str | None:
        """See the port."""
        try:
            with translated("look at a copy of the ledger"):
                answer = self._s3.head_object(Bucket=self._bucket, Key=BACKUP_PREFIX + name)
        except Missing:
            return None
        found: str | None = answer["Metadata"].get("content")
        return found

    def put(self, name: str, file: IO[bytes], *, sha256: str, content: str) -> None:
        """See the port."""
        file.seek(0)
        with translated("keep a copy of the ledger"):
            self._s3.put_object(
                Bucket=self._bucket,
                Key=BACKUP_PREFIX + name,
                Body=file,
                ContentType="application/zstd",
                Metadata={"sha256": sha256, "content": content},
            )

    def fetch(self, name: str, file: IO[bytes]) -> None:
        """See the port."""
        digest = hashlib.sha256()
        with translated("read a copy of the ledger"):
            answer = self._s3.get_object(Bucket=self._bucket, Key=BACKUP_PREFIX + name)
            for piece in answer["Body"].iter_chunks(_PIECE):
                digest.update(piece)
                file.write(piece)
        if digest.hexdigest() != answer["Metadata"].get("sha256"):
            raise WrongRequest(
                f"the copy {name} of the ledger is damaged: its bytes are not those that were put there",
                remedy="Take another one: `daywork ledger backups` lists them",
            )
        file.seek(0)

    def absent(self, name: str) -> None:
        """See the port."""
        with translated("remove a copy of the ledger"):
            self._s3.delete_object(Bucket=self._bucket, Key=BACKUP_PREFIX + name)
