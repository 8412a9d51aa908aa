"""`python -m localcloud serve --port P --dir DIR`: an embedded cloud as a process of its own."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from datetime import timedelta
from pathlib import Path

from localcloud.fleet import PROGRAM
from localcloud.server import CloudServer
from localcloud.settings import Settings


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT. Prints one JSON line with the address on stdout when ready."""
    parser = argparse.ArgumentParser(prog="localcloud", description="An AWS-like endpoint on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="serve on 127.0.0.1 until told to stop")
    serve.add_argument("--port", type=int, default=0, help="port to listen on; 0 takes a free one")
    serve.add_argument("--dir", type=Path, required=True, help="where the cloud keeps its files")
    serve.add_argument("--control-account", help="account in which the control plane gets a user and a key")
    serve.add_argument("--boot", type=float, default=0.5, help="seconds from pending to running")
    serve.add_argument("--shutdown", type=float, default=0.5, help="seconds from shutting-down to terminated")
    serve.add_argument(
        "--profile-delay", type=float, default=0.0, help="seconds until a new instance profile is visible"
    )
    serve.add_argument("--snapshot", type=float, default=0.5, help="seconds from pending to completed of a snapshot")
    serve.add_argument("--volume", type=float, default=0.2, help="seconds from creating to available of a volume")
    serve.add_argument(
        "--retrieval", type=float, default=2.0, help="seconds until an object of an archive storage class can be read"
    )
    serve.add_argument(
        "--block-rate", type=int, default=0, help="EBS direct calls a second for blocks; AWS: 1000, 0: as many as come"
    )
    serve.add_argument("--throttle", action="store_true", help="limit EC2 calls by AWS's documented token buckets")
    serve.add_argument(
        "--fleet", action=argparse.BooleanOptionalAction, default=True, help="run real agents on instances that ask so"
    )
    given = parser.parse_args(arguments)
    try:
        settings = Settings(
            boot=timedelta(seconds=given.boot),
            shutdown=timedelta(seconds=given.shutdown),
            profile_delay=timedelta(seconds=given.profile_delay),
            snapshot=timedelta(seconds=given.snapshot),
            volume=timedelta(seconds=given.volume),
            retrieval=timedelta(seconds=given.retrieval),
            block_rate=given.block_rate,
            throttle=given.throttle,
            control_account=given.control_account,
        )
    except ValueError as error:
        parser.error(str(error))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with CloudServer(given.dir, given.port, settings, agents=PROGRAM if given.fleet else None) as server:
        sys.stdout.write(json.dumps({"url": server.url, "directory": str(given.dir)}) + "\n")
        sys.stdout.flush()
        if server.fleet is not None:
            server.fleet.warm_up()
        # The kernel may hand a signal to another thread; Python's handler runs here, and not while this waits for ever.
        while not stop.wait(1):
            pass
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
