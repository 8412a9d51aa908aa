"""The job that takes files out of images: into an archive or a tree, from points and snapshots, past damage."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from obstore.store import MemoryStore
from support.block_devices import Content, FakeEbs
from support.data_jobs import REPOSITORY, RESOURCE, Bench, volume
from support.images import Blocks, mbr_disk, stored, unpacked
from support.repositories import CHAIN

from agent.ebs import BLOCK, Listed, Page
from agent.jobs import ec2_restore_files
from agent.jobs.context import JobFailed, JobStopped
from agent.protocol import Ask, DataAccess, JobResult, Output, PointFiles, RestoreFilesJob, SnapshotFiles
from agent.repository.layout import pack_key
from agent.repository.objects import Objects
from agent.repository.pack import END, read_table
from agent.repository.reader import segments

OUTPUT = Output(url="s3://control/restored/s-1", region="eu-west-1")
ORDERS = Output(url="s3://control/orders/s-1", region="eu-west-1")
USER = "AROA:i-worker"
POINT = PointFiles(repository=REPOSITORY, source=RESOURCE, restore_point="rp-1")


class SizedEbs(FakeEbs):
    """Snapshots of one size in bytes, as lists of blocks say it."""

    size = 1024**3

    def _pages(self, listed: list[Listed]) -> Iterator[Page]:
        for page in super()._pages(listed):
            yield Page(page.blocks, self.size)


def content(image: Blocks) -> Content:
    """Return an image as blocks of 512 KiB; those of zeros are missing."""
    indices = {index * 4096 // BLOCK for index in image.held}
    return {index: image.read(index * BLOCK, BLOCK).ljust(BLOCK, b"\0") for index in sorted(indices)}


def backed_up(*images: Blocks) -> Bench:
    """Return a bench with a restore point of some images as volumes."""
    bench = Bench(ebs=SizedEbs(page=1000))
    volumes = []
    for number, image in enumerate(images):
        bench.ebs.snapshots[f"snap-{number}"] = content(image)
        volumes.append(volume(f"snap-{number}", name=f"vol-{number}", size=-(-image.size // BLOCK) * BLOCK))
    bench.backup("rp-1", *volumes)
    return bench


def take(bench: Bench, output: Objects, *paths: str, **more: Any) -> JobResult:
    """Take paths out."""
    job = RestoreFilesJob(output=OUTPUT, paths=paths, **({"point": POINT} | more))
    return ec2_restore_files.run(replace(bench.context(), user_id=USER), job, bench.means(), output)


def members(output: Objects) -> Mapping[bytes, Any]:
    """Return what is in the archive."""
    return unpacked(bytes(output.get(f"{USER}/files.tar")))


@pytest.fixture
def output() -> Objects:
    """An empty bucket."""
    return Objects(MemoryStore())


def assert_files(found: Mapping[bytes, Any], entries: Mapping[bytes, Mapping[str, Any]]) -> None:
    """Compare an archive with what is known to be in an image."""
    assert found.keys() == entries.keys()
    for path, row in entries.items():
        member, data = found[path]
        assert (member.isdir(), member.issym()) == (row["kind"] == "directory", row["kind"] == "link"), path
        if row["kind"] == "link":
            assert member.linkname.encode("utf-8", "surrogateescape") == row["target"].encode("latin-1")
        elif row["kind"] == "file" and not member.islnk():
            assert hashlib.sha256(data).hexdigest() == row["sha256"], path
        if "mode" in row:
            assert (member.mode, member.uid, member.gid) == (row["mode"], row["uid"], row["gid"]), path
        if "modified" in row:
            assert member.mtime == pytest.approx(row["modified"] / 10**9, abs=1e-3), path


@pytest.mark.parametrize("name", ["xfs", "ntfs"])
def test_everything_of_a_restore_point_comes_out_as_it_was(name: str, output: Objects) -> None:
    """Thousands of files with their content, owners, modes, times and links, in one archive."""
    image = stored(name)
    bench = backed_up(image.source)

    result = take(bench, output, "/")

    assert (result.outcome, result.reason) == ("success", None)
    assert_files(members(output), image.entries)
    files = sum(row["kind"] == "file" for row in image.entries.values())
    assert (result.detail["files"], result.detail["output"]) == (files, f"{OUTPUT.url}/{USER}/files.tar")
    assert result.detail["fileSystems"][0]["kind"] == name


def test_a_snapshot_gives_the_same_files_as_a_restore_point(output: Objects) -> None:
    """Blocks come from the snapshot itself, and only those that are needed."""
    image = stored("xfs")
    bench = backed_up(image.source)
    snapshot = SnapshotFiles(data=DataAccess(region="eu-west-1"), snapshot_id="snap-0", volume_id="vol-0")
    bench.ebs.read_blocks.clear()

    result = take(bench, output, "/odd", "/plain.txt", point=None, snapshot=snapshot)

    assert result.outcome == "success"
    wanted = {
        path: row
        for path, row in image.entries.items()
        if path.startswith(b"/odd/") or path in (b"/odd", b"/plain.txt")
    }
    assert_files(members(output), wanted)
    assert len(bench.ebs.read_blocks) < len(bench.ebs.snapshots["snap-0"])


def test_a_tree_is_objects_and_a_list_of_what_they_cannot_hold(output: Objects) -> None:
    """Content by path, and owner, mode, times and targets in lines of JSON."""
    image = stored("xfs")
    bench = backed_up(image.source)

    result = take(bench, output, "/odd", "/link", "/deep", form="tree")

    assert result.outcome == "success"
    assert bytes(output.get(f"{USER}/tree/deep/er/and/deeper/file")) == _content(image, b"/deep/er/and/deeper/file")
    lines = [json.loads(line) for line in bytes(output.get(f"{USER}/files.jsonl")).splitlines()]
    rows = {row["path"]: row for row in lines}
    assert rows["link"]["target"] == "deep/er/and/deeper/file"
    assert (rows["deep/er/and/deeper/file"]["mode"], rows["deep/er/and/deeper/file"]["uid"]) == ("0640", 1000)
    assert bytes(output.get(f"{USER}/tree/odd/\\xf0(")) == b"no text either\n"


def _content(image: Any, path: bytes) -> bytes:
    line = hashlib.sha256(b"deep").hexdigest().encode() + b"\n"
    data = (line * (70_000 // len(line) + 1))[:70_000]
    assert hashlib.sha256(data).hexdigest() == image.entries[path]["sha256"]
    return data


def test_files_of_several_file_systems_come_below_their_names(output: Objects) -> None:
    """What is in one alone keeps its path; a path that is nowhere is named and the rest comes out."""
    fat, ntfs = stored("fat16"), stored("ntfs")
    bench = backed_up(mbr_disk(fat.source, ntfs.source), stored("fat12").source)

    result = take(bench, output, "/deep/er", "/nowhere", volumes=("vol-0",))

    assert result.outcome == "warning"
    assert "/nowhere" in str(result.reason)
    found = members(output)
    assert {b"/vol-0", b"/vol-0/1/deep/er/and/deeper/file", b"/vol-0/5/deep/er/and/deeper/file"} <= found.keys()
    assert not any(path.startswith(b"/vol-1") for path in found)


def test_what_is_nowhere_fails_with_where_one_can_look(output: Objects) -> None:
    """No archive is left; so does a path that would lead out, and a volume that is not in the point."""
    bench = backed_up(stored("fat12").source)

    with pytest.raises(JobFailed, match="no file system") as nowhere:
        take(bench, output, "/nowhere")
    with pytest.raises(JobFailed, match=r"'\.\.'"):
        take(bench, output, "/deep/../../etc")
    with pytest.raises(JobFailed, match="holds no volume vol-9"):
        take(bench, output, "/", volumes=("vol-9",))

    assert "vol-0" in str(nowhere.value.remedy)
    assert list(output.list(USER)) == []


def test_a_damaged_pack_costs_only_the_files_in_it(output: Objects) -> None:
    """They are named with the object; never does a wrong byte come out."""
    image = stored("xfs")
    bench = backed_up(image.source)
    whole = take(bench, Objects(MemoryStore()), "/")
    assert whole.outcome == "success"
    at = next(index for index, block in content(image.source).items() if b"content of file 2400\n" in block)
    _flip_block(bench, at)

    result = take(bench, output, "/")

    assert result.outcome == "warning"
    assert "is damaged" in str(result.reason)
    found = members(output)
    lost = image.entries.keys() - found.keys()
    assert lost
    assert_files(found, {path: image.entries[path] for path in found})
    assert all(
        any(str(path, "utf-8", "replace") in problem for problem in result.detail["problems"])
        or result.detail["problemCount"] > 50
        for path in lost
    )


def _flip_block(bench: Bench, index: int) -> None:
    """Damage the blob of a block of the one volume of the restore point."""
    repository = bench.repository
    (one,) = bench.head("rp-1").volumes
    for number, segment in segments(repository, CHAIN, one):
        for row, offset in enumerate(segment.offsets.tolist()):
            if number * 2048 + offset == index:
                pack_id = segment.packs[int(segment.ranks[row])].tobytes()
                key = pack_key(pack_id)
                table = read_table(pack_id, bench.objects.get_end(key, END), repository.ring.find)
                data = bytearray(bench.objects.get(key))
                data[int(table.offsets[int(segment.slots[row])]) + 40] ^= 1
                bench.objects.put(key, bytes(data))
                return
    raise AssertionError("the block is a hole")


def test_a_stop_leaves_no_archive(output: Objects) -> None:
    """It is heard while files are read; the upload is given up."""
    bench = backed_up(stored("xfs").source)
    job = RestoreFilesJob(output=OUTPUT, paths=("/",), point=POINT)
    context = replace(bench.context(), user_id=USER, progress=lambda done, _total: done > 100_000 and bench.stop.set())

    with pytest.raises(JobStopped):
        ec2_restore_files.run(context, job, bench.means(), output)

    assert list(output.list(USER)) == []


def test_an_image_without_a_file_system_says_what_it_holds(output: Objects) -> None:
    """Encrypted volumes are named as that."""
    secret = Blocks({}, 2**20)
    secret.write(0, b"LUKS\xba\xbe\0\2")
    bench = backed_up(secret)

    with pytest.raises(JobFailed, match="no file system"):
        take(bench, output, "/")


def test_without_paths_requests_are_answered_until_none_comes(output: Objects) -> None:
    """The file systems, a directory, a search, files to take out, and what cannot be found; each under its number."""
    image = stored("fat16")
    bench, orders = backed_up(image.source), Objects(MemoryStore())
    asks = [
        Ask(what="systems"),
        Ask(what="list", paths=("/deep",)),
        Ask(what="search", paths=("/",), pattern="file-001?", limit=5),
        Ask(what="list", paths=("/nowhere",)),
        Ask(what="extract", paths=("/plain.txt", "/deep")),
    ]
    for number, ask in enumerate(asks, 1):
        orders.put(f"{USER}.ask/{number}.json", ask.to_json().encode())
    orders.put(f"{USER}.ask/{len(asks) + 1}.json", b"no request")
    job = RestoreFilesJob(output=OUTPUT, point=POINT, orders=ORDERS, idle_seconds=0)
    context = replace(bench.context(), user_id=USER)

    result = ec2_restore_files.run(context, job, bench.means(), output, orders)

    assert (result.outcome, result.detail["requests"]) == ("success", len(asks) + 1)
    answers = [json.loads(bytes(orders.get(f"{USER}.answer/{number}.json"))) for number in range(1, len(asks) + 2)]
    systems, listing, search, nowhere, extracted, unread = answers
    assert [one["kind"] for one in systems["fileSystems"]] == ["fat16"]
    assert [one["path"] for one in listing["files"]] == ["/deep/er"]
    assert (len(search["files"]), search["isComplete"]) == (5, False)
    assert "/nowhere" in nowhere["error"]["reason"]
    assert "not JSON" in unread["error"]["reason"]
    assert extracted["output"] == f"{OUTPUT.url}/{USER}/5/files.tar"
    taken = unpacked(bytes(output.get(f"{USER}/5/files.tar")))
    assert_files(taken, {path: row for path, row in image.entries.items() if path.startswith((b"/plain", b"/deep"))})


def test_a_browsing_worker_stops_when_it_is_asked_to(output: Objects) -> None:
    """Also while it waits for a request."""
    bench = backed_up(stored("fat12").source)
    job = RestoreFilesJob(output=OUTPUT, point=POINT, orders=ORDERS)
    bench.stop.set()

    with pytest.raises(JobStopped):
        ec2_restore_files.run(
            replace(bench.context(), user_id=USER), job, bench.means(), output, Objects(MemoryStore())
        )
