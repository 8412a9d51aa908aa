"""The start script, as an instance's cloud-init would run it, against the embedded cloud's metadata."""

from __future__ import annotations

import functools
import hashlib
import http.server
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.agents import order
from support.archive import WORKER, build_script
from support.cloud import CONTROL_ACCOUNT, REGION
from support.workers import Workers, workers_on

pytestmark = pytest.mark.integration

#: Programs that would change the machine: they write down that they were called instead.
STAND_INS = {
    "shutdown": 'echo "shutdown $*" >> "$CALLED"',
    "poweroff": 'echo "poweroff $*" >> "$CALLED"',
    "useradd": 'echo "useradd $*" >> "$CALLED"',
    "chown": 'echo "chown $1" >> "$CALLED"',
    "sleep": 'echo "sleep $*" >> "$CALLED"',
    "id": "echo 0",
    "setpriv": 'echo "setpriv $1" >> "$CALLED"; while [ "$1" != -- ]; do shift; done; shift; exec "$@"',
}


@dataclass
class Instance:
    """Where the script runs: what it may call, and where agent.pyz is offered."""

    directory: Path
    url: str
    digest: str

    def start(
        self, *, sha256: str | None = None, url: str | None = None, mounts: str = "no", **environment: str
    ) -> tuple[int, str]:
        """Run the script; return its exit status and what it wrote."""
        script = (WORKER / "start.sh").read_text().replace("@AGENT_MOUNTS@", mounts)
        script = script.replace("@AGENT_URL@", url or self.url).replace("@AGENT_SHA256@", sha256 or self.digest)
        done = subprocess.run(
            ["/bin/sh", "-c", script],
            env={
                "PATH": f"{self.directory / 'bin'}:/usr/bin:/bin",
                "CALLED": str(self.directory / "called"),
                "TMPDIR": str(self.directory),
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return done.returncode, done.stdout + done.stderr

    @property
    def called(self) -> list[str]:
        """What was called that would have changed the machine."""
        file = self.directory / "called"
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    """A machine whose powerful programs are stand-ins, and a web server with the agent."""
    (tmp_path / "bin").mkdir()
    for name, text in STAND_INS.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "bin" / "python3.14").symlink_to(sys.executable)
    (tmp_path / "web").mkdir()
    digest = build_script().build(tmp_path / "web" / "agent.pyz")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            """Stay quiet."""

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path / "web"))
    )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield Instance(tmp_path, f"http://127.0.0.1:{server.server_port}/agent.pyz", digest)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    """An embedded cloud whose instances stay empty: the script runs by hand."""
    with workers_on(tmp_path_factory.mktemp("cloud"), agents=None) as made:
        yield made


def test_runs_the_agent_unprivileged_and_shuts_down(workers: Workers, instance: Instance) -> None:
    """From the download to a result in the control bucket; the machine's last act is to shut down."""
    (worker,) = workers.launch()
    workers.give(worker, order("finish"))

    status, written = instance.start(
        AWS_ENDPOINT_URL=workers.cloud.url,
        AWS_EC2_METADATA_SERVICE_ENDPOINT=f"{workers.cloud.url}/imds/{CONTROL_ACCOUNT}/{REGION}/{worker}/",
    )

    assert status == 0
    assert instance.called == ["chown -R", "setpriv --reuid=daywork-agent", "shutdown -h now"]
    assert f"on {worker}, session" in written
    assert "the agent ended with status 0" in written
    kept = workers.result(worker)
    assert kept is not None
    assert kept.result is not None
    assert kept.result.reason, "a real job, and this repository does not exist"


def test_refuses_a_file_with_another_digest_and_shuts_down(instance: Instance) -> None:
    """What is not the agent is never run."""
    status, written = instance.start(sha256="0" * 64)

    assert status == 1
    assert f"the agent's SHA-256 is {instance.digest}, expected {'0' * 64}" in written
    assert instance.called[-1] == "shutdown -h now"
    assert not any(line.startswith("setpriv") for line in instance.called)


def test_shuts_down_when_the_agent_cannot_be_fetched(instance: Instance) -> None:
    """It tries for a while, with growing pauses, and then gives up."""
    status, written = instance.start(url=f"{instance.url}.not")

    pauses = [line for line in instance.called if line.startswith("sleep")]
    assert status == 1
    assert pauses == [f"sleep {1 << number}" for number in range(7)]
    assert written.count("cannot fetch the agent: HTTP Error 404") == 8
    assert instance.called[-1] == "shutdown -h now"


def test_shuts_down_when_the_image_has_no_python_that_will_do(instance: Instance) -> None:
    """An image without Python 3.11 says so on the console."""
    for name in ("python3.14", "python3.13", "python3.12", "python3.11", "python3"):
        stand_in = instance.directory / "bin" / name
        stand_in.unlink(missing_ok=True)
        stand_in.write_text("#!/bin/sh\nexit 1\n")
        stand_in.chmod(0o755)

    status, written = instance.start()

    assert status == 1
    assert "no Python 3.11 or newer" in written
    assert instance.called == ["shutdown -h now"]


def test_shuts_down_when_it_is_told_to_end(instance: Instance) -> None:
    """SIGTERM in the middle: the last act is the same."""
    stand_in = instance.directory / "bin" / "setpriv"
    stand_in.write_text("#!/bin/sh\nkill -TERM $PPID\n")

    status, _ = instance.start()

    assert status == 1
    assert instance.called[-1] == "shutdown -h now"


def test_runs_as_root_where_it_cannot_become_another_user(instance: Instance) -> None:
    """A user that cannot be made is no reason not to work, and the console says it."""
    stand_in = instance.directory / "bin" / "id"
    stand_in.write_text('#!/bin/sh\n[ "$1" = -u ] && echo 0\n')
    (instance.directory / "web" / "agent.pyz").write_text("print('the agent, as root')")
    digest = subprocess.run(
        ["/usr/bin/sha256sum", instance.directory / "web" / "agent.pyz"], capture_output=True, text=True, check=True
    ).stdout.split()[0]

    status, written = instance.start(sha256=digest)

    assert status == 0
    assert "running as root" in written
    assert "the agent, as root" in written
    assert [line.split()[0] for line in instance.called] == ["useradd", "shutdown"]


def test_an_agent_that_mounts_stays_root_and_gives_up_the_rest(instance: Instance) -> None:
    """Of root's powers it keeps mounting and reading; the real setpriv is asked, where it can be."""
    (instance.directory / "web" / "agent.pyz").write_text(
        "print([line.split()[1] for line in open('/proc/self/status') if line.startswith('CapPrm')])"
    )
    digest = hashlib.sha256((instance.directory / "web" / "agent.pyz").read_bytes()).hexdigest()
    if os.geteuid() == 0:
        (instance.directory / "bin" / "setpriv").unlink()

    status, written = instance.start(sha256=digest, mounts="yes")

    assert status == 0
    assert not any(line.startswith(("useradd", "chown")) for line in instance.called)
    if os.geteuid() == 0:
        powers = int(re.findall(r"\['([0-9a-f]{16})'\]", written)[0], 16)
        assert powers & ~0x200004 == 0, "nothing but CAP_SYS_ADMIN and CAP_DAC_READ_SEARCH"
    else:
        assert "setpriv --bounding-set=-all,+sys_admin,+dac_read_search" in instance.called


def test_the_script_fits_into_user_data() -> None:
    """EC2 takes 16 KiB, the boot document included; the script leaves most of it."""
    assert len((WORKER / "start.sh").read_bytes()) < 8 * 1024
