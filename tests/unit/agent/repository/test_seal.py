"""Sealed objects open in their own place, with their own bytes and key, and nowhere else."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from agent.repository.errors import Damaged, Unusable
from agent.repository.seal import pack_document, seal, unpack_document, unseal

KEY_ID, DATA_KEY = b"\x01\x02\x03\x04", bytes(range(32))


def find_key(key_id: bytes) -> bytes:
    """Know one key."""
    if key_id != KEY_ID:
        raise Unusable("no such key")
    return DATA_KEY


def sealed(plain: bytes, place: str = "rp/one") -> bytes:
    """Seal under the one key."""
    return seal(plain, place=place, key_id=KEY_ID, data_key=DATA_KEY)


@given(st.binary(max_size=2000), st.text(max_size=60))
def test_what_is_sealed_opens_in_its_place(plain: bytes, place: str) -> None:
    """Any bytes come back from any place."""
    assert unseal(sealed(plain, place), place=place, find_key=find_key) == plain


def test_sealing_twice_gives_other_bytes() -> None:
    """Equal content cannot be told from outside."""
    assert sealed(b"equal") != sealed(b"equal")


def test_an_object_in_another_place_does_not_open() -> None:
    """Objects cannot be swapped or moved."""
    with pytest.raises(Damaged, match=r"rp/two is damaged"):
        unseal(sealed(b"plain", "rp/one"), place="rp/two", find_key=find_key)


@given(st.data())
def test_no_flipped_bit_goes_unseen(data: st.DataObject) -> None:
    """Whichever bit changes, the object does not open."""
    content = bytearray(sealed(b"some content"))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))

    with pytest.raises((Damaged, Unusable)):
        unseal(content, place="rp/one", find_key=find_key)


@given(st.integers(0, 80))
def test_a_cut_object_does_not_open(length: int) -> None:
    """Nor does one that lost its end."""
    whole = sealed(b"c" * 60)

    with pytest.raises(Damaged):
        unseal(whole[: min(length, len(whole) - 1)], place="rp/one", find_key=find_key)


def test_documents_come_back() -> None:
    """Compressed msgpack keeps numbers, bytes, text, lists and None."""
    document = {"rows": 3, "ids": b"\x00\xff", "name": "vol-1", "parts": [1, None, {"a": 2**40}]}

    assert unpack_document(pack_document(document), place="here") == document


@pytest.mark.parametrize("plain", [b"", b"not compressed", pack_document({"a": 1})[:-2]])
def test_what_is_no_document_is_damaged(plain: bytes) -> None:
    """Garbage inside a seal is named as damage, with its place."""
    with pytest.raises(Damaged, match="here is damaged"):
        unpack_document(plain, place="here")
