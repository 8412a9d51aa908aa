"""EFS: each file system is a directory of its id below the cloud's own, in place of what is behind mount targets.

Agents of the fleet are told of the place of all of them and read there what a real worker would mount; nothing else in
an agent is different. A file system's directory comes and goes with it.

The cloud's own page `/_sim/file-systems/<account>/<region>/<id>`: `GET` tells the directory, `POST .../import {"path":
P}` copies the directory P of the machine the cloud runs on into it, with links, modes and times. Both need X-Sim-Token.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Final

from localcloud import state, wire
from localcloud.call import Call, Reply
from localcloud.decode import Request
from localcloud.settings import is_account

_SERVICE: Final = "elasticfilesystem"
_NAME: Final = re.compile(r"fs-[0-9a-f]{8,17}\Z")
_PARTS: Final = 3


class FileSystems:
    """The content of file systems (a `Plugin`), and its page."""

    def __init__(self, directory: Path) -> None:
        """Take where the file systems stand."""
        self.directory = directory.absolute()

    def before(self, call: Call) -> Reply | None:  # noqa: ARG002 - interface
        """Leave all answers to moto."""
        return None

    def after(self, call: Call, reply: Reply) -> Reply:
        """Make a new file system's directory, remove that of one that is gone."""
        if call.service != _SERVICE or not 200 <= reply.status < 300:  # noqa: PLR2004 - success
            return reply
        if call.operation == "CreateFileSystem":
            body = wire.whole(reply)
            self._of(str(json.loads(body)["FileSystemId"])).mkdir(parents=True, exist_ok=True)
            return Reply(status=reply.status, headers=reply.headers, body=body)
        if call.operation == "DeleteFileSystem":
            shutil.rmtree(self._of(str(call.parameters["FileSystemId"])), ignore_errors=True)
        return reply

    def page(self, request: Request, rest: str) -> Reply:
        """Answer a request to the page."""
        parts = rest.split("/")
        try:
            if request.method == "GET" and len(parts) == _PARTS:
                return wire.document({"id": parts[2], "directory": str(self._find(*parts))})
            if request.method == "POST" and len(parts) == _PARTS + 1 and parts[-1] == "import":
                place = self._find(*parts[:_PARTS])
                shutil.copytree(_path(request.body), place, symlinks=True, dirs_exist_ok=True)
                return wire.document({"id": parts[2], "directory": str(place)})
        except LookupError as error:
            return wire.document({"error": str(error.args[0])}, 404)
        except (ValueError, OSError) as error:
            return wire.document({"error": str(error)}, 400)
        return wire.document({"error": "use GET <account>/<region>/<id> or POST .../import"}, 404)

    def _find(self, account: str, region: str, name: str) -> Path:
        if not is_account(account) or not state.has_file_system(account, region, name):
            raise LookupError(f"account {account!r} has no file system {name!r} in {region!r}")
        return self._of(name)

    def _of(self, name: str) -> Path:
        if not _NAME.match(name):
            raise LookupError(f"{name!r} is not the id of a file system")
        return self.directory / name


def _path(body: bytes) -> Path:
    try:
        wanted = json.loads(body or b"null")
    except ValueError:
        raise ValueError("the body is not JSON") from None
    if not isinstance(wanted, dict) or set(wanted) != {"path"} or not isinstance(wanted["path"], str):
        raise ValueError('the body must be {"path": "<directory on the machine of the embedded cloud>"}')
    path = Path(wanted["path"])
    if not path.is_absolute() or not path.is_dir():
        raise ValueError(f"path {wanted['path']!r} must be absolute and a directory")
    return path
