"""What AWS has room for where workers are launched: vCPUs of the quota, free addresses of subnets.

It was true when somebody asked and is corrected by what we launch ourselves; what others do is seen at the next look.
So it never refuses anything for good: who finds no room waits for the next look, and EC2 has the last word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import sqlalchemy as sa

from orchestrator.ledger import schema
from orchestrator.ledger.store import Transaction

#: How long an answer is used; while something waits it is asked for this often.
FRESH = timedelta(minutes=1)

_TABLE = schema.launch_rooms


@dataclass(frozen=True, kw_only=True)
class LaunchRoom:
    """`vcpus`: how many the account's quota leaves to our workers, those they have now included; None: not known.

    `addresses`: how many are free in each subnet, None or missing: not known.
    """

    vcpus: int | None = None
    addresses: Mapping[str, int | None] = field(default_factory=dict)

    def free(self, subnets: Iterable[str]) -> int | None:
        """Return how many addresses are free in subnets together, or None when one of them is not known."""
        found = [self.addresses.get(one) for one in set(subnets)]
        return None if None in found else sum(one for one in found if one is not None)

    def is_used_up(self, subnet: str) -> bool:
        """Whether a subnet is known to have no free address."""
        found = self.addresses.get(subnet)
        return found is not None and found <= 0


def get(tx: Transaction, account: str, region: str) -> LaunchRoom:
    """Return what is known now; nothing of what was asked too long ago."""
    row = tx.row(
        sa.select(_TABLE).where(
            _TABLE.c.account == account, _TABLE.c.region == region, _TABLE.c.asked_at > tx.now - 2 * FRESH
        )
    )
    return LaunchRoom() if row is None else LaunchRoom(vcpus=row.vcpus, addresses=row.addresses)


def is_fresh(tx: Transaction, account: str, region: str, subnets: Iterable[str]) -> bool:
    """Whether it was asked for a moment ago, and for all of these subnets."""
    row = tx.row(
        sa.select(_TABLE.c.addresses).where(
            _TABLE.c.account == account, _TABLE.c.region == region, _TABLE.c.asked_at > tx.now - FRESH
        )
    )
    return row is not None and set(subnets) <= set(row.addresses)


def note(tx: Transaction, account: str, region: str, *, vcpus: int | None, addresses: Mapping[str, int | None]) -> None:
    """Write down what AWS has answered; None: it did not say."""
    values = {"account": account, "region": region, "asked_at": tx.now, "vcpus": vcpus, "addresses": dict(addresses)}
    tx.put(_TABLE, values, update=("asked_at", "vcpus", "addresses"))


def taken(tx: Transaction, account: str, region: str, *, subnet: str, count: int) -> None:
    """Write down that so many workers were launched in a subnet."""
    here = sa.and_(_TABLE.c.account == account, _TABLE.c.region == region)
    row = tx.row(sa.select(_TABLE.c.addresses).where(here).with_for_update())
    if row is not None and row.addresses.get(subnet) is not None:
        left = {**row.addresses, subnet: max(0, row.addresses[subnet] - count)}
        tx.execute(sa.update(_TABLE).where(here).values(addresses=left))
