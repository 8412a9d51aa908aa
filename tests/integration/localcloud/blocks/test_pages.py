"""The cloud's own pages for the content of volumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.blocks import BLOCK, block, content, make_snapshot
from support.cloud import REGION, LocalCloud

GIB = 2**30
ZONE = f"{REGION}a"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A sparse file of 1 GiB with two blocks and a half."""
    path = tmp_path / "image"
    with path.open("wb") as file:
        file.write(block(1))
        file.seek(100 * BLOCK)
        file.write(block(2) + b"half")
        file.truncate(GIB)
    return path


class Pages:
    """The pages of one account's volumes and snapshots."""

    def __init__(self, cloud: LocalCloud, account: str) -> None:
        self._cloud = cloud
        self._account = account

    def ask(self, method: str, thing: str, deed: str = "", body: Any = None, **options: Any) -> tuple[int, Any]:
        """Ask a page; return status and document."""
        page = f"volumes/{options.get('account', self._account)}/{options.get('region', REGION)}/{thing}{deed}"
        return self._cloud.sim(method, page, body, token=options.get("token", self._cloud.server.admin_token))

    def do(self, thing: str, deed: str, path: Path) -> Any:
        """Import, export or compare; return the document of a good answer."""
        status, answer = self.ask("POST", thing, f"/{deed}", {"path": str(path)})
        assert status == 200, answer
        return answer


@pytest.fixture
def pages(cloud: LocalCloud, account: str) -> Pages:
    """The pages of the test's account."""
    return Pages(cloud, account)


def test_a_file_becomes_the_content_of_a_volume(pages: Pages, ec2: Any, ebs: Any, image: Path) -> None:
    """As a snapshot of it shows; a second time there is nothing to write."""
    volume = ec2.create_volume(Size=2, AvailabilityZone=ZONE)["VolumeId"]

    first, second = pages.do(volume, "import", image), pages.do(volume, "import", image)

    assert (first, second) == ({"written": 3, "blocks": 3}, {"written": 0, "blocks": 3})
    assert pages.ask("GET", volume) == (200, {"id": volume, "size": 2 * GIB, "blockSize": BLOCK, "blocks": 3})
    snapshot = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    assert content(ebs, snapshot) == {0: block(1), 100: block(2), 101: b"half".ljust(BLOCK, b"\0")}


def test_what_was_imported_can_be_exported(pages: Pages, ec2: Any, image: Path, tmp_path: Path) -> None:
    """The same bytes, the same holes; of a volume and of its snapshot."""
    volume = ec2.create_volume(Size=1, AvailabilityZone=ZONE)["VolumeId"]
    pages.do(volume, "import", image)
    snapshot = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]

    for thing in (volume, snapshot):
        out = tmp_path / thing
        assert pages.do(thing, "export", out) == {"blocks": 3, "size": GIB}
        assert out.stat().st_size == GIB
        assert out.stat().st_blocks * 512 < 4 * BLOCK
        assert pages.do(thing, "compare", out) == {"equal": True, "differing": []}


def test_a_comparison_tells_where_bytes_differ(pages: Pages, ec2: Any, ebs: Any, image: Path) -> None:
    """Byte for byte."""
    volume = ec2.create_volume(Size=1, AvailabilityZone=ZONE)["VolumeId"]
    pages.do(volume, "import", image)
    snapshot = make_snapshot(ebs, {0: block(1), 100: block(2)})
    with image.open("r+b") as file:
        file.seek(GIB - 1)
        file.write(b"\1")

    assert pages.do(volume, "compare", image) == {"equal": False, "differing": [2047]}
    assert pages.do(snapshot, "compare", image) == {"equal": False, "differing": [101, 2047]}


def test_pages_need_the_token_of_the_cloud(pages: Pages, ec2: Any, image: Path) -> None:
    """Whoever cannot read the cloud's directory cannot touch its volumes."""
    volume = ec2.create_volume(Size=1, AvailabilityZone=ZONE)["VolumeId"]

    for token in (None, "guess"):
        assert pages.ask("POST", volume, "/import", {"path": str(image)}, token=token)[0] == 403
    assert pages.ask("GET", volume)[1]["blocks"] == 0


def test_a_wrong_request_says_what_is_wrong(pages: Pages, ec2: Any, ebs: Any, image: Path, tmp_path: Path) -> None:
    """Field, value and what would be right."""
    volume = ec2.create_volume(Size=1, AvailabilityZone=ZONE)["VolumeId"]
    pending = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    large = tmp_path / "large"
    large.touch()
    with large.open("r+b") as file:
        file.truncate(GIB + 1)

    def error(method: str, thing: str, deed: str = "", body: Any = None, **options: Any) -> tuple[int, str]:
        status, answer = pages.ask(method, thing, deed, body, **options)
        return status, answer["error"]

    path = {"path": str(image)}
    assert error("POST", volume, "/import", {"path": str(large)}) == (
        400,
        f"file '{large}' has {GIB + 1} bytes, more than the volume's {GIB}",
    )
    assert error("POST", volume, "/import", {"path": str(tmp_path / "none")})[0] == 400
    assert error("POST", volume, "/import", {"path": "image"})[1].startswith("path 'image' must be absolute")
    assert error("POST", volume, "/import", {"file": str(image)})[1].startswith("the body must be")
    assert error("POST", volume, "/export", path)[0] == 400
    assert error("POST", pending, "/import", path)[1].startswith(f"id '{pending}' is not a volume's")
    assert error("GET", pending) == (400, f"snapshot {pending} is pending; it has a content once it is completed")
    assert error("GET", "vol-00000000000000000")[0] == 404
    assert error("GET", volume, region="mars-1")[0] == 404
    assert error("GET", volume, account="1")[0] == 404
    assert error("POST", volume, "/format", path)[0] == 404
