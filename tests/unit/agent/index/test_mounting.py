"""Mounting, with a program in place of `mount` that does as it is told."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.index.mounting import execute, mounted
from agent.jobs.context import JobFailed
from agent.protocol import MountTarget

pytestmark = pytest.mark.unit

TARGETS = (MountTarget(id="fsmt-1", address="10.0.0.4"), MountTarget(id="fsmt-2", address="10.0.16.4"))


class Commands:
    """Remembers commands and answers them: those for an address in `refused` or `hanging` do not succeed."""

    def __init__(self, *, refused: Sequence[str] = (), hanging: Sequence[str] = ()) -> None:
        self.done: list[list[str]] = []
        self._refused, self._hanging = refused, hanging

    def __call__(self, command: Sequence[str], seconds: float) -> tuple[int, str]:
        """Run a command."""
        self.done.append(list(command))
        text = " ".join(command)
        if any(one in text for one in self._hanging):
            raise subprocess.TimeoutExpired(list(command), seconds)
        return (32, "mount.nfs4: Connection refused") if any(one in text for one in self._refused) else (0, "")

    @property
    def names(self) -> list[str]:
        """The programs that were run."""
        return [one[0] for one in self.done]


def test_a_file_system_is_mounted_to_be_read_and_unmounted() -> None:
    """By NFS 4.1, read-only, at the first mount target; the directory is gone afterwards."""
    commands = Commands()

    with mounted("fs-1", TARGETS, run=commands, helper=False) as place:
        assert place.is_dir()

    mount = commands.done[0]
    assert mount[:3] == ["mount", "-t", "nfs4"]
    assert {"ro", "nosuid", "nodev", "nfsvers=4.1", "soft"} <= set(mount[4].split(","))
    assert mount[5:] == ["10.0.0.4:/", str(place)]
    assert commands.done[1:] == [["umount", str(place)]]
    assert not place.exists()


def test_what_travels_is_encrypted_where_the_image_can() -> None:
    """With the EFS mount helper: TLS, at the address of the mount target."""
    commands = Commands()

    with mounted("fs-1", TARGETS, run=commands, helper=True):
        pass

    mount = commands.done[0]
    assert mount[:3] == ["mount", "-t", "efs"]
    assert {"ro", "tls", "mounttargetip=10.0.0.4"} <= set(mount[4].split(","))
    assert mount[5] == "fs-1:/"


def test_the_next_mount_target_is_tried() -> None:
    """The first does not answer in time: what may yet come is unmounted, and the second one is used."""
    commands = Commands(hanging=["10.0.0.4"])

    with mounted("fs-1", TARGETS, run=commands, helper=False):
        pass

    assert commands.names == ["mount", "umount", "mount", "umount"]


def test_a_file_system_that_cannot_be_mounted_is_said_so() -> None:
    """The reason names the mount targets and what mount said, the remedy the port."""
    commands = Commands(refused=["10.0.0.4", "10.0.16.4"])

    with (
        pytest.raises(JobFailed, match=r"fsmt-1, fsmt-2: mount\.nfs4: Connection refused") as failed,
        mounted("fs-1", TARGETS, run=commands, helper=False),
    ):
        pass

    assert "2049" in (failed.value.remedy or "")


def test_it_is_unmounted_when_the_job_fails_and_the_server_is_gone() -> None:
    """Unmounting does not succeed: it is detached, and nothing of the file system is removed."""

    class Stuck(Commands):
        def __call__(self, command: Sequence[str], seconds: float) -> tuple[int, str]:
            status, said = super().__call__(command, seconds)
            return (16, "target is busy") if command[0] == "umount" and "-l" not in command else (status, said)

    commands = Stuck()

    places: list[Path] = []

    def work(place: Path) -> None:
        places.append(place)
        (place / "of the file system").touch()
        raise KeyError

    with pytest.raises(KeyError), mounted("fs-1", TARGETS, run=commands, helper=False) as place:
        work(place)

    assert commands.done[1:] == [["umount", str(places[0])], ["umount", "-f", "-l", str(places[0])]]
    assert (places[0] / "of the file system").exists()
    (places[0] / "of the file system").unlink()
    places[0].rmdir()


def test_programs_say_what_went_wrong() -> None:
    """The real way: status and words of a program, nothing of our environment."""
    assert execute(["sh", "-c", "echo no $HOME; exit 3"], 10) == (3, "no")
    with pytest.raises(subprocess.TimeoutExpired):
        execute(["sh", "-c", "exec cat /dev/zero > /dev/null"], 0.05)
