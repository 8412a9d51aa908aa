"""Images with a real ext4 file system, made by e2fsprogs without any privilege; equal content is equal bytes."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path
from random import Random
from typing import Final

from localcloud.seed.content import Owned, make_tree

#: e2fsprogs' own switch for the current time: 1 June 2026, 08:00 UTC.
_NOW: Final = "1780300800"
_PATH: Final = "/usr/sbin:/sbin:/usr/bin:/bin:/opt/homebrew/opt/e2fsprogs/sbin"


class ToolMissing(RuntimeError):
    """A system tool is not installed; the message says how to install it."""


def make_image(directory: Path, random: Random, *, size: int, host: str) -> Path:
    """Make an image of `size` bytes in `directory` with the files of a small server. Raises `ToolMissing`.

    The image file is sparse: only what the file system wrote takes space.
    """
    mkfs, debugfs = _tool("mkfs.ext4"), _tool("debugfs")
    image = directory / f"{host}.ext4"
    identity = str(uuid.UUID(int=random.getrandbits(128), version=4))
    with tempfile.TemporaryDirectory(dir=directory) as place:
        root = Path(place)
        root.chmod(0o755)
        owned = make_tree(random, root, host)
        with image.open("wb") as file:
            file.truncate(size)
        _run(
            mkfs, "-q", "-F", "-b", "4096", "-L", "root", "-U", identity, "-d", str(root),
            "-E", f"hash_seed={identity},root_owner=0:0,lazy_itable_init=1,lazy_journal_init=1", str(image),
        )  # fmt: skip
        script = root / "owners"
        script.write_text("".join(_own(one) for one in owned))
        _run(debugfs, "-w", "-f", str(script), str(image))
    return image


def _own(one: Owned) -> str:
    quoted = '"/' + one.path.replace('"', '""') + '"'
    fields = {"uid": one.uid, "gid": one.gid, "mtime": f"@{one.changed}", "ctime": f"@{one.changed}"}
    fields |= {"atime": f"@{one.changed}", "crtime": f"@{one.changed}"}
    # The directory that the image was made from has times to the nanosecond; they are nobody's and differ every time.
    fields |= {f"{name}_extra": 0 for name in ("atime", "mtime", "ctime", "crtime")}
    return "".join(f"sif {quoted} {name} {value}\n" for name, value in fields.items())


def _tool(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path=_PATH)
    if found is None:
        raise ToolMissing(f"{name} is not installed; on Debian and Ubuntu: sudo apt-get install e2fsprogs")
    return found


def _run(*command: str) -> None:
    done = subprocess.run(
        command,
        env={"PATH": _PATH, "E2FSPROGS_FAKE_TIME": _NOW, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    # debugfs reports failed commands on stderr, after its own version, and exits with 0.
    complaints = [line for line in done.stderr.splitlines() if line and not line.startswith(("debugfs ", "mke2fs "))]
    if done.returncode != 0 or complaints:
        raise RuntimeError(f"{Path(command[0]).name} failed ({done.returncode}): {'; '.join(complaints)[:500]}")
