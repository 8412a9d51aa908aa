"""Whose something is. Pure: what was seen and what the ledger knows go in, a verdict comes out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

#: Younger things are left alone: a list may be older than it looks.
YOUNG = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Something in the cloud that carries this install's tag or stands under its path.

    `kind` is one of `orchestrator.sweeper.kinds`; `role` is the role with which it was seen and can be removed. `point`
    is the restore point that a backup's snapshot was made for. What `holds_data` is removed only when the ledger itself
    says that it is not wanted.
    """

    kind: str
    account: str
    region: str
    name: str
    session: str | None
    role: str | None
    made_at: datetime | None = None
    point: str | None = None
    holds_data: bool = False


@dataclass(frozen=True, kw_only=True)
class Known:
    """What the ledger knows of it.

    `is_base` says of a snapshot that was made for a restore point whether the next incremental compares with it; None
    when the ledger does not know the point.
    """

    is_session_known: bool
    is_session_final: bool
    is_kept: bool = False
    is_base: bool | None = None


class Verdict(StrEnum):
    """What becomes of it."""

    OWNED = "owned"  # somebody will take care of it, or it should stay
    REPORT = "report"  # nobody's, and not ours to decide
    ORPHAN = "orphan"  # nobody's: mark, then remove


def judge(seen: Seen, known: Known, *, now: datetime) -> tuple[Verdict, str]:
    """Return the verdict and the reason in words."""
    if seen.session is None:
        return Verdict.REPORT, "it carries this install's tag and no session's"
    if known.is_base:
        return Verdict.OWNED, "the next incremental compares with it"
    if known.is_kept and seen.point is None:
        return Verdict.OWNED, "its receipt says that it is kept"
    if known.is_session_known and not known.is_session_final:
        return Verdict.OWNED, "its session is running"
    if seen.made_at is not None and now - seen.made_at < YOUNG:
        return Verdict.OWNED, "it is younger than a minute"
    if known.is_base is False:
        return Verdict.ORPHAN, "a newer restore point has taken its place"
    if known.is_session_known:
        gone = known.is_kept and seen.point is not None
        return Verdict.ORPHAN, "its restore point does not exist any more" if gone else "its session has ended"
    if seen.holds_data:
        return Verdict.REPORT, "it holds data of a session that this ledger does not know"
    return Verdict.ORPHAN, "this ledger does not know its session"
