"""What can be set on an embedded cloud, as one validated value."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Final

#: Services whose identity policies are evaluated unless the settings say otherwise; those of others always are.
ENFORCED: Final[frozenset[str]] = frozenset({"sts", "s3", "sqs", "ebs", "kms", "ec2", "iam", "servicequotas"})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Behaviour of an embedded cloud; every duration may be zero.

    `boot` is how long an instance stays `pending`, `shutdown` how long `shutting-down` or `stopping`; a terminated
    instance can be described for `keep_terminated` (AWS: about an hour). A new or changed instance profile is refused
    by RunInstances for `profile_delay`. A snapshot of a volume stays `pending` for `snapshot`, a new volume `creating`
    for `volume`. An object in an archive storage class is readable `retrieval` after it was asked for (standard tier),
    and each day of its availability lasts for `retrieval_day`. An account may have `pending_snapshots` that are written
    through the EBS direct API, and `block_rate` calls a second to get and to put blocks, for each snapshot and in all
    (0: no limit; AWS: 1000). With `throttle` EC2 calls are limited by AWS's documented token buckets. `enforce` names
    the services whose identity policies count.
    All accounts belong to the organisation `organisation` except those in `outsiders`. `call_log` is how many calls
    the log keeps.
    """

    boot: timedelta = timedelta(seconds=0.5)
    shutdown: timedelta = timedelta(seconds=0.5)
    keep_terminated: timedelta = timedelta(hours=1)
    profile_delay: timedelta = timedelta(0)
    snapshot: timedelta = timedelta(seconds=0.5)
    volume: timedelta = timedelta(seconds=0.2)
    retrieval: timedelta = timedelta(seconds=2)
    retrieval_day: timedelta = timedelta(days=1)
    pending_snapshots: int = 100
    block_rate: int = 0
    throttle: bool = False
    enforce: frozenset[str] = ENFORCED
    organisation: str = "o-daywork0001"
    outsiders: frozenset[str] = frozenset()
    control_account: str | None = None
    call_log: int = 20_000
    #: Largest accepted request body; the largest legitimate one is a part of a multipart upload.
    body_limit: int = field(default=256 * 1024 * 1024)

    def __post_init__(self) -> None:
        """Refuse what cannot be. Raises ValueError that names every wrong field."""
        wrong = [
            f"{spec.name} must not be negative"
            for spec in fields(self)
            if isinstance(value := getattr(self, spec.name), timedelta) and value < timedelta(0)
        ]
        if unknown := sorted(self.enforce - ENFORCED):
            wrong.append(f"enforce: {', '.join(unknown)} cannot be enforced (known: {', '.join(sorted(ENFORCED))})")
        if self.call_log < 1:
            wrong.append("call_log must be at least 1")
        if self.pending_snapshots < 1:
            wrong.append("pending_snapshots must be at least 1")
        if self.block_rate < 0:
            wrong.append("block_rate must not be negative")
        if self.control_account is not None and not is_account(self.control_account):
            wrong.append(f"control_account {self.control_account!r} is not a 12-digit account id")
        if wrong:
            raise ValueError("embedded cloud settings: " + "; ".join(wrong))


def is_account(text: str) -> bool:
    """Tell whether `text` is an AWS account id: twelve digits."""
    return len(text) == 12 and text.isascii() and text.isdigit()  # noqa: PLR2004 - the length is the definition
