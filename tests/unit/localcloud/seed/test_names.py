"""Names of a seeded cloud, and the size of what names all of its accounts."""

from __future__ import annotations

import json

from localcloud.seed.names import MOST_ACCOUNTS, WORKER, Place, production_accounts, role_arn
from orchestrator import policies


def test_accounts_are_told_apart_by_id_and_name() -> None:
    """The first ones are easy to remember, all are different, none is the home account."""
    found = production_accounts(MOST_ACCOUNTS - 1)

    assert found[:2] == [("222222222222", "production-a"), ("333333333333", "production-b")]
    assert len({account for account, _ in found}) == len({name for _, name in found}) == MOST_ACCOUNTS - 1
    assert Place("local").account not in {account for account, _ in found}
    assert all(len(account) == 12 and account.isdigit() for account, _ in found)


def test_the_largest_seed_keeps_within_the_limits_of_policies() -> None:
    """Trust, bucket and queue policies that name all accounts at once are short enough for AWS."""
    place = Place("a-name-of-24-characters-")
    accounts = [account for account, _ in production_accounts(MOST_ACCOUNTS - 1)]

    trust = policies.workers_trust([(account, role_arn(account, WORKER)) for account in accounts])
    queue = policies.report_queue(place.report_queue_arn, [place.account, *accounts])
    bucket = policies.control_bucket(place.control_bucket, [place.account, *accounts])

    assert len(json.dumps(trust, separators=(",", ":"))) <= policies.TRUST_LIMIT
    assert len(queue["Statement"][0]["Principal"]["AWS"]) <= 50
    assert len(json.dumps(bucket)) <= 20 * 1024
