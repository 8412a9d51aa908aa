"""Index jobs on directories of the test, and asking what they have written."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.files.walking import shown
from agent.index.head import IndexHead, all_indexes, read_head
from agent.index.search import Found, Wanted, opening, search
from agent.jobs import efs_index
from agent.jobs.context import JobContext
from agent.protocol import IndexJob, JobResult, MountTarget, ResourceRef
from support.data_jobs import REPOSITORY, Bench

FILE_SYSTEM = ResourceRef(account="222222222222", region="eu-west-1", id="fs-0123456789abcdef0")
_KINDS = {0o10: "file", 0o4: "directory", 0o12: "link", 0o1: "fifo", 0o14: "socket", 0o2: "character", 0o6: "block"}


class IndexBench(Bench):
    """A repository, and a directory that holds file systems by their ids."""

    def __init__(self, file_systems: Path) -> None:
        super().__init__(resource=FILE_SYSTEM)
        self.root = file_systems / FILE_SYSTEM.id
        self.root.mkdir(parents=True, exist_ok=True)

    def index(self, name: str = "ix-1", *, walkers: int = 4, rows: int = 500_000, **more: Any) -> JobResult:
        """Do an index job."""
        job = IndexJob(
            repository=REPOSITORY,
            resource=FILE_SYSTEM,
            index=name,
            mount_targets=(MountTarget(id="fsmt-1", address="10.0.0.4"),),
            **more,
        )
        context = JobContext(**{**vars(self.context()), "file_systems": self.root.parent})
        return efs_index.run(context, job, self.means(), walkers=walkers, rows=rows)

    def index_head(self, name: str = "ix-1") -> IndexHead:
        """Return an index's head."""
        return read_head(self.repository, self.chain, name)

    def found(self, name: str = "ix-1", **wanted: Any) -> list[Found]:
        """Search an index."""
        return list(search(self.index_head(name), Wanted(**wanted), opening(self.repository)))

    def paths(self, name: str = "ix-1", **wanted: Any) -> set[str]:
        """Return the paths that a search finds."""
        return {one.path for one in self.found(name, **wanted)}

    def indexes(self) -> list[str]:
        """Return the ids of all indexes in the repository."""
        return [index for _, index in all_indexes(self.repository)]


def truth(root: Path) -> dict[str, Mapping[str, Any]]:
    """Return what stands below a directory, as `os.walk` and `lstat` say it, by shown path."""
    found: dict[str, Mapping[str, Any]] = {}
    top = os.fsencode(root)
    for directory, directories, files in os.walk(top):
        for name in [*directories, *files]:
            known = os.lstat(os.path.join(directory, name))  # noqa: PTH118 - names of any bytes
            found[shown(directory[len(top) :] + b"/" + name)] = {
                "kind": _KINDS[known.st_mode >> 12],
                "size": known.st_size,
                "modified": known.st_mtime_ns // 1000,
                "changed": known.st_ctime_ns // 1000,
                "owner": known.st_uid,
                "group": known.st_gid,
                "mode": known.st_mode & 0o7777,
            }
    return found
