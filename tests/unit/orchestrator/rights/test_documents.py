"""What is to be made for a purpose, and how long AWS lets it be."""

from __future__ import annotations

import pytest
from support.rights import HOME, PRODUCTION, facts

from orchestrator.errors import Refused
from orchestrator.rights.changes import VERSION
from orchestrator.rights.documents import documents, split
from orchestrator.rights.facts import role_arn
from orchestrator.rights.purposes import PURPOSES, purpose
from orchestrator.statements import MANAGED_LIMIT, allow, document, size


def test_rds_adds_to_the_backup_role_unless_it_has_one_of_its_own() -> None:
    """A role of its own needs everything that a deploying role reads."""
    added = documents(PURPOSES["backup-rds"], facts())
    own = documents(PURPOSES["backup-rds"], facts(roles={"backupRds": role_arn(PRODUCTION, "Databases")}))

    assert (added.name, added.is_addition, added.trust) == ("DayworkBackup", True, None)
    assert [one["Sid"] for one in added.policies["daywork-rds"]["Statement"]] == ["SeeDatabases"]
    assert (own.name, own.is_addition) == ("Databases", False)
    assert own.trust is not None
    sids = [one["Sid"] for one in own.policies["daywork-rds"]["Statement"]]
    assert sids == ["SeeDatabases", "See", "SeeNames", "SeeQuota", "FindWorkerRole", "Prove"]


def test_a_role_of_its_own_that_indexes_deploys_as_well() -> None:
    """Beside the backup role it adds what it looks at; alone it launches, and passes on the worker role alone."""
    added = documents(PURPOSES["backup-efs"], facts())
    own = documents(PURPOSES["backup-efs"], facts(roles={"backupEfs": role_arn(PRODUCTION, "FileSystems")}))

    assert (added.name, added.is_addition) == ("DayworkBackup", True)
    assert [one["Sid"] for one in added.policies["daywork-efs"]["Statement"]] == ["SeeFileSystems"]
    assert (own.name, own.is_addition) == ("FileSystems", False)
    (passing,) = [one for one in own.policies["daywork-efs"]["Statement"] if one["Sid"] == "Pass"]
    assert passing["Resource"] == [role_arn(PRODUCTION, "DayworkWorker")]
    sids = {one["Sid"] for one in own.policies["daywork-efs"]["Statement"]}
    assert sids >= {"SeeFileSystems", "LaunchWorkers", "Terminate", "FindWorkerRole", "Prove"}


def test_every_document_names_purpose_and_version() -> None:
    """So that a role can be told from its predecessor."""
    for row in PURPOSES.values():
        shown = documents(row, facts(PRODUCTION if row.stands_in == "production" else HOME)).shown()

        assert (shown["purpose"], shown["version"]) == (row.name, VERSION)
        assert [one["document"]["Version"] for one in shown["policies"]] == ["2012-10-17"]


def test_what_is_too_long_for_a_role_becomes_managed_policies() -> None:
    """A control plane over two hundred accounts: no statement is lost, each policy fits."""
    roles = tuple(role_arn(f"{account:012d}", "DayworkBackup") for account in range(300))

    made = documents(PURPOSES["control-plane"], facts(HOME, assumed=roles))

    assert made.is_managed
    assert list(made.policies) == [f"daywork-{number}" for number in range(1, len(made.policies) + 1)]
    assert all(size(one) <= MANAGED_LIMIT for one in made.policies.values())
    statements = [one for policy in made.policies.values() for one in policy["Statement"]]
    taken = [arn for one in statements if one["Action"] == ["sts:AssumeRole"] for arn in one["Resource"]]
    assert sorted(taken) == sorted(roles)
    assert {one["Sid"] for one in statements} >= {"Orders", "Epoch", "Reports", "Prove"}
    assert len({one["Sid"] for one in statements}) == len(statements)


def test_a_statement_with_one_resource_cannot_be_split() -> None:
    """It is given back whole, so that whoever uses it hears from AWS."""
    whole = document(allow("Long", [f"s3:{'x' * 100}{number}" for number in range(100)], ["*"]))

    assert list(split(whole)) == [whole]


def test_an_unknown_purpose_is_refused_with_the_known_ones() -> None:
    """A typing mistake shows the list."""
    with pytest.raises(Refused) as caught:
        purpose("backup-ec3")

    assert caught.value.field == "--purpose"
    assert "backup-ec2" in caught.value.remedy
