"""Row: listing an image with 10,000 files from the repository, from opening the repository to the last name.

`python -m benchmarks.data.listing < WHERE` is the process that lists; it prints what that took without its own start.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from botocore.session import Session

from agent.jobs.context import JobContext
from agent.jobs.opening import repository_of
from agent.protocol import RepositoryRef
from agent.repository.layout import Chain
from benchmarks.data.lab import ACCOUNT, INSTANCE, REGION
from benchmarks.data.measuring import Run, measured
from benchmarks.data.row import Reach, Row, Turn

FILES = 10_000
_SIZE = 1024**3
_SBIN = {"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"}


def _image(target: Path) -> None:
    """Make an ext4 of a hundred directories with a hundred files each."""
    with tempfile.TemporaryDirectory() as made:
        for number in range(FILES):
            file = Path(made) / f"directory-{number // 100:02d}" / f"file-{number:05d}"
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(b"%d\n" % number)
        with target.open("wb") as file:
            file.truncate(_SIZE)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-d", made, str(target)], check=True, env=_SBIN)


def _agent(turn: Turn) -> Run:
    image, name = turn.lab.images / "snap-files.img", f"{turn.repository}-files"
    if not image.exists():
        _image(image)
    volume = {"volumeId": "vol-files", "snapshotId": "snap-files", "sizeBytes": _SIZE, "device": "/dev/xvda"}
    where = {"repository": turn.lab.repository(name), "point": "rp-files"}
    job: dict[str, Any] = {
        "repository": where["repository"],
        "data": {"region": REGION},
        "resource": {"account": ACCOUNT, "region": REGION, "id": INSTANCE},
        "restorePoint": where["point"],
        "createdAt": "2026-11-23T02:00:00.000Z",
        "volumes": [volume],
    }
    turn.lab.agent("ec2-backup", job)
    run = measured([sys.executable, "-m", "benchmarks.data.listing"], turn.lab.environment, text=json.dumps(where))
    turn.lab.forget(name)
    said = json.loads(run.output)
    if said["files"] != FILES:
        raise RuntimeError(f"{said['files']} files were listed")
    return Run(said["cpu"], said["wall"], run.memory)


ROW = Row(
    name="listing",
    what="listing an image with 10,000 files, without the start of the process",
    agent=_agent,
    reach=(Reach(None, "wall", 0.5),),
)


def main() -> None:
    """List what standard input names."""
    from agent.files.images import volumes_of_point
    from agent.files.opening import open_all
    from agent.files.walking import walk

    where = json.load(sys.stdin)
    context: Any = JobContext(session=Session(), worker_id="i-bench", stop=None, progress=None)  # type: ignore[arg-type]
    wall, cpu = time.perf_counter(), time.process_time()
    repository = repository_of(context, RepositoryRef.from_dict(where["repository"]), create=False)
    chain = Chain(account=ACCOUNT, region=REGION, resource=INSTANCE)
    (found,) = open_all(volumes_of_point(repository, chain, repository.point(chain, where["point"])))
    assert found.system is not None
    names = walk(found.system, found.system.root(), b"/", lambda path, reason: sys.exit(f"{path!r}: {reason}"))
    files = sum(entry.kind == "file" for _, entry in names)
    print(json.dumps({"files": files, "wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}))


if __name__ == "__main__":
    main()
