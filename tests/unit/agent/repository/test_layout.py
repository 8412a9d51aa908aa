"""Keys are made of safe parts only, and sort as they should."""

from __future__ import annotations

import pytest

from agent.repository.errors import RepositoryError
from agent.repository.layout import Chain, lease_key, pack_key, point_key, time_id
from agent.repository.s3 import parse_url


@pytest.mark.parametrize("resource", ["", "a/b", "..", ".hidden", "a b", "ä", "x" * 300, "a\n"])
def test_ids_that_would_leave_their_folder_are_refused(resource: str) -> None:
    """An id from an order never becomes a path of its own."""
    with pytest.raises(RepositoryError, match="resource"):
        Chain(account="222222222222", region="eu-west-1", resource=resource)


def test_a_restore_points_id_is_checked_too() -> None:
    """As the ids of resources are."""
    chain = Chain(account="222222222222", region="eu-west-1", resource="i-1")

    assert point_key(chain, "rp-1") == "rp/222222222222/eu-west-1/i-1/rp-1"
    with pytest.raises(RepositoryError, match="restore point"):
        point_key(chain, "../rp-1")


def test_time_ids_sort_by_time_and_differ() -> None:
    """Later is greater; the same moment gives two names."""
    moments = [time_id(lambda: 1_800_000_000.0), time_id(lambda: 1_800_000_000.001), time_id(lambda: 2_000_000_000.0)]

    assert sorted(moments) == moments
    assert time_id(lambda: 1.0) != time_id(lambda: 1.0)
    assert {len(one) for one in moments} == {32}


def test_leases_sort_by_number_and_packs_spread() -> None:
    """Keys order as numbers do; a pack's folder is its first random byte."""
    chain = Chain(account="222222222222", region="eu-west-1", resource="i-1")

    assert lease_key(chain, 9) < lease_key(chain, 10)
    assert pack_key(b"\x01\x02\x03\x04" + b"\xab" * 16).startswith("packs/ab/01020304ab")


def test_a_repositorys_url_is_bucket_and_prefix() -> None:
    """Slashes around the prefix do not matter; anything else is refused with its value."""
    assert parse_url("s3://bucket/some/prefix/") == ("bucket", "some/prefix")
    assert parse_url("s3://bucket") == ("bucket", "")
    for wrong in ("http://bucket/x", "s3:///x", "bucket", "s3://bucket/x?y=1"):
        with pytest.raises(RepositoryError, match="is not s3://bucket/prefix"):
            parse_url(wrong)
