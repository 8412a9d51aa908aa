"""IAM documents: structure, size, and no star where it can be narrower."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator import policies
from orchestrator.errors import WrongRequest
from orchestrator.policies import Use
from orchestrator.statements import INLINE_LIMIT

HOME = "111111111111"
QUEUE = f"arn:aws:sqs:eu-west-1:{HOME}:reports"
KEY = f"arn:aws:kms:eu-west-1:{HOME}:key/1"
WORKER = "arn:aws:iam::222222222222:role/DayworkWorker"


def data_roles(count: int) -> list[str]:
    """Return the data roles of so many accounts."""
    return [f"arn:aws:iam::{number:012d}:role/DayworkData" for number in range(count)]


def temporary(roles: int = 2, *, use: Use = Use.WRITE, has_blocks: bool = True) -> policies.Document:
    """Return a temporary role's policy."""
    return policies.temporary_role(
        install="test",
        session="s-1",
        control_bucket="control",
        report_queue_arn=QUEUE,
        repository=("repository", "main", KEY),
        roles=data_roles(roles),
        use=use,
        has_blocks=has_blocks,
    )


DOCUMENTS = {
    "temporary": temporary(),
    "worker": policies.worker_role(
        install="test", control_bucket="control", report_queue_arn=QUEUE, repository=None, repository_role_arn=WORKER
    ),
    "data": policies.data_role("test"),
    "backup": policies.backup_role(install="test", worker_role_arn=WORKER),
    "restore": policies.restore_role(install="test", worker_role_arn=WORKER),
    "repository": policies.repository_role("repository", "main", KEY),
    "repository keeper": policies.repository_keeper("repository", "main", KEY),
    "repository reader": policies.repository_reader("repository", "main", KEY),
}

#: Calls that AWS lets nobody limit to a resource.
DESCRIBING = ("ec2:Describe", "iam:List", "iam:GetAccountSummary", "servicequotas:GetServiceQuota")


def statements(document: policies.Document) -> list[dict[str, Any]]:
    """Return a document's statements."""
    return list(document["Statement"])


@pytest.mark.parametrize("name", DOCUMENTS)
def test_nothing_is_allowed_on_everything_but_describing(name: str) -> None:
    """A star resource stands with calls that take no other."""
    for one in statements(DOCUMENTS[name]):
        if "*" in one["Resource"]:
            assert all(action.startswith(DESCRIBING) for action in one["Action"]), one
        assert not [action for action in one["Action"] if "*" in action], one


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_have_a_version_sids_of_their_own_and_fit(name: str) -> None:
    """AWS refuses a Sid that stands twice."""
    document = DOCUMENTS[name]
    sids = [one["Sid"] for one in statements(document)]

    assert document["Version"] == "2012-10-17"
    assert len(sids) == len(set(sids))
    assert len(json.dumps(document, separators=(",", ":"))) <= INLINE_LIMIT


def test_a_worker_reaches_its_own_orders_alone() -> None:
    """The key ends with its own name."""
    for one in statements(temporary()):
        if one["Sid"] in ("OwnOrder", "OwnResult"):
            assert all("/${aws:userid}." in place for place in one["Resource"])


def test_a_temporary_role_assumes_the_roles_of_its_session_and_no_other() -> None:
    """Named one by one; none at all when there are none."""

    def assumed(document: policies.Document) -> list[str]:
        return [arn for one in statements(document) if "sts:AssumeRole" in one["Action"] for arn in one["Resource"]]

    assert assumed(temporary(3)) == sorted(data_roles(3))
    assert assumed(temporary(0)) == []


def test_blocks_are_limited_to_the_sessions_own_snapshots() -> None:
    """By install and session."""
    blocks = next(one for one in statements(temporary()) if one["Sid"] == "Blocks")

    assert blocks["Condition"]["StringEquals"] == {
        "aws:ResourceTag/daywork:install": "test",
        "aws:ResourceTag/daywork:session": "s-1",
    }


def test_a_session_over_too_many_accounts_is_refused_with_the_remedy() -> None:
    """More than a hundred fit, three hundred do not."""
    temporary(120)
    with pytest.raises(WrongRequest, match="AWS takes 10240") as caught:
        temporary(300)
    assert "fewer accounts" in caught.value.remedy


def test_only_the_deployment_role_makes_roles_and_only_under_our_path() -> None:
    """With the boundary when one is configured."""
    document = policies.worker_deployment_role(install="test", account=HOME, boundary="arn:aws:iam::1:policy/b")
    making = next(one for one in statements(document) if "iam:CreateRole" in one["Action"])

    assert making["Resource"] == [f"arn:aws:iam::{HOME}:role/daywork/test/*"]
    assert making["Condition"] == {"StringEquals": {"iam:PermissionsBoundary": "arn:aws:iam::1:policy/b"}}
    for name in ("backup", "restore", "worker", "temporary", "data"):
        assert "iam:CreateRole" not in json.dumps(DOCUMENTS[name])


def test_trust_asks_for_the_external_id_and_workers_trust_ec2_alone() -> None:
    """Nobody else can choose a worker's session name."""
    asked = policies.operation_trust("arn:aws:iam::1:user/control", "an-id")["Statement"][0]

    assert asked["Condition"] == {"StringEquals": {"sts:ExternalId": "an-id"}}
    assert policies.ec2_trust()["Statement"][0]["Principal"] == {"Service": "ec2.amazonaws.com"}


@pytest.mark.parametrize(("prefix", "folder"), [("", ""), ("main", "main/"), ("/a/b/", "a/b/")])
def test_a_repository_ends_at_its_own_prefix(prefix: str, folder: str) -> None:
    """Neighbours whose names begin alike are not reached; leases are where the agent puts them."""
    by_sid = {one["Sid"]: one for one in statements(policies.repository_role("bucket", prefix, KEY))}

    assert by_sid["RepositoryObjects"]["Resource"] == [f"arn:aws:s3:::bucket/{folder}*"]
    assert by_sid["RepositoryLeases"]["Resource"] == [f"arn:aws:s3:::bucket/{folder}lease/*"]
    assert by_sid["RepositoryList"]["Condition"] == {"StringLike": {"s3:prefix": f"{folder}*"}}


def test_whoever_reads_heads_reaches_no_block() -> None:
    """Neither packs nor maps, nothing can be written, and the key opens and wraps nothing new."""
    document = policies.repository_reader("bucket", "main", KEY)
    read = next(one for one in statements(document) if one["Sid"] == "ReadHeads")

    assert sorted({action for one in statements(document) for action in one["Action"]}) == [
        "kms:Decrypt", "s3:GetObject", "s3:ListBucket",
    ]  # fmt: skip
    assert read["Resource"] == [
        f"arn:aws:s3:::bucket/main/{place}" for place in ("repo.json", "keys/*", "rp/*", "damage/*")
    ]


def allowed(document: policies.Document, action: str) -> list[str]:
    """Return the objects of the repository on which an action is allowed, without bucket and prefix."""
    base = "arn:aws:s3:::repository/main/"
    named = [place for one in statements(document) if action in one["Action"] for place in one["Resource"]]
    return sorted(place.removeprefix(base) for place in named if place.startswith(base))


def test_retention_alone_deletes_and_never_what_opens_the_rest() -> None:
    """A temporary role for retention and the keeper of a repository elsewhere; keys and `repo.json` stay."""
    removed = ["damage/*", "forward/*", "gc/*", "index/*", "lease/*", "map/*", "packs/*", "rp/*"]

    for document in (temporary(use=Use.KEEP), DOCUMENTS["repository keeper"]):
        assert allowed(document, "s3:DeleteObject") == removed
        assert allowed(document, "s3:PutObject") == [
            "forward/*", "gc/*", "index/*", "lease/*", "owner.json", "packs/*",
        ]  # fmt: skip
    assert allowed(temporary(use=Use.WRITE), "s3:DeleteObject") == ["lease/*"]
    for use in (Use.READ, Use.CHECK):
        assert allowed(temporary(use=use), "s3:DeleteObject") == []
    assert allowed(DOCUMENTS["worker"], "s3:DeleteObject") == allowed(DOCUMENTS["repository"], "s3:PutObject")[1:] == []


def test_a_reader_writes_nothing_and_a_check_its_findings_alone() -> None:
    """And neither makes new data keys."""
    assert allowed(temporary(use=Use.READ), "s3:PutObject") == []
    assert allowed(temporary(use=Use.CHECK), "s3:PutObject") == ["damage/*", "index/*", "owner.json"]
    for use in (Use.READ, Use.CHECK, Use.KEEP):
        assert "kms:GenerateDataKey" not in json.dumps(temporary(use=use))


def test_work_on_the_repository_alone_reaches_no_block_of_a_snapshot() -> None:
    """Health checks and retention do without."""
    assert "ebs:" in json.dumps(temporary())
    assert "ebs:" not in json.dumps(temporary(has_blocks=False))


def test_the_boundary_lets_no_role_have_more_than_retention_has() -> None:
    """Deleting is for what retention removes; the archive and other prefixes are out of reach."""
    document = policies.temporary_boundary(
        install="test", control_bucket="control", report_queue_arn=QUEUE, repositories=[("repository", "main", KEY)],
        roles=[],
    )  # fmt: skip

    assert allowed(document, "s3:DeleteObject") == allowed(temporary(use=Use.KEEP), "s3:DeleteObject")


def test_the_boundary_of_many_accounts_stays_short() -> None:
    """Roles of one name become a pattern over accounts; a few are named one by one."""

    def boundary(count: int) -> list[str]:
        document = policies.temporary_boundary(
            install="test",
            control_bucket="control",
            report_queue_arn=QUEUE,
            repositories=[("repository", "main/", KEY)],
            roles=[f"arn:aws:iam::{number:012d}:role/DayworkData" for number in range(count)],
        )
        return list(next(one for one in statements(document) if one["Sid"] == "OtherAccounts")["Resource"])

    assert len(boundary(40)) == 40
    assert boundary(500) == ["arn:aws:iam::*:role/DayworkData"]
