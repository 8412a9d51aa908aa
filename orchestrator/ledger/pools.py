"""Pools without capacity, remembered for everybody: who asks a full pool again only spends calls that others need.

A pool is an instance type in a subnet. A subnet without free addresses is full for every type, and an account at its
quota for every type and subnet of the Region. Figures: the launch research (Karpenter keeps a pool for 3 minutes).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa

from orchestrator.ledger import schema
from orchestrator.ledger.store import Transaction

ANY = "*"

#: How long a pool is left alone; doubled each time it is still full then.
FULL = timedelta(minutes=3)
LONGEST = timedelta(minutes=15)

#: An account at its quota is asked again soon: its own workers end all the time.
AT_QUOTA = timedelta(seconds=30)

_TABLE = schema.full_pools


@dataclass(frozen=True, kw_only=True)
class FullPools:
    """What is full in an account and Region at one moment: (instance type, subnet) -> until when and why."""

    known: dict[tuple[str, str], tuple[datetime, str]] = field(default_factory=dict)

    def until(self, instance_type: str, subnet: str) -> datetime | None:
        """Return until when a pool is left alone, or None."""
        covering = ((instance_type, subnet), (ANY, subnet), (ANY, ANY))
        return max((self.known[one][0] for one in covering if one in self.known), default=None)

    def first_free(
        self, rungs: Sequence[tuple[str, str]], *, but: Callable[[str], bool] = lambda _subnet: False
    ) -> int | None:
        """Return the first place of a ladder that is not known to be full, or None.

        One whose subnet has no room otherwise (`but`) is chosen when there is no other: EC2 knows better.
        """
        free = [number for number, one in enumerate(rungs) if self.until(*one) is None]
        return next((one for one in free if not but(rungs[one][1])), free[0] if free else None)

    def opens(self, rungs: Sequence[tuple[str, str]]) -> datetime | None:
        """Return when the first place of a ladder may be asked again; None when one may be asked now."""
        moments = [self.until(*one) for one in rungs]
        return None if None in moments or not moments else min(one for one in moments if one is not None)

    @property
    def at_quota(self) -> str | None:
        """What AWS said when it refused for the account's quota, while that is remembered."""
        found = self.known.get((ANY, ANY))
        return None if found is None else found[1]

    def why(self, rungs: Sequence[tuple[str, str]]) -> str:
        """Say why no place of a ladder is free, with what AWS said of the first one."""
        if self.at_quota is not None:
            return self.at_quota
        kinds, subnets = (", ".join(dict.fromkeys(names)) for names in zip(*rungs, strict=True))
        kind, subnet = rungs[0]
        said = next(self.known[one][1] for one in ((kind, subnet), (ANY, subnet)) if one in self.known)
        return f"no capacity for {kinds} in {subnets}: {said}"


def full(tx: Transaction, account: str, region: str) -> FullPools:
    """Return what is full in an account and Region now."""
    rows = tx.rows(
        sa.select(_TABLE).where(_TABLE.c.account == account, _TABLE.c.region == region, _TABLE.c.until > tx.now)
    )
    return FullPools(known={(row.instance_type, row.subnet): (row.until, row.reason) for row in rows})


def mark(tx: Transaction, account: str, region: str, *, instance_type: str, subnet: str, reason: str) -> None:
    """Remember that a pool is full. One that is found full again soon after is left alone for twice as long."""
    key = sa.and_(
        _TABLE.c.account == account,
        _TABLE.c.region == region,
        _TABLE.c.instance_type == instance_type,
        _TABLE.c.subnet == subnet,
    )
    before = tx.row(sa.select(_TABLE.c.until, _TABLE.c.times).where(key).with_for_update())
    times = 1 if before is None or tx.now - before.until >= LONGEST else before.times + 1
    span = AT_QUOTA if (instance_type, subnet) == (ANY, ANY) else min(FULL * 2 ** min(times - 1, 10), LONGEST)
    tx.put(
        _TABLE,
        {
            "account": account,
            "region": region,
            "instance_type": instance_type,
            "subnet": subnet,
            "until": tx.now + span,
            "times": times,
            "reason": reason[:2000],
        },
        update=("until", "times", "reason"),
    )


def has_room(tx: Transaction, account: str, region: str, *, instance_type: str, subnet: str) -> None:
    """Forget that a pool was full: a launch in it has succeeded."""
    tx.execute(
        sa.delete(_TABLE).where(
            _TABLE.c.account == account,
            _TABLE.c.region == region,
            _TABLE.c.instance_type.in_((instance_type, ANY)),
            _TABLE.c.subnet.in_((subnet, ANY)),
        )
    )
