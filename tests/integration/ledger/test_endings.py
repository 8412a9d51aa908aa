"""Which workers have nothing left to do, on either database."""

from __future__ import annotations

from support.ledgers import under_way

from orchestrator.fleet import endings
from orchestrator.ledger import workers
from orchestrator.ledger.store import Ledger


def enter(ledger: Ledger, session: str, ordinal: int | None, instance: str) -> None:
    """Put a running worker into the ledger."""
    with ledger.write() as tx:
        workers.enter(
            tx, instance_id=instance, account="1" * 12, region="eu-west-1", session=session, ordinal=ordinal,
            attempt=1, role=None, state="running", instance_type="c5.large", availability_zone="eu-west-1a",
        )  # fmt: skip


def test_a_place_is_listed_once_however_many_workers_are_to_end_there(ledger: Ledger) -> None:
    """Those that belong to nobody; one whose resource is at work is none of them."""
    session = under_way(ledger, 1)
    enter(ledger, session, 0, "i-at-work")
    with ledger.read() as tx:
        assert endings.places(tx) == []

    for number in range(3):
        enter(ledger, session, None, f"i-{number}")

    with ledger.read() as tx:
        assert endings.places(tx) == [("1" * 12, "eu-west-1")]
