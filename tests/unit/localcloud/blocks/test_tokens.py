"""Block and page tokens: for whom and for how long they are good."""

from __future__ import annotations

import re

import pytest
from support.seconds import Seconds

from localcloud.blocks.tokens import BLOCK_TOKEN_LIFE, PAGE_TOKEN_LIFE, BadToken, BlockTokens

#: What the API's model says of tokens.
SHAPE = re.compile(r"[A-Za-z0-9+/=]{1,256}")


@pytest.fixture
def time() -> Seconds:
    """A clock that stands still."""
    return Seconds()


@pytest.fixture
def tokens(time: Seconds) -> BlockTokens:
    """Tokens of one cloud."""
    return BlockTokens(time)


def test_a_block_token_is_good_for_its_block_for_seven_days(tokens: BlockTokens, time: Seconds) -> None:
    """To the second it was told."""
    expires, (token, other) = tokens.for_blocks("snap-1", [5, 6])
    assert expires == time.now + BLOCK_TOKEN_LIFE
    assert SHAPE.fullmatch(token)
    assert token != other

    time.now = expires
    tokens.check_block(token, "snap-1", 5)

    time.now = expires + 1
    with pytest.raises(BadToken):
        tokens.check_block(token, "snap-1", 5)


@pytest.mark.parametrize(("snapshot", "index"), [("snap-1", 6), ("snap-2", 5)])
def test_a_block_token_is_good_for_nothing_else(tokens: BlockTokens, snapshot: str, index: int) -> None:
    """Not for another block, not for another snapshot."""
    _, (token,) = tokens.for_blocks("snap-1", [5])

    with pytest.raises(BadToken):
        tokens.check_block(token, snapshot, index)


@pytest.mark.parametrize("token", ["", "AAAA", "no base64!", "A" * 32, "A" * 256])
def test_an_invented_token_is_refused(tokens: BlockTokens, token: str) -> None:
    """Whatever its form."""
    with pytest.raises(BadToken):
        tokens.check_block(token, "snap-1", 5)
    with pytest.raises(BadToken):
        tokens.start_of_page(token, "snap-1")


def test_a_token_with_a_later_expiry_is_refused(tokens: BlockTokens) -> None:
    """The expiry is part of what is signed."""
    _, (token,) = tokens.for_blocks("snap-1", [5])

    with pytest.raises(BadToken):
        tokens.check_block("B" + token[1:], "snap-1", 5)


def test_a_token_of_another_cloud_is_refused(tokens: BlockTokens, time: Seconds) -> None:
    """Each cloud signs with a key of its own."""
    _, (token,) = BlockTokens(time).for_blocks("snap-1", [5])

    with pytest.raises(BadToken):
        tokens.check_block(token, "snap-1", 5)


def test_a_page_token_goes_on_where_its_listing_stopped_for_an_hour(tokens: BlockTokens, time: Seconds) -> None:
    """And in that listing alone."""
    token = tokens.for_page("snap-1", 70_000)
    assert SHAPE.fullmatch(token)

    time.now += PAGE_TOKEN_LIFE
    assert tokens.start_of_page(token, "snap-1") == 70_000

    with pytest.raises(BadToken):
        tokens.start_of_page(token, "snap-2")
    time.now += 1
    with pytest.raises(BadToken):
        tokens.start_of_page(token, "snap-1")


def test_a_page_token_is_no_block_token(tokens: BlockTokens) -> None:
    """One kind cannot stand for the other."""
    _, (block,) = tokens.for_blocks("snap-1", [5])

    with pytest.raises(BadToken):
        tokens.start_of_page(block, "snap-1")
    with pytest.raises(BadToken):
        tokens.check_block(tokens.for_page("snap-1", 5), "snap-1", 5)
