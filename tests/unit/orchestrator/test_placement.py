"""Networks, images and tags of workers."""

from __future__ import annotations

import pytest
from support.install import REGION, registry

from orchestrator import placement
from orchestrator.errors import Refused
from orchestrator.retry import CLOUD, REMOVAL, UNEXPECTED

ACCOUNT = registry().accounts[0]


def test_variables_in_tags_are_filled_in() -> None:
    """All four of them."""
    tags = {"a": "%installId%/%sessionId%", "b": "%policyId%-%policyName%", "c": "plain %other%"}

    assert placement.expanded(tags, install="i", session="s", policy="p") == {
        "a": "i/s",
        "b": "p-p",
        "c": "plain %other%",
    }
    assert placement.expanded({"b": "%policyName%"}, install="i", session="s", policy=None) == {"b": ""}


def test_a_tag_that_grows_too_long_and_too_many_tags_are_refused() -> None:
    """AWS's limits, before AWS is asked."""
    with pytest.raises(Refused, match="longer than 256"):
        placement.expanded({"a": "x" * 250 + "%sessionId%"}, install="i", session="s" * 20, policy=None)
    with pytest.raises(Refused, match="more than 25"):
        placement.expanded({str(number): "" for number in range(26)}, install="i", session="s", policy=None)


def test_a_missing_network_or_image_is_refused_with_the_remedy() -> None:
    """It says which account and what to add."""
    assert placement.configuration(ACCOUNT, REGION).subnets
    with pytest.raises(Refused, match="us-east-1") as caught:
        placement.configuration(ACCOUNT, "us-east-1")
    assert ACCOUNT.id in caught.value.remedy
    with pytest.raises(Refused, match="no worker image"):
        placement.image(ACCOUNT, None)
    assert placement.image(ACCOUNT, "ami-1") == "ami-1"


@pytest.mark.parametrize("policy", [CLOUD, UNEXPECTED, REMOVAL])
def test_delays_grow_to_their_cap_with_jitter(policy: object) -> None:
    """Between a half and the whole of the capped value, however often it was tried."""
    for tries in (1, 2, 5, 40, 10_000):
        whole = min(policy.first * 2 ** min(tries - 1, 20), policy.most)  # type: ignore[attr-defined]
        assert whole / 2 <= policy.delay(tries) <= whole  # type: ignore[attr-defined]


def test_removal_is_never_over_and_mistakes_soon_are() -> None:
    """A deadline elsewhere ends a removal."""
    assert not REMOVAL.is_over(10_000)
    assert UNEXPECTED.is_over(4)
    assert not UNEXPECTED.is_over(3)
