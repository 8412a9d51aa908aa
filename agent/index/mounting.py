"""Mounting an EFS file system, to be read and nothing else; unmounted whatever happens.

The mount helper of amazon-efs-utils encrypts what travels; where the worker's image has it, it is used. Without it the
file system is mounted by plain NFS 4.1, as AWS recommends it, and answers within the VPC alone. A server that is gone
gives errors after a while, not a process that can never end: nothing is written that could be lost.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from agent.jobs.context import JobFailed
from agent.protocol import MountTarget

_log = logging.getLogger(__name__)

_NFS: Final = "ro,nosuid,nodev,noexec,nfsvers=4.1,rsize=1048576,wsize=1048576,soft,timeo=150,retrans=3,noresvport"
_EFS: Final = "ro,nosuid,nodev,noexec,soft,timeo=150,retrans=3,noresvport,tls"
#: Seconds that mounting and unmounting may take.
_MOUNT: Final = 60
_UNMOUNT: Final = 20
_PATHS: Final = "/usr/sbin:/sbin:/usr/bin:/bin"

#: Runs a program for at most so many seconds; returns its exit status and the end of what it said.
Execute = Callable[[Sequence[str], float], tuple[int, str]]


def execute(command: Sequence[str], seconds: float) -> tuple[int, str]:
    """Run a program. Raises OSError when it cannot be started, `subprocess.TimeoutExpired`."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=seconds,
        check=False,
        text=True,
        errors="replace",
        env={"PATH": _PATHS, "LC_ALL": "C"},
    )
    return done.returncode, done.stdout.strip()[-300:]


@contextmanager
def mounted(
    file_system: str, targets: Sequence[MountTarget], *, run: Execute = execute, helper: bool | None = None
) -> Iterator[Path]:
    """Mount a file system at one of its mount targets, tried in their order; gives where it is to be seen.

    `helper` says whether the EFS mount helper is there; None: look. Raises `JobFailed`.
    """
    has_helper = shutil.which("mount.efs", path=_PATHS) is not None if helper is None else helper
    place = Path(tempfile.mkdtemp(prefix="daywork-mount-"))
    try:
        _mount(file_system, targets, place, run, has_helper=has_helper)
        try:
            yield place
        finally:
            _unmount(place, run)
    finally:
        try:
            place.rmdir()
        except OSError as error:
            # Never removed with what is in it: that would be the file system's.
            _log.warning("%s stays: %s", place, error.strerror)


def _mount(file_system: str, targets: Sequence[MountTarget], place: Path, run: Execute, *, has_helper: bool) -> None:
    said = "the order names none"
    for target in targets:
        command = (
            ["mount", "-t", "efs", "-o", f"{_EFS},mounttargetip={target.address}", f"{file_system}:/", str(place)]
            if has_helper
            else ["mount", "-t", "nfs4", "-o", _NFS, f"{target.address}:/", str(place)]
        )
        try:
            status, said = run(command, _MOUNT)
        except subprocess.TimeoutExpired:
            said = f"no answer within {_MOUNT} s"
            # What was begun may yet succeed.
            _unmount(place, run)
            continue
        except OSError as error:
            said = f"mount cannot be started: {error.strerror}"
            break
        if status == 0:
            _log.info("%s mounted at %s (%s)", file_system, target.id, "tls" if has_helper else "nfs")
            return
        _log.warning("%s at %s: %s", file_system, target.id, said)
    raise JobFailed(
        f"{file_system} could not be mounted at {', '.join(one.id for one in targets) or 'any mount target'}: {said}",
        "Let port 2049 pass from the worker's security group to the mount target's, and use a worker image with "
        "nfs-utils, or with amazon-efs-utils when the file system's policy demands encryption",
    )


def _unmount(place: Path, run: Execute) -> None:
    """Unmount, if need be without waiting for a server that does not answer."""
    for command in (["umount", str(place)], ["umount", "-f", "-l", str(place)]):
        try:
            status, said = run(command, _UNMOUNT)
        except (OSError, subprocess.TimeoutExpired) as error:
            status, said = 1, type(error).__name__
        if status == 0 or "not mounted" in said:
            return
    _log.warning("%s could not be unmounted: %s", place, said)
