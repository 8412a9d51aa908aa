"""Images with a real file system: sound, complete, equal for equal seeds."""

from __future__ import annotations

import filecmp
import subprocess
from pathlib import Path
from random import Random

import pytest

from localcloud.seed import filesystem
from localcloud.seed.filesystem import ToolMissing, make_image

SIZE = 256 * 2**20
SBIN = {"PATH": "/usr/sbin:/sbin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}


def dice(seed: str = "one") -> Random:
    """Return a generator whose numbers are content, not secrets."""
    return Random(seed)  # noqa: S311


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One image for the tests that only read it."""
    return make_image(tmp_path_factory.mktemp("image"), dice(), size=SIZE, host="web-1")


def ask(image: Path, command: str) -> str:
    """Let e2fsprogs answer a question about an image."""
    return subprocess.run(
        ["debugfs", "-R", command, str(image)], env=SBIN, capture_output=True, text=True, check=True
    ).stdout


def test_the_file_system_is_sound(image: Path) -> None:
    """e2fsck finds nothing to repair."""
    done = subprocess.run(["e2fsck", "-f", "-n", str(image)], env=SBIN, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def test_files_have_content_owner_mode_and_times(image: Path) -> None:
    """What the tree says of a file is what the file system says."""
    assert ask(image, "cat /etc/hostname") == "web-1\n"
    shadow = ask(image, "stat /etc/shadow")
    assert "Mode:  0640" in shadow
    assert "Group:    42" in shadow
    database = ask(image, "stat /srv/data/orders.db")
    assert "User:  1000" in database
    times = {line.split()[0]: line.split(":", 1)[1] for line in database.splitlines() if "time: 0x" in line}
    assert len({times[name] for name in ("ctime:", "mtime:", "atime:", "crtime:")}) == 1
    assert 'Fast link dest: "boot/vmlinuz"' in ask(image, "stat /vmlinuz")


def test_equal_seeds_make_equal_bytes(image: Path, tmp_path: Path) -> None:
    """An image depends on its seed alone, not on when and where it is made."""
    again = make_image(tmp_path, dice(), size=SIZE, host="web-1")

    assert filecmp.cmp(again, image, shallow=False)


def test_an_image_takes_the_space_of_its_content_alone(image: Path) -> None:
    """The file has the nominal size and holes where the file system wrote nothing."""
    found = image.stat()

    assert found.st_size == SIZE
    assert found.st_blocks * 512 < SIZE // 4


def test_a_missing_tool_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without e2fsprogs the error says which package to install."""
    monkeypatch.setattr(filesystem, "_PATH", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ToolMissing, match=r"mkfs\.ext4 is not installed.*apt-get install e2fsprogs"):
        make_image(tmp_path, dice(), size=SIZE, host="web-1")


def test_what_e2fsprogs_refuses_is_an_error(tmp_path: Path) -> None:
    """An image that is too small for its files is not delivered half full."""
    with pytest.raises(RuntimeError, match=r"mkfs\.ext4 failed"):
        make_image(tmp_path, dice(), size=8 * 2**20, host="web-1")
