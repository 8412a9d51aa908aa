"""Attempts at the keyboard: what automatic retry has done is there to be read."""

from __future__ import annotations

from support.desk import Desk, instances

EARLIER = {
    "attempt": 1,
    "reason": "a block could not be read",
    "instanceId": "i-0aaaaaaaaaaaaaaaa",
    "endedAt": "2026-11-25T02:03:04.000Z",
    "nextAt": "2026-11-25T02:04:04.000Z",
}


def test_a_session_that_a_retry_has_helped_shows_every_attempt(desk: Desk) -> None:
    """Also when all came to a good end: who looks for a sick machine finds it here."""
    first, second = instances(2)
    session = desk.session(first, second)
    desk.begin(session)
    desk.move(session, "success", 0, state={"earlier": [EARLIER]}, attempt=2)
    desk.move(session, "success", 1)
    desk.end(session, "success")

    shown, record = desk.say("session", "show", session).out, desk.say("session", "show", session, "-o", "json")

    assert (
        f"production-a/eu-west-1/{first}: attempt 1 failed at "
        "2026-11-25 02:03:04 on i-0aaaaaaaaaaaaaaaa: a block could not be read" in shown
    )
    assert shown.count("attempt 1") == 1
    assert [one["attempts"] for one in record.document()["resources"]] == [2, 1]
    assert record.document()["resources"][0]["earlier"] == [EARLIER]


def test_a_resource_between_two_attempts_says_when_the_next_one_begins(desk: Desk) -> None:
    """Waiting is no standstill."""
    session = desk.session(*instances(1))
    desk.begin(session)
    desk.move(session, "pending", 0, state={"earlier": [EARLIER]}, attempt=2)

    assert "next attempt at 2026-11-25 02:04:04" in desk.say("session", "show", session).out
