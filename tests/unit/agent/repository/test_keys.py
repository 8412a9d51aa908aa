"""Data keys: one is made, many can be held, and none opens in another repository."""

from __future__ import annotations

import json

import pytest
from support.repositories import FakeKeys, Watched, flip, memory_repository

from agent.repository.errors import Damaged, Unusable
from agent.repository.keys import Context, KeyRing


def test_the_first_writer_makes_a_key_and_the_next_ones_use_it() -> None:
    """One data key is enough for any number of openings."""
    objects, service = Watched(), FakeKeys()
    first = memory_repository(objects, service).ring.current()

    again = memory_repository(objects, service).ring.current()

    assert again == first
    assert service.generated == 1
    assert len(objects.keys("keys")) == 1


def test_a_key_is_unwrapped_once() -> None:
    """KMS is asked once an opening, not once an object."""
    objects, service = Watched(), FakeKeys()
    key_id, clear = memory_repository(objects, service).ring.current()
    ring = memory_repository(objects, service).ring

    found = [ring.find(key_id) for _ in range(5)]

    assert found == [clear] * 5
    assert service.unwrapped == 1


def test_no_key_lies_in_the_store_in_clear() -> None:
    """What is stored is wrapped."""
    objects = Watched()
    _, clear = memory_repository(objects).ring.current()

    stored = b"".join(bytes(objects.get(key)) for key in objects.keys("keys"))

    assert clear not in stored
    assert clear.hex().encode() not in stored


def test_another_kms_key_gets_a_data_key_of_its_own_and_the_old_one_still_opens() -> None:
    """Changing the repository's KMS key needs no migration."""
    objects, service = Watched(), FakeKeys()
    old_id, old = memory_repository(objects, service).ring.current()
    service.use("arn:aws:kms:eu-west-1:111111111111:key/two")
    ring = memory_repository(objects, service).ring

    new_id, new = ring.current()

    assert (new_id, new) != (old_id, old)
    assert ring.find(old_id) == old


def test_one_wrapping_that_opens_is_enough() -> None:
    """A data key wrapped twice survives the loss of one wrapping key."""
    objects, service = Watched(), FakeKeys("one")
    repository = memory_repository(objects, service)
    key_id, clear = repository.ring.current()
    name = objects.keys("keys")[0]
    document = json.loads(bytes(objects.get(name)))
    objects.create(f"keys/{key_id.hex()}/ffffffffffff", json.dumps({**document, "kmsKey": "lost"}).encode())

    assert memory_repository(objects, service).ring.find(key_id) == clear


def test_a_lost_wrapping_key_is_named() -> None:
    """Who lost the key is told which one."""
    objects, service = Watched(), FakeKeys("the-lost-key")
    key_id, _ = memory_repository(objects, service).ring.current()
    service.forget("the-lost-key")

    with pytest.raises(Unusable, match="the-lost-key"):
        memory_repository(objects, service).ring.find(key_id)


def test_a_wrapping_does_not_open_in_another_repository() -> None:
    """The key service binds wrappings to the repository's id."""
    service = FakeKeys()
    first, second = Watched(), Watched()
    key_id, _ = memory_repository(first, service).ring.current()
    name = first.keys("keys")[0]
    second.create(name, bytes(first.get(name)))

    with pytest.raises(Unusable):
        KeyRing(second, "another repository", service).find(key_id)


def test_an_unknown_key_says_what_is_missing() -> None:
    """An object whose key was deleted names the key's place."""
    with pytest.raises(Unusable, match="data key 01020304 is not in the repository"):
        memory_repository().ring.find(b"\x01\x02\x03\x04")


def test_a_damaged_wrapping_is_damage() -> None:
    """A key object that is no JSON is named."""
    objects, service = Watched(), FakeKeys()
    key_id, _ = memory_repository(objects, service).ring.current()
    objects.replace(objects.keys("keys")[0], flip)

    with pytest.raises(Damaged, match="keys/"):
        memory_repository(objects, service).ring.find(key_id)


def test_a_data_key_of_the_wrong_length_is_refused() -> None:
    """A key service that gives less than 256 bits is not used."""

    class Short(FakeKeys):
        def generate(self, context: Context) -> tuple[bytes, bytes]:
            assert context
            return b"short", b"wrapped"

    objects = Watched()

    with pytest.raises(Unusable, match="5 bytes instead of 32"):
        memory_repository(objects, Short()).ring.current()
    assert objects.keys("keys") == []
