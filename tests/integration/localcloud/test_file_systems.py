"""EFS file systems of the embedded cloud: directories that come and go with them, filled by the cloud's own page."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.cloud import REGION, LocalCloud

pytestmark = pytest.mark.integration


def page(cloud: LocalCloud, method: str, path: str, body: Any = None, *, token: str | None = None) -> tuple[int, Any]:
    """Ask a page; return status and document."""
    address = urlsplit(cloud.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
    headers = {"X-Sim-Token": cloud.server.admin_token if token is None else token}
    connection.request(method, f"/_sim/file-systems/{path}", json.dumps(body), headers)
    answer = connection.getresponse()
    document = json.loads(answer.read())
    connection.close()
    return answer.status, document


def test_a_file_system_is_a_directory_as_long_as_it_is_there(cloud: LocalCloud, tmp_path: Path) -> None:
    """Empty at first; a tree that is copied into it keeps links and times; deleted, it is gone."""
    account = cloud.account()
    efs = cloud.admin("efs", account)
    name = efs.create_file_system(CreationToken="files")["FileSystemId"]
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_text("content")
    (tmp_path / "link").symlink_to("a/file")

    status, shown = page(cloud, "GET", f"{account}/{REGION}/{name}")
    assert status == 200
    place = Path(shown["directory"])
    assert list(place.iterdir()) == []

    assert page(cloud, "POST", f"{account}/{REGION}/{name}/import", {"path": str(tmp_path)})[0] == 200
    assert (place / "a" / "file").read_text() == "content"
    assert (place / "a" / "file").stat().st_mtime_ns == (tmp_path / "a" / "file").stat().st_mtime_ns
    assert (place / "link").is_symlink()

    efs.delete_file_system(FileSystemId=name)
    assert not place.exists()
    assert page(cloud, "GET", f"{account}/{REGION}/{name}")[0] == 404


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "{account}/eu-west-1/fs-00000000", None, 404),
        ("GET", "{account}/eu-west-1/../../etc", None, 404),
        ("POST", "{account}/eu-west-1/{name}/import", {"path": "relative"}, 400),
        ("POST", "{account}/eu-west-1/{name}/import", {"path": "/no/such/directory"}, 400),
        ("POST", "{account}/eu-west-1/{name}/import", {"other": "/"}, 400),
        ("DELETE", "{account}/eu-west-1/{name}", None, 404),
    ],
)
def test_a_wrong_request_is_refused(cloud: LocalCloud, method: str, path: str, body: Any, status: int) -> None:
    """With the reason, and nothing is written."""
    account = cloud.account()
    name = cloud.admin("efs", account).create_file_system(CreationToken="files")["FileSystemId"]

    answer, document = page(cloud, method, path.format(account=account, name=name), body)

    assert answer == status
    assert document["error"]


def test_the_page_asks_for_the_token(cloud: LocalCloud) -> None:
    """Nobody else learns where files are."""
    assert page(cloud, "GET", "111111111111/eu-west-1/fs-00000000", token="no")[0] == 403
