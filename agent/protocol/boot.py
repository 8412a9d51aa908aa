"""The boot document: what every worker of a launch batch knows from its user data."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from agent.protocol.message import PROTOCOL_VERSION, Message, ProtocolError

#: The user data limit of EC2 is 16 KiB before encoding.
BOOT_LIMIT = 16 * 1024

_BOOT_MARK = "#daywork-boot:"


@dataclass(frozen=True, kw_only=True)
class Boot(Message):
    """What every worker of a launch batch knows from its user data.

    `report_queue` is an SQS queue URL, possibly of another account. Durations are whole seconds: `boot_seconds` is how
    long the agent waits for its order before it ends itself, `heartbeat_seconds` how often it reports progress,
    `silence_seconds` how long it goes on when no report gets through.
    """

    protocol: int = PROTOCOL_VERSION
    install: str
    session: str
    region: str
    control_bucket: str
    control_region: str
    report_queue: str
    boot_seconds: int = 900
    heartbeat_seconds: int = 20
    silence_seconds: int = 1800


def user_data(boot: Boot, *, start: str = "") -> str:
    """Return the user data text (not base64) that starts an agent: a shell script with the boot document in a comment.

    `start` is the shell text that fetches and starts the agent on a real image; the embedded cloud starts the agent
    itself and reads the boot document alone. Equal arguments give equal bytes: user data is part of what EC2 compares
    when a ClientToken is used again.
    """
    packed = base64.b64encode(boot.to_json().encode()).decode()
    text = f"#!/bin/sh\n{_BOOT_MARK}{packed}\n{start}"
    if len(text.encode()) > BOOT_LIMIT:
        raise ProtocolError("Boot: the user data is longer than the 16 KiB that EC2 takes")
    return text


def parse_user_data(text: str) -> Boot:
    """Read the boot document back from user data. Raises `ProtocolError` when there is none."""
    for line in text.splitlines():
        if line.startswith(_BOOT_MARK):
            return Boot.from_json(base64.b64decode(line.removeprefix(_BOOT_MARK)))
    raise ProtocolError("Boot: the user data holds no boot document")
