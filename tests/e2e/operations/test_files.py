"""Files out of a backup of an instance with every kind of file system: through sessions and from the command line."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from support.images import gpt_disk, make_ext, stored, tree_of, unpacked, write_image
from support.logical_volumes import DATA, EXTENT, Piece, place, write_group
from support.stack import HOME, INSTALL, REGION, Stack

from localcloud.moto_behaviour import DEBIAN_IMAGE
from localcloud.seed.address import CloudAddress
from localcloud.seed.machines import GIB, import_volume
from orchestrator import tags

SOURCE: Final = "222222222222"
DEVICES: Final = ("/dev/xvda", "/dev/xvdf", "/dev/xvdg")
EXTENTS: Final = (GIB - DATA) // EXTENT


@dataclass(frozen=True)
class Saved:
    """An instance's restore point, its volumes by device, and the tree that its logical volume holds."""

    point: str
    volumes: Mapping[str, str]
    tree: Path


@pytest.fixture(scope="module")
def saved(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Saved]:
    """One instance: FAT and XFS in a GPT, NTFS on a whole volume, ext4 in a logical volume; backed up."""
    made = tmp_path_factory.mktemp("images")
    tree = made / "tree"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc" / "hostname").write_text("files\n")
    (tree / "etc" / "shadow").write_text("root:*\n")
    (tree / "etc" / "shadow").chmod(0o640)
    (tree / "link").symlink_to("../../../outside")
    os.link(tree / "etc" / "hostname", tree / "hard")
    images = [
        write_image(gpt_disk(stored("fat32").source, stored("xfs").source), made / "a", GIB),
        write_image(stored("ntfs").source, made / "b", GIB),
        _logical(make_ext(made / "ext", tree), made / "c"),
    ]
    ec2 = stack.eye.client(SOURCE, "ec2")
    subnet = ec2.describe_subnets(Filters=[{"Name": "tag:daywork-seed", "Values": ["*"]}])["Subnets"][0]["SubnetId"]
    instance = ec2.run_instances(
        ImageId=DEBIAN_IMAGE, InstanceType="t3.small", MinCount=1, MaxCount=1, SubnetId=subnet,
        MetadataOptions={"HttpTokens": "required"},
        BlockDeviceMappings=[{"DeviceName": name, "Ebs": {"VolumeSize": 1}} for name in DEVICES],
    )["Instances"][0]["InstanceId"]  # fmt: skip
    ec2.get_waiter("instance_running").wait(InstanceIds=[instance], WaiterConfig={"Delay": 1})
    found = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    volumes = {one["DeviceName"]: one["Ebs"]["VolumeId"] for one in found["BlockDeviceMappings"]}
    cloud = CloudAddress.of(stack.eye.endpoint, stack.directory / "cloud")
    for name, image in zip(DEVICES, images, strict=True):
        import_volume(cloud, SOURCE, REGION, volumes[name], image)
    resource = {"account": SOURCE, "region": REGION, "id": instance}
    record = stack.wait(stack.start({"operation": "ec2-backup", "resources": [resource]}))
    assert record["status"] == "success", record
    yield Saved(record["resources"][0]["result"]["restorePoint"], volumes, tree)
    ec2.terminate_instances(InstanceIds=[instance])


def _logical(image: Path, disk: Path) -> Path:
    with disk.open("wb") as file:
        file.truncate(DATA + EXTENTS * EXTENT)
    pieces = [Piece(0, 3, -(-image.stat().st_size // EXTENT))]
    write_group([disk], "group", {"root": pieces})
    place([disk], pieces, image)
    with disk.open("r+b") as file:
        file.truncate(GIB)
    return disk


def restore(stack: Stack, saved: Saved, *paths: str, **options: Any) -> dict[str, Any]:
    """Restore paths in a session; return its record."""
    request = {
        "operation": "ec2-restore-files",
        "resources": [{"account": HOME, "region": REGION, "id": saved.point}],
        "options": {"paths": list(paths), **options},
    }
    return stack.wait(stack.start(request))


def output(stack: Stack, record: Mapping[str, Any]) -> bytes:
    """Return the archive that a session has written."""
    bucket, key = str(record["resources"][0]["result"]["output"]).removeprefix("s3://").split("/", 1)
    assert (bucket, key.split("/")[:2]) == (f"daywork-control-{INSTALL}", ["restored", record["id"]])
    data: bytes = stack.eye.client(HOME, "s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return data


def same(found: Mapping[bytes, Any], entries: Mapping[bytes, Mapping[str, Any]], below: bytes = b"") -> None:
    """Every file of a list is in an archive, byte for byte, with its mode and owner."""
    for path, row in entries.items():
        member, content = found[below + path]
        if row["kind"] == "file" and not member.islnk():
            assert hashlib.sha256(content).hexdigest() == row["sha256"], path
        if "mode" in row:
            assert (member.mode, member.uid) == (row["mode"], row["uid"]), path


def test_a_session_takes_everything_out_of_every_file_system(stack: Stack, saved: Saved) -> None:
    """One archive of all four, each below its name; the worker and its role are gone, nothing else was made."""
    first, second = saved.volumes[DEVICES[0]], saved.volumes[DEVICES[1]]

    record = restore(stack, saved, "/")

    assert record["status"] == "success", record
    found = unpacked(output(stack, record))
    same(found, stored("fat32").entries, f"/{first}/1".encode())
    same(found, stored("xfs").entries, f"/{first}/2".encode())
    same(found, stored("ntfs").entries, f"/{second}".encode())
    same(found, tree_of(saved.tree), b"/group/root")
    kinds = {one["name"]: one["kind"] for one in record["resources"][0]["result"]["fileSystems"]}
    assert kinds == {f"{first}/1": "fat32", f"{first}/2": "xfs", second: "ntfs", "group/root": "ext4"}
    assert record["receipt"]["remaining"] == []
    assert not [one for one in stack.left() if record["id"] in str(one) and "restored/" not in str(one)]


@pytest.mark.parametrize("mode", ["production", "backup"])
def test_a_session_takes_files_out_of_a_snapshot_that_is_not_ours(stack: Stack, saved: Saved, mode: str) -> None:
    """With a role of its account's own, or from the backup account once its owner has marked it; it stays as it is."""
    ec2 = stack.eye.client(SOURCE, "ec2")
    snapshot = ec2.create_snapshot(VolumeId=saved.volumes[DEVICES[1]])["SnapshotId"]
    ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[snapshot], WaiterConfig={"Delay": 1})
    request = {
        "operation": "ec2-restore-files",
        "mode": mode,
        "resources": [{"account": SOURCE, "region": REGION, "id": snapshot}],
        "options": {"paths": ["/deep", "/link"]},
    }
    if mode == "backup":
        refused = stack.wait(stack.start(request))
        assert (refused["status"], refused["counts"]["failed"]) == ("failed", 1)
        assert "is not marked" in refused["resources"][0]["reason"]
        ec2.create_tags(Resources=[snapshot], Tags=[{"Key": tags.FILES, "Value": INSTALL}])

    record = stack.wait(stack.start(request))

    assert record["status"] == "success", record
    entries = stored("ntfs").entries
    same(unpacked(output(stack, record)), {path: row for path, row in entries.items() if path.startswith(b"/deep")})
    assert record["receipt"]["remaining"] == []
    assert ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"]
    ec2.delete_snapshot(SnapshotId=snapshot)


def test_a_session_without_paths_lets_its_worker_be_asked(stack: Stack, saved: Saved) -> None:
    """Its file systems, a directory, an archive; what is not there; until it is stopped, and then nothing is left."""
    resource = {"account": HOME, "region": REGION, "id": saved.point}
    session = stack.start({"operation": "ec2-restore-files", "resources": [resource]})
    stack.wait_for_status(session, {"running"})

    systems = json.loads(stack.daywork("session", "browse", session, "-o", "json"))["fileSystems"]
    listed = json.loads(stack.daywork("session", "browse", session, "/etc", "-o", "json"))["files"]
    taken = json.loads(stack.daywork("session", "extract", session, "/etc", "/hard", "-o", "json"))
    nowhere = stack.run("session", "browse", session, "/nowhere")

    assert [one["kind"] for one in systems] == ["fat32", "xfs", "ntfs", "ext4"]
    assert [one["path"] for one in listed] == ["/etc/hostname", "/etc/shadow"]
    bucket, key = str(taken["output"]).removeprefix("s3://").split("/", 1)
    archive = stack.eye.client(HOME, "s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    known = tree_of(saved.tree)
    same(unpacked(archive), {path: known[path] for path in (b"/etc/hostname", b"/etc/shadow")})
    assert nowhere.returncode == 7
    assert "/nowhere" in nowhere.stderr
    stack.daywork("session", "stop", session)
    record = stack.wait(session)
    assert (record["status"], record["receipt"]["remaining"]) == ("stopped", [])
    assert stack.run("session", "browse", session).returncode == 8


def test_a_session_fails_alone_when_nothing_is_there(stack: Stack, saved: Saved) -> None:
    """The reason names the path, the remedy says where one can look; nothing is left."""
    record = restore(stack, saved, "/no/such/file")

    assert record["status"] == "failed"
    assert "/no/such/file" in record["resources"][0]["reason"]
    assert record["receipt"]["remaining"] == []


def test_the_command_line_finds_files_and_takes_them_out(stack: Stack, saved: Saved, tmp_path: Path) -> None:
    """File systems, a directory, a search; a tree with owners, modes, times and links, written nowhere else."""
    systems = json.loads(stack.daywork("restore-point", "files", saved.point, "-o", "json"))["fileSystems"]
    assert [one["kind"] for one in systems] == ["fat32", "xfs", "ntfs", "ext4"]
    listed = json.loads(stack.daywork("restore-point", "files", saved.point, "/odd", "-o", "json"))["files"]
    assert [one["path"] for one in listed] == ["/odd/many", "/odd/\\xf0("]
    search = ("--search", "file-001?", "--volume", saved.volumes[DEVICES[1]])
    hits = json.loads(stack.daywork("restore-point", "files", saved.point, "/many", *search, "-o", "json"))["files"]
    assert sorted(one["path"] for one in hits) == [f"/many/file-001{number}" for number in range(10)]

    stack.daywork(
        "restore-point",
        "extract",
        saved.point,
        "/",
        "--volume",
        saved.volumes[DEVICES[2]],
        "--to",
        str(tmp_path / "to"),
    )

    taken = tree_of(tmp_path / "to")
    del taken[b"/lost+found"]
    known = tree_of(saved.tree)
    if os.geteuid() != 0:
        known = {path: {**row, "uid": os.geteuid(), "gid": os.getegid()} for path, row in known.items()}
    assert {path: {**row, "modified": row["modified"] // 10**9} for path, row in taken.items()} == {
        path: {**row, "modified": row["modified"] // 10**9} for path, row in known.items()
    }
    assert not (tmp_path.parent / "outside").exists()
    archive = tmp_path / "files.tar"
    stack.daywork(
        "restore-point",
        "extract",
        saved.point,
        "/odd",
        "/link",
        "--volume",
        saved.volumes[DEVICES[0]],
        "--archive",
        str(archive),
    )
    odd = {path: row for path, row in stored("xfs").entries.items() if path.startswith(b"/odd/")}
    same(unpacked(archive.read_bytes()), odd)


def test_what_the_command_line_cannot_do_is_said(stack: Stack, saved: Saved, tmp_path: Path) -> None:
    """Unknown paths and volumes, a file that is there already: exit codes and words; nothing is overwritten."""
    there = tmp_path / "there.tar"
    there.write_text("mine")

    missing = stack.run("restore-point", "extract", saved.point, "/nowhere", "--archive", str(tmp_path / "a.tar"))
    volume = stack.run("restore-point", "files", saved.point, "--volume", "vol-00000000")
    taken = stack.run("restore-point", "extract", saved.point, "/etc", "--archive", str(there))

    assert (missing.returncode, volume.returncode, taken.returncode) == (7, 7, 2)
    assert "/nowhere" in missing.stderr
    assert "vol-00000000" in volume.stderr
    assert not (tmp_path / "a.tar").exists()
    assert there.read_text() == "mine"
