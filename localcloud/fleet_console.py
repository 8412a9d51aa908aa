"""What instances have written to their consoles: a file each, and EC2's GetConsoleOutput."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from localcloud import state, wire
from localcloud.call import Call, Reply
from localcloud.errors import AwsError

#: EC2 keeps the last 64 KiB of an instance's output.
_SHOWN: Final = 64 * 1024
#: Files of earlier instances that are kept when a fleet starts, newest first.
_KEPT: Final = 500


class Consoles:
    """The console files of a cloud, below its directory; also the `Plugin` that shows them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory / "console"

    def prepare(self) -> None:
        """Make the directory, and forget the oldest files of earlier clouds."""
        self._directory.mkdir(parents=True, exist_ok=True)
        files = sorted(self._directory.glob("i-*.log"), key=lambda file: file.stat().st_mtime, reverse=True)
        for old in files[_KEPT:]:
            old.unlink(missing_ok=True)

    def path(self, instance_id: str) -> Path:
        """Return where an instance's output is kept."""
        return self._directory / f"{instance_id}.log"

    def before(self, call: Call) -> Reply | None:
        """Answer GetConsoleOutput. Raises `AwsError` for an instance that does not exist."""
        if call.name != "ec2:GetConsoleOutput":
            return None
        instance_id = str(call.parameters.get("InstanceId", ""))
        if state.instance(call.account, call.region, instance_id) is None:
            raise AwsError("InvalidInstanceID.NotFound", f"The instance ID '{instance_id}' does not exist")
        shown, written = self._tail(instance_id)
        return wire.answer(
            call,
            {"InstanceId": instance_id, "Timestamp": written, "Output": base64.b64encode(shown).decode()},
        )

    def after(self, call: Call, reply: Reply) -> Reply:
        """Change nothing."""
        del call
        return reply

    def _tail(self, instance_id: str) -> tuple[bytes, datetime]:
        try:
            with self.path(instance_id).open("rb") as file:
                size = file.seek(0, 2)
                file.seek(max(0, size - _SHOWN))
                return file.read(), datetime.fromtimestamp(self.path(instance_id).stat().st_mtime, UTC)
        except FileNotFoundError:
            return b"", datetime.now(UTC)
