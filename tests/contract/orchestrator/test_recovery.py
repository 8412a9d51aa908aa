"""What a lost ledger is made anew from: `orchestrator.ports.BackupStore`, and repositories on S3."""

from __future__ import annotations

import hashlib
import io
import os

import pytest
from botocore.session import Session
from support.labs import HOME, EmbeddedLab, Lab
from support.repositories import CHAIN

from agent.aws import Access
from agent.repository.errors import Refused
from agent.repository.head import Head, encode_head
from agent.repository.kms import Kms
from agent.repository.layout import point_key
from agent.repository.objects import Objects
from agent.repository.repository import open_repository
from agent.repository.s3 import open_s3
from console.repositories import open_shelf
from orchestrator.aws.credentials import Identities
from orchestrator.errors import AccessDenied, Missing, WrongRequest
from orchestrator.importing import Found, Place
from orchestrator.model.account import Repository
from orchestrator.ports import BackupStore


def put(store: BackupStore, name: str, body: bytes, *, content: str = "rows") -> None:
    """Keep a copy; the file stands at its end, as after it was written."""
    file = io.BytesIO(body)
    file.seek(0, io.SEEK_END)
    store.put(name, file, sha256=hashlib.sha256(body).hexdigest(), content=content)


def test_copies_are_listed_newest_first_and_come_back_as_they_were(lab: Lab) -> None:
    """With their sizes and what was said of their rows; the newest is the one of the greatest name."""
    store = lab.backups()
    for number in (2, 1, 3):
        put(store, f"2026110{number}T000000Z-a.jsonl.zst", b"x" * number, content=f"rows {number}")

    kept = store.kept()

    assert [one.name[:8] for one in kept] == ["20261103", "20261102", "20261101"]
    assert [one.size for one in kept] == [3, 2, 1]
    assert store.content(kept[1].name) == "rows 2"
    file = io.BytesIO()
    store.fetch(kept[0].name, file)
    assert file.read() == b"xxx"
    for one in kept:
        store.absent(one.name)


def test_what_is_not_there_is_missing_and_may_be_removed(lab: Lab) -> None:
    """Gone already is a success."""
    store = lab.backups()

    store.absent("nothing")

    assert store.content("nothing") is None
    with pytest.raises(Missing):
        store.fetch("nothing", io.BytesIO())


def test_other_bytes_than_those_that_were_put_are_refused(lab: Lab) -> None:
    """Whoever changed them."""
    store, name = lab.backups(), "20261104T000000Z-b.jsonl.zst"
    put(store, name, b"a ledger")
    lab.spoil_backup(name)

    with pytest.raises(WrongRequest, match="damaged"):
        store.fetch(name, io.BytesIO())
    store.absent(name)


@pytest.fixture
def repository(embedded: EmbeddedLab) -> Repository:
    """The registered repository, with a prefix of its own, one restore point and one pack."""
    registered = Repository.model_validate(embedded.seeded.repository)
    keys = embedded.seeded.cloud.administrator(HOME)
    session = Session()
    session.set_credentials(keys.access_key, keys.secret)
    access = Access(session=session, region=registered.region, endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    objects = open_s3(registered.url, access)
    opened = open_repository(objects, Kms(access, registered.key.kms), create=True)
    key_id, data_key = opened.ring.current()
    key = point_key(CHAIN, "rp-1")
    head = Head(
        point="rp-1", account=CHAIN.account, region=CHAIN.region, resource=CHAIN.resource,
        created_at="2026-11-23T02:00:00.000Z", finished_at="2026-11-23T02:10:00.000Z", kind="full", parent=None,
        consistency="crash", writer="i-worker", fence=1, volumes=(), install="test", session="s-1",
    )  # fmt: skip
    objects.put(key, encode_head(head, place=key, key_id=key_id, data_key=data_key))
    objects.put("packs/aa/bb", b"blocks")
    objects.put("map/a/b/c/d", b"places")
    return registered


def identities(embedded: EmbeddedLab) -> Identities:
    """Return the control plane's identities."""
    external_ids = embedded.seeded.external_ids
    return Identities(install="test", region="eu-west-1", external_id=external_ids.get)


def test_the_reading_role_reads_heads_and_no_block(embedded: EmbeddedLab, repository: Repository) -> None:
    """With its documented rights, in the control plane's hands."""
    own = identities(embedded)
    shelf = open_shelf(own, repository)

    places = list(shelf.places())
    (found,) = shelf.read([one for one in places if isinstance(one, Place)])

    assert isinstance(found, Found)
    assert (found.point.id, found.point.session, found.install) == ("rp-1", "s-1", "test")
    access = Access(
        session=own.session(repository.reader),
        region=repository.region,
        endpoint_url=os.environ["AWS_ENDPOINT_URL"],
    )
    objects: Objects = open_s3(repository.url, access)
    for key in ("packs/aa/bb", "map/a/b/c/d"):
        with pytest.raises(Refused):
            objects.get(key)
    with pytest.raises(Refused):
        objects.put("rp/new", b"?")


def test_the_control_plane_itself_reads_no_repository(embedded: EmbeddedLab, repository: Repository) -> None:
    """Without the role it is refused, with the remedy; so is a place where there is nothing."""
    own = identities(embedded)
    nowhere = repository.model_copy(update={"url": repository.url + "/elsewhere"})

    with pytest.raises(AccessDenied, match="repository main") as caught:
        open_shelf(own, repository.model_copy(update={"reader": None}))
    with pytest.raises((Missing, AccessDenied), match="repository main"):
        open_shelf(own, nowhere)

    assert caught.value.remedy
