"""Objects in archive storage classes on the embedded cloud, over HTTP as a client sees them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.cloud import FAST, LocalCloud, code, local_cloud

#: The classes that have to be retrieved from.
CLASSES = ("GLACIER", "DEEP_ARCHIVE")
NEVER, AT_ONCE = timedelta(hours=1), timedelta(0)


class Vault:
    """A bucket with one object of a storage class."""

    def __init__(self, cloud: LocalCloud, storage_class: str) -> None:
        account = cloud.account()
        self.s3: Any = cloud.admin("s3", account)
        self.place = {"Bucket": f"vault-{account}", "Key": "packs/aa/one"}
        where = {"LocationConstraint": "eu-west-1"}
        self.s3.create_bucket(Bucket=self.place["Bucket"], CreateBucketConfiguration=where)
        self.s3.put_object(**self.place, Body=b"blobs", StorageClass=storage_class)

    def ask(self, tier: str = "Standard", days: int = 1) -> int:
        """Ask for the object; return the HTTP status."""
        request = {"Days": days, "GlacierJobParameters": {"Tier": tier}}
        answer = self.s3.restore_object(**self.place, RestoreRequest=request)
        return int(answer["ResponseMetadata"]["HTTPStatusCode"])

    def listed(self) -> dict[str, Any]:
        """Return the object as a listing tells of it."""
        answer = self.s3.list_objects_v2(Bucket=self.place["Bucket"], OptionalObjectAttributes=["RestoreStatus"])
        found: dict[str, Any] = answer["Contents"][0]
        return found


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[LocalCloud]:
    """Return a cloud whose retrievals do not end within a test."""
    with local_cloud(tmp_path, replace(FAST, retrieval=NEVER)) as cloud:
        yield cloud


@pytest.fixture
def fast(tmp_path: Path) -> Iterator[LocalCloud]:
    """Return a cloud whose retrievals end when they begin."""
    with local_cloud(tmp_path, replace(FAST, retrieval=AT_ONCE)) as cloud:
        yield cloud


def test_an_archived_object_cannot_be_read_while_it_is_retrieved(slow: LocalCloud) -> None:
    """HeadObject and a listing say that it is under way; asking again is refused."""
    for storage_class in CLASSES:
        cannot_be_read(Vault(slow, storage_class), storage_class)


def cannot_be_read(vault: Vault, storage_class: str) -> None:
    """Ask for an object that does not come within the test."""
    assert code(lambda: vault.s3.get_object(**vault.place)) == "InvalidObjectState"
    assert "RestoreStatus" not in vault.listed()

    status = vault.ask()

    assert status == 202
    assert code(lambda: vault.s3.get_object(**vault.place)) == "InvalidObjectState"
    assert vault.s3.head_object(**vault.place)["Restore"] == 'ongoing-request="true"'
    assert vault.listed()["RestoreStatus"] == {"IsRestoreInProgress": True}
    assert vault.listed()["StorageClass"] == storage_class
    assert code(vault.ask) == "RestoreAlreadyInProgress"


def test_a_retrieved_object_can_be_read(fast: LocalCloud) -> None:
    """Whole and in parts; its class stays what it is, and asking again makes it stay for longer."""
    for storage_class in CLASSES:
        can_be_read(Vault(fast, storage_class), storage_class)


def can_be_read(vault: Vault, storage_class: str) -> None:
    """Ask for an object that is there at once."""
    vault.ask("Bulk")

    body = vault.s3.get_object(**vault.place)["Body"].read()
    first = vault.listed()["RestoreStatus"]["RestoreExpiryDate"]
    status = vault.ask(days=5)

    assert body == b"blobs"
    assert vault.s3.get_object(**vault.place, Range="bytes=1-2")["Body"].read() == b"lo"
    assert 'ongoing-request="false"' in vault.s3.head_object(**vault.place)["Restore"]
    assert vault.s3.head_object(**vault.place)["StorageClass"] == storage_class
    assert (status, vault.listed()["RestoreStatus"]["RestoreExpiryDate"] > first) == (200, True)


def test_what_was_retrieved_runs_out(tmp_path: Path) -> None:
    """And can be asked for again."""
    with local_cloud(tmp_path, replace(FAST, retrieval=AT_ONCE, retrieval_day=AT_ONCE)) as cloud:
        vault = Vault(cloud, "GLACIER")

        first, second = vault.ask(), vault.ask()

        assert (first, second) == (202, 202)
        assert code(lambda: vault.s3.get_object(**vault.place)) == "InvalidObjectState"
        assert "RestoreStatus" not in vault.listed()


def test_an_object_that_is_written_again_is_archived_again(fast: LocalCloud) -> None:
    """A retrieval is one object's, not one name's."""
    vault = Vault(fast, "GLACIER")
    vault.ask()

    vault.s3.put_object(**vault.place, Body=b"other", StorageClass="GLACIER")

    assert code(lambda: vault.s3.get_object(**vault.place)) == "InvalidObjectState"


def test_what_cannot_be_retrieved_is_refused(fast: LocalCloud) -> None:
    """An object of another class, one that is not there, a tier that the class has not, no days."""
    standard, deep = Vault(fast, "STANDARD"), Vault(fast, "DEEP_ARCHIVE")

    assert code(standard.ask) == "InvalidObjectState"
    assert code(lambda: deep.ask("Expedited")) == "InvalidArgument"
    assert code(lambda: deep.ask(days=0)) == "MalformedXML"
    deep.place["Key"] = "packs/aa/two"
    assert code(deep.ask) == "NoSuchKey"


def test_asking_for_an_object_is_a_right_of_its_own(fast: LocalCloud) -> None:
    """Who may ask need not be able to read."""
    vault = Vault(fast, "GLACIER")
    owner = vault.place["Bucket"].removeprefix("vault-")
    allowed = {"Effect": "Allow", "Action": "s3:RestoreObject", "Resource": f"arn:aws:s3:::{vault.place['Bucket']}/*"}
    keys = fast.user(owner, "asks", {"Version": "2012-10-17", "Statement": [allowed]})
    other = fast.user(owner, "reads")
    admin = vault.s3

    vault.s3 = fast.client("s3", other)
    assert code(vault.ask) == "AccessDenied"
    vault.s3 = fast.client("s3", keys)
    assert vault.ask() == 202
    assert code(lambda: vault.s3.get_object(**vault.place)) == "AccessDenied"
    assert admin.get_object(**vault.place)["Body"].read() == b"blobs"
