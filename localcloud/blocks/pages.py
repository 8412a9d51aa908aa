"""The cloud's own pages `/_sim/volumes/<account>/<region>/<id>`: content of volumes and snapshots, to and from files.

`POST .../import {"path": P}` makes the raw image file P the content of a volume; `POST .../export {"path": P}` writes a
volume or snapshot into the new file P; `POST .../compare {"path": P}` tells whether it equals the file P; `GET` tells
its size and how many blocks were written. Paths are of the machine the cloud runs on. All need X-Sim-Token.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from localcloud import state, wire
from localcloud.blocks.layers import BLOCK, PER_GIB
from localcloud.blocks.life import COMPLETED
from localcloud.blocks.raw import differing_blocks, export_file, import_file
from localcloud.blocks.records import snapshot_record, volume_record
from localcloud.blocks.store import Content, Sealed, Store
from localcloud.call import Reply
from localcloud.decode import Request
from localcloud.settings import is_account

_PARTS: Final = 3
#: Differing blocks that are named.
_NAMED: Final = 10


class NotThere(LookupError):
    """There is no such volume or snapshot."""


class VolumePages:
    """Answers `/_sim/volumes/...`; the same for callers in this process."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._deeds: dict[str, Callable[[str, str, str, Path], dict[str, Any]]] = {
            "import": self.import_file,
            "export": self.export_file,
            "compare": self.compare_file,
        }

    def import_file(self, account: str, region: str, volume: str, path: Path) -> dict[str, Any]:
        """Make a raw image file the content of a volume. Raises `NotThere`, OSError, ValueError."""
        if not volume.startswith("vol-"):
            raise ValueError(f"id {volume!r} is not a volume's; snapshots never change")
        content, size = self._find(account, region, volume)
        return {"written": import_file(self._store, content, path, size), "blocks": len(content.freeze())}

    def export_file(self, account: str, region: str, thing: str, path: Path) -> dict[str, Any]:
        """Write a volume or snapshot into a new sparse file. Raises `NotThere`, OSError."""
        content, size = self._find(account, region, thing)
        return {"blocks": export_file(self._store, content, path, size), "size": size}

    def compare_file(self, account: str, region: str, thing: str, path: Path) -> dict[str, Any]:
        """Compare a volume or snapshot with a file, byte for byte. Raises `NotThere`, OSError."""
        content, size = self._find(account, region, thing)
        found = list(itertools.islice(differing_blocks(self._store, content, path, size), _NAMED))
        return {"equal": not found, "differing": found}

    def describe(self, account: str, region: str, thing: str) -> dict[str, Any]:
        """Return size in bytes and number of written blocks. Raises `NotThere`."""
        content, size = self._find(account, region, thing)
        return {"id": thing, "size": size, "blockSize": BLOCK, "blocks": len(content.freeze())}

    def serve(self, request: Request, rest: str) -> Reply:
        """Answer a request to a page."""
        parts = rest.split("/")
        try:
            if request.method == "GET" and len(parts) == _PARTS:
                return wire.document(self.describe(*parts))
            if request.method == "POST" and len(parts) == _PARTS + 1 and parts[-1] in self._deeds:
                return wire.document(self._deeds[parts[-1]](parts[0], parts[1], parts[2], _path(request.body)))
        except NotThere as error:
            return wire.document({"error": str(error)}, 404)
        except (ValueError, OSError) as error:
            return wire.document({"error": str(error)}, 400)
        except Sealed:
            return wire.document({"error": f"{parts[2]} was deleted meanwhile"}, 404)
        return wire.document({"error": "use GET <account>/<region>/<id> or POST .../import, export or compare"}, 404)

    def _find(self, account: str, region: str, thing: str) -> tuple[Content, int]:
        """Return the content and the size in bytes."""
        missing = NotThere(f"account {account!r} has no volume or snapshot {thing!r} in {region!r}")
        if not is_account(account):
            raise missing
        try:
            backend = state.ec2(account, region)
        except KeyError:
            raise missing from None
        if (volume := backend.volumes.get(thing)) is not None:
            return volume_record(volume).content, volume.size * PER_GIB * BLOCK
        if (snapshot := backend.snapshots.get(thing)) is not None:
            if snapshot.status != COMPLETED:
                raise ValueError(f"snapshot {thing} is {snapshot.status}; it has a content once it is completed")
            return snapshot_record(snapshot).content, snapshot.volume_size * PER_GIB * BLOCK
        raise missing


def _path(body: bytes) -> Path:
    try:
        wanted = json.loads(body or b"null")
    except ValueError:
        raise ValueError("the body is not JSON") from None
    if not isinstance(wanted, dict) or set(wanted) != {"path"} or not isinstance(wanted["path"], str):
        raise ValueError('the body must be {"path": "<file on the machine of the embedded cloud>"}')
    path = Path(wanted["path"])
    if not path.is_absolute():
        raise ValueError(f"path {wanted['path']!r} must be absolute: the cloud has a working directory of its own")
    return path
