"""Names of a seeded cloud, and the size of what names all of its accounts."""

from __future__ import annotations

import json

from localcloud.seed.accounts import Shared
from localcloud.seed.names import MOST_ACCOUNTS, Place, production_accounts
from orchestrator.rights.purposes import PURPOSES
from orchestrator.statements import TRUST_LIMIT


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

    facts = Shared(place, "arn:aws:iam::111111111111:user/control", "key", tuple(accounts)).facts(place.account)

    trusting = PURPOSES["repository"].trust
    assert trusting is not None
    trust = trusting(facts)
    queue = PURPOSES["report-queue"].policy(facts)
    bucket = PURPOSES["control-bucket"].policy(facts)

    assert len(json.dumps(trust, separators=(",", ":"))) <= TRUST_LIMIT
    assert len(queue["Statement"][0]["Principal"]["AWS"]) <= 50
    assert len(json.dumps(bucket)) <= 20 * 1024
