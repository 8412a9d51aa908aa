"""The promises of `orchestrator.ports.Orders` and `orchestrator.ports.Reports`."""

from __future__ import annotations

import itertools

import pytest
from support.labs import Lab

from agent.protocol import Order, Report, order_key, stop_key
from orchestrator.ports import ReceivedReport

_numbers = itertools.count(1)
USER = "AROAEXAMPLE:i-0123456789abcdef0"


@pytest.fixture
def session() -> str:
    """A session of its own for each test."""
    return f"s-contract-orders-{next(_numbers)}"


def order(session: str, fence: int = 1) -> Order:
    """Return an order."""
    return Order(
        session=session, attempt=1, fence=fence, job_name="ec2-backup", deadline="2026-11-24T02:00:00.000Z", job={}
    )


def report(session: str) -> Report:
    """Return a report."""
    return Report(
        kind="ready", session=session, instance_id="i-0123456789abcdef0", user_id=USER, sequence=1,
        sent_at="2026-11-23T02:00:00.000Z",
    )  # fmt: skip


def test_orders_and_stops_are_listed_and_removed(lab: Lab, session: str) -> None:
    """Writing twice is one object; removing twice is a success."""
    orders = lab.cloud.orders()

    orders.give(USER, order(session))
    orders.give(USER, order(session))
    orders.stop(session, USER)

    assert sorted(orders.keys(session)) == sorted([order_key(session, USER), stop_key(session, USER)])
    orders.absent(session, USER)
    orders.absent(session, USER)
    assert orders.keys(session) == []


def test_a_single_key_is_removed(lab: Lab, session: str) -> None:
    """The other one stays; gone already is a success."""
    orders = lab.cloud.orders()
    orders.give(USER, order(session))
    orders.stop(session, USER)

    orders.absent_key(stop_key(session, USER))
    orders.absent_key(stop_key(session, USER))

    assert orders.keys(session) == [order_key(session, USER)]
    orders.absent(session, USER)


def test_sessions_do_not_see_each_others_orders(lab: Lab, session: str) -> None:
    """Also when one's id begins like another's."""
    orders = lab.cloud.orders()
    orders.give(USER, order(f"{session}0"))

    assert orders.keys(session) == []
    orders.absent(f"{session}0", USER)


def test_no_result_is_none(lab: Lab, session: str) -> None:
    """Nothing has been written yet."""
    assert lab.cloud.orders().result(session, USER) is None


def test_a_report_comes_with_its_sender_until_it_is_acknowledged(lab: Lab, session: str) -> None:
    """The sender is the queue's word; what is no report is dropped."""
    lab.trash()
    sender = lab.send(report(session))
    lab.trash()
    reports, found = lab.reports(), list[ReceivedReport]()

    def arrived() -> bool:
        found.extend(one for one in reports.receive(0) if one.report.session == session)
        return bool(found)

    lab.until(arrived)

    assert (found[0].report, found[0].sender_id) == (report(session), sender)
    reports.acknowledge([found[0].handle])
    assert not [one for one in reports.receive(0) if one.report.session == session]
    reports.acknowledge([])
