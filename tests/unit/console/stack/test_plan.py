"""What one run of a stack is given."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.stack.layout import Layout
from console.stack.plan import LedgerKind, Plan, Ports, PortTaken, ledger_of, make_plan


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """An empty state directory."""
    return Layout(tmp_path)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield int(server.getsockname()[1])


def plan(layout: Layout, ports: Ports | None = None, ledger: LedgerKind | None = None) -> Plan:
    """Make a plan with what does not matter here."""
    return make_plan(
        layout,
        ports or Ports(flower=0),
        ledger=ledger,
        concurrency=2,
        worker_boot=0.5,
        worker_shutdown=0.5,
        profile_delay=0,
    )


def write(layout: Layout, broker: int, cloud: int) -> None:
    """Leave the settings of an earlier run."""
    layout.settings.write_text(
        f'broker_url = "redis://:earlier@127.0.0.1:{broker}/0"\nreport_queue = "http://127.0.0.1:{cloud}/1/q"\n'
    )


def test_ports_are_free_ones_and_all_different(layout: Layout) -> None:
    """Nothing is asked for, nothing was there before."""
    made = plan(layout)

    assert len({made.broker_port, made.cloud_port, made.flower_port}) == 3
    assert len(made.broker_password) >= 24


def test_the_last_runs_ports_and_password_are_kept(layout: Layout) -> None:
    """A shell that was set up with them stays right."""
    first = plan(layout)
    write(layout, first.broker_port, first.cloud_port)

    made = plan(layout)

    assert (made.broker_port, made.cloud_port) == (first.broker_port, first.cloud_port)
    assert made.broker_password == "earlier"


def test_a_port_that_somebody_else_took_is_given_up(layout: Layout, taken: int) -> None:
    """A kept port is a wish, not a condition."""
    write(layout, taken, taken)

    made = plan(layout)

    assert taken not in (made.broker_port, made.cloud_port)


def test_a_port_that_was_asked_for_and_is_taken_is_refused(layout: Layout, taken: int) -> None:
    """Whoever names a port means it."""
    with pytest.raises(PortTaken, match=str(taken)):
        plan(layout, Ports(cloud=taken))


def test_the_password_is_in_no_address_and_no_representation(layout: Layout) -> None:
    """It stands in the settings file and in the broker's configuration, which only the owner can read."""
    made = plan(layout)
    layout.root.mkdir(exist_ok=True)

    made.write_valkey(layout)

    assert made.broker_password not in repr(made)
    assert made.broker_password not in str(made.addresses)
    assert made.broker_password in layout.valkey_config.read_text()
    assert layout.valkey_config.stat().st_mode & 0o777 == 0o600


def test_a_plan_travels_as_json(layout: Layout) -> None:
    """To the supervisor and to the preparation, through a pipe."""
    made = plan(layout)

    assert Plan.from_json(made.to_json()) == made


@pytest.mark.parametrize("kind", [None, *LedgerKind])
def test_a_plan_with_any_ledger_travels_as_json(layout: Layout, kind: LedgerKind | None) -> None:
    """What is empty is the file, what is missing is left as the settings have it."""
    made = plan(layout, ledger=kind)

    assert Plan.from_json(made.to_json()) == made
    assert (made.ledger_url is None) is (kind is None)
    assert bool(made.ledger_url) is (kind is LedgerKind.POSTGRES)


def test_a_stack_goes_on_with_its_own_postgresql_until_told_otherwise(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same password, and the same port if it is free; another database in the settings is not ours to run."""
    monkeypatch.delenv("DAYWORK_DATABASE_URL", raising=False)
    first = plan(layout, ledger=LedgerKind.POSTGRES)
    first.write_postgres(layout)
    layout.settings.write_text(f'database_url = "{first.ledger_url}"\n')

    again = plan(layout)

    assert again.ledger is LedgerKind.POSTGRES
    assert again.ledger_url == first.ledger_url
    assert plan(layout, ledger=LedgerKind.SQLITE).ledger_url == ""
    monkeypatch.setenv("DAYWORK_DATABASE_URL", "sqlite:///elsewhere")
    assert ledger_of(layout) is None
    monkeypatch.delenv("DAYWORK_DATABASE_URL")
    layout.settings.write_text('database_url = "postgresql+psycopg://us:ours@db.example/daywork"\n')
    assert plan(layout).ledger is None


def test_the_ledgers_password_is_in_no_address_and_no_representation(layout: Layout) -> None:
    """It stands in two files that only the owner can read."""
    made = plan(layout, ledger=LedgerKind.POSTGRES)

    made.write_postgres(layout)

    assert len(made.ledger_password) >= 24
    assert made.ledger_password not in repr(made)
    assert made.ledger_password not in str(made.addresses)
    assert layout.postgres_password.read_text() == made.ledger_password
    assert layout.postgres_password.stat().st_mode & 0o777 == 0o600
