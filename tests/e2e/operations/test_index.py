"""Indexing a file system on a whole stack: what a search finds is what `find` finds, without touching it."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.indexing import truth
from support.stack import REGION, Stack

ACCOUNT = "222222222222"


@dataclass(frozen=True)
class Shared:
    """A file system of the first account, and where its content stands."""

    id: str
    root: Path


@pytest.fixture(scope="module")
def shared(stack: Stack) -> Shared:
    """A file system with hostile names, links and a file that is only size."""
    efs = stack.eye.client(ACCOUNT, "efs")
    (known,) = [one for one in efs.describe_file_systems()["FileSystems"] if one["NumberOfMountTargets"]]
    (target, *_) = efs.describe_mount_targets(FileSystemId=known["FileSystemId"])["MountTargets"]
    groups = efs.describe_mount_target_security_groups(MountTargetId=target["MountTargetId"])["SecurityGroups"]
    name = efs.create_file_system(CreationToken="test-index")["FileSystemId"]
    efs.create_mount_target(FileSystemId=name, SubnetId=target["SubnetId"], SecurityGroups=groups)
    root = stack.directory / "cloud" / "file-systems" / name
    (root / "projects" / "alpha").mkdir(parents=True)
    for number in range(200):
        (root / "projects" / "alpha" / f"report-{number:03d}.txt").write_text("x" * number)
    with (root / "large.img").open("wb") as file:
        file.truncate(3 * 2**30)
    for hostile in (b"new\nline", b"\xff\xfe", b"\x1b[31mred", b"-rf *", b"back\\slash", b"q'\"`$(x);", b"a" * 255):
        (root / os.fsdecode(hostile)).write_bytes(b"!")
    (root / "out").symlink_to("/etc")
    return Shared(name, root)


def index(stack: Stack, shared: Shared, **options: Any) -> dict[str, Any]:
    """Index the file system in a session; return its record."""
    resource = {"account": ACCOUNT, "region": REGION, "id": shared.id}
    return stack.wait(stack.start({"operation": "efs-index", "resources": [resource], "options": options}))


def search(stack: Stack, shared: Shared, *arguments: str) -> list[dict[str, Any]]:
    """Search the file system's newest index."""
    said = stack.daywork("index", "search", *arguments, "--file-system", shared.id, "-o", "json")
    found: list[dict[str, Any]] = json.loads(said)["files"]
    return found


def find(shared: Shared, *tests: str) -> set[str]:
    """Return what the system's own `find` finds, as paths of the file system."""
    said = subprocess.run(["find", ".", "-mindepth", "1", *tests], cwd=shared.root, capture_output=True, check=True)
    return {line[1:] for line in said.stdout.decode().splitlines()}


def test_a_file_system_is_indexed_searched_and_compared(stack: Stack, shared: Shared) -> None:
    """Production mode; the index says what stands there, and a later one what has changed; nothing else is left."""
    first = index(stack, shared)

    (resource,) = first["resources"]
    assert first["status"] == "success", first
    known = truth(shared.root)
    found = {one["path"]: one for one in search(stack, shared)}
    assert found.keys() == known.keys()
    assert {path: (one["kind"], one["sizeBytes"], one["mode"], one["uid"]) for path, one in found.items()} == {
        path: (one["kind"], one["size"], f"{one['mode']:04o}", one["owner"]) for path, one in known.items()
    }
    assert {one["path"] for one in search(stack, shared, "*-01?.txt")} == find(shared, "-name", "*-01?.txt")
    assert {one["path"] for one in search(stack, shared, "/projects/*/report-*9.txt", "--larger", "100")} == find(
        shared, "-path", "./projects/*/report-*9.txt", "-size", "+99c"
    )
    assert [one["path"] for one in search(stack, shared, "--larger", "1G")] == ["/large.img"]
    assert first["receipt"]["remaining"] == []
    assert not [one for one in stack.left() if first["id"] in str(one)]

    (shared.root / "projects" / "alpha" / "report-000.txt").unlink()
    (shared.root / "projects" / "beta").mkdir()
    second = index(stack, shared, path="/projects", excludePaths=["/projects/none"])

    both = [one["resources"][0]["result"]["index"] for one in (first, second)]
    changes = json.loads(stack.daywork("index", "diff", *both, "-o", "json"))["differences"]
    inside = {one["path"]: one["change"] for one in changes if one["path"].startswith("/projects/")}
    assert inside == {"/projects/alpha/report-000.txt": "removed", "/projects/beta": "added"}
    listed = json.loads(stack.daywork("index", "list", "--file-system", shared.id, "-o", "json"))["indexes"]
    assert [one["index"] for one in listed] == both
    assert resource["worker"]["availabilityZone"].startswith(REGION)


def test_a_file_system_that_cannot_be_mounted_fails_and_leaves_nothing(stack: Stack, shared: Shared) -> None:
    """And in the mode that has no row for it nothing is begun; what is not indexed is not found."""
    moved = shared.root.rename(shared.root.with_name("away"))
    try:
        record = index(stack, shared)
    finally:
        moved.rename(shared.root)

    assert record["status"] == "failed"
    assert f"{shared.id} cannot be mounted" in record["resources"][0]["reason"]
    assert record["receipt"]["remaining"] == []
    assert not [one for one in stack.left() if record["id"] in str(one)]
    resource = f"{ACCOUNT}/{REGION}/{shared.id}"
    refused = stack.run("session", "start", "--operation", "efs-index", "--mode", "backup", "--resource", resource)
    assert (refused.returncode, "mount target" in refused.stderr) == (8, True)
    assert stack.run("index", "search", "*", "--file-system", "fs-00000000").returncode == 7
