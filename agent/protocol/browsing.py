"""Requests to a worker that browses an image, and where they and its answers stand.

A request is an object beside the worker's order, `<order's key without .json>.ask/<number>.json`, numbered from 1; its
answer is `<order's key without .json>.answer/<number>.json`. Requests are answered in order, each once; what an answer
holds is said in `agent.jobs.files_browsing`. All of it goes with the session's orders.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from agent.protocol.message import PROTOCOL_VERSION, Message


@dataclass(frozen=True, kw_only=True)
class Ask(Message):
    """One request: the file systems, a directory or file, what a search finds below it, or paths to take out."""

    protocol: int = PROTOCOL_VERSION
    what: Literal["systems", "list", "search", "extract"]
    paths: tuple[str, ...] = ()
    pattern: str | None = None
    limit: int = 10_000


def ask_prefix(session: str, user_id: str) -> str:
    """Return the key prefix of a worker's requests."""
    return f"orders/{session}/{user_id}.ask/"


def ask_key(session: str, user_id: str, number: int) -> str:
    """Return the key of a request."""
    return f"{ask_prefix(session, user_id)}{number}.json"


def answer_key(session: str, user_id: str, number: int) -> str:
    """Return the key of its answer."""
    return f"orders/{session}/{user_id}.answer/{number}.json"
