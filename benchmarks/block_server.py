"""The least server that an agent can back up from and restore to: EBS direct API over image files, and KMS.

Not the embedded cloud: that one is faithful, this one is cheap, so that the agent is what is measured. Reads go from
the file to the socket in the kernel, their checksums are taken beforehand; writes are verified as AWS does.

    python -m benchmarks.block_server FOLDER      serves FOLDER/<snapshot>.img, prints its port
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sys
import threading
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from benchmarks.image import BLOCK

_ZERO = bytes(BLOCK)
_GIB = 1024**3


class Snapshot:
    """An image file and the SHA-256 (base64) of each of its blocks that is not zero."""

    def __init__(self, path: Path) -> None:
        """Read the image once; holes are passed over."""
        self.file = path.open("r+b")
        self.size = path.stat().st_size
        self.sums: dict[int, str] = {}
        for index in _written(self.file.fileno(), self.size):
            block = os.pread(self.file.fileno(), BLOCK, index * BLOCK)
            if block != _ZERO:
                self.sums[index] = base64.b64encode(hashlib.sha256(block).digest()).decode()


def _written(descriptor: int, size: int) -> Iterator[int]:
    """Yield the blocks in which a file holds anything."""
    at = 0
    while at < size:
        try:
            at = os.lseek(descriptor, at, os.SEEK_DATA) // BLOCK * BLOCK
        except OSError:
            return  # a hole to the end
        yield at // BLOCK
        at += BLOCK


class Snapshots:
    """All image files of a folder, read when first asked for."""

    def __init__(self, folder: Path) -> None:
        """Take the folder."""
        self._folder = folder
        self._known: dict[str, Snapshot] = {}
        self._lock = threading.Lock()

    def __getitem__(self, name: str) -> Snapshot:
        with self._lock:
            if name not in self._known:
                self._known[name] = Snapshot(self._folder / f"{name}.img")
            return self._known[name]


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    snapshots: Snapshots
    # Headers leave in one packet with what follows them.
    wbufsize = 65536

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """List blocks, or read one."""
        url = urlsplit(self.path)
        _, _, name, what, *rest = url.path.split("/")
        snapshot = self.snapshots[name]
        if rest:
            self._block(snapshot, int(rest[0]))
            return
        query = parse_qs(url.query)
        first = snapshot if what == "blocks" else self.snapshots[query["firstSnapshotId"][0]]
        start = int(query.get("pageToken", query.get("startingBlockIndex", ["0"]))[0])
        page = int(query["maxResults"][0])
        if what == "blocks":
            listed = [index for index in snapshot.sums if index >= start]
            entries = [{"BlockIndex": index, "BlockToken": "t"} for index in listed[:page]]
        else:
            both = sorted(snapshot.sums.keys() | first.sums.keys())
            listed = [one for one in both if one >= start and snapshot.sums.get(one) != first.sums.get(one)]
            entries = [
                {"BlockIndex": one, **({"SecondBlockToken": "t"} if one in snapshot.sums else {})}
                for one in listed[:page]
            ]
        document: dict[str, Any] = {"VolumeSize": -(-snapshot.size // _GIB), "BlockSize": BLOCK}
        document["Blocks" if what == "blocks" else "ChangedBlocks"] = entries
        if len(listed) > page:
            document["NextToken"] = str(listed[page])
        self._json(document)

    def _block(self, snapshot: Snapshot, index: int) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("x-amz-Checksum", snapshot.sums[index])
        self.send_header("x-amz-Checksum-Algorithm", "SHA256")
        self.send_header("x-amz-Data-Length", str(BLOCK))
        self.send_header("Content-Length", str(BLOCK))
        self.end_headers()
        self.wfile.flush()
        sent = 0
        while sent < BLOCK:
            sent += os.sendfile(self.connection.fileno(), snapshot.file.fileno(), index * BLOCK + sent, BLOCK - sent)

    def do_PUT(self) -> None:
        """Write a block."""
        data = self.rfile.read(int(self.headers["Content-Length"]))
        _, _, name, _, index = self.path.split("/")
        stated = base64.b64encode(hashlib.sha256(data).digest()).decode()
        if len(data) != BLOCK or stated != self.headers["x-amz-Checksum"]:
            self._json({"Message": "checksum"}, HTTPStatus.BAD_REQUEST)
            return
        snapshot = self.snapshots[name]
        os.pwrite(snapshot.file.fileno(), data, int(index) * BLOCK)
        snapshot.sums[int(index)] = stated
        self._json({}, HTTPStatus.CREATED)

    def do_POST(self) -> None:
        """Complete a snapshot, or answer for KMS."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        target = self.headers.get("X-Amz-Target", "")
        if target.endswith("GenerateDataKey"):
            key = base64.b64encode(os.urandom(32)).decode()
            self._json({"Plaintext": key, "CiphertextBlob": key, "KeyId": "bench"})
        elif target.endswith("Decrypt"):
            self._json({"Plaintext": json.loads(body)["CiphertextBlob"], "KeyId": "bench"})
        else:
            self._complete(self.path.rsplit("/", 1)[1])

    def _complete(self, name: str) -> None:
        sums = self.snapshots[name].sums
        linear = hashlib.sha256(b"".join(base64.b64decode(sums[index]) for index in sorted(sums))).digest()
        right = self.headers["x-amz-Checksum"] == base64.b64encode(linear).decode()
        right = right and self.headers["x-amz-ChangedBlocksCount"] == str(len(sums))
        self._json({"Status": "completed"}, HTTPStatus.ACCEPTED if right else HTTPStatus.BAD_REQUEST)

    def _json(self, document: dict[str, Any], status: HTTPStatus = HTTPStatus.OK) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class Server(ThreadingHTTPServer):
    """One thread for each connection."""

    daemon_threads = True
    request_queue_size = 256


def main() -> None:
    """Serve a folder until killed."""
    Handler.snapshots = Snapshots(Path(sys.argv[1]))
    server = Server(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
