"""`daywork plan` on the command line: what it takes, and how it ends. What it finds is tested beside `preflight`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.clock import FakeClock
from support.desk import HOME, REGION, A, Desk
from support.fakes.cloud import FakeCloud
from support.fakes.limiter import MemoryLimiter
from support.fakes.world import World
from support.networks import network, subnet

from console.cli.plan import _COLOURS
from console.stack.context import Context
from orchestrator.preflight import Severity
from orchestrator.services import Install, Services


@pytest.fixture
def world(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> World:
    """A fake cloud behind the command: the desk's roles, and a network in which workers can stand."""
    made = World(FakeClock())
    for account, name in ((A, "backup"), (A, "data"), (HOME, "Deployment")):
        made.add_role(account, name)
    given = network(subnet("subnet-0a"))
    made.networks[HOME, REGION] = replace(given, groups=(replace(given.groups[0], id="sg-0a"),))
    made.subnets["subnet-0a"] = f"{REGION}a"
    install = Install(
        id="test", control_bucket="b", control_region=REGION, report_queue="q", home_account=HOME, worker_image="ami-1"
    )
    nobody: Any = None
    services = Services(
        ledger=desk.ledger,
        cloud=FakeCloud(made, install, lambda _: None),
        dispatch=nobody,
        limiter=MemoryLimiter(made.clock),
        clock=desk.ledger.clock,
        install=install,
    )
    monkeypatch.setattr(Context, "services", lambda _: services)
    return made


def flags(*resources: str) -> list[str]:
    """Return the flags of a backup of these instances."""
    return [
        "--operation", "ec2-backup",
        *[part for one in resources for part in ("--resource", f"production-a/{REGION}/{one}")],
    ]  # fmt: skip


def test_a_plan_is_shown_as_tables(desk: Desk, world: World) -> None:
    """Request, resources, places; exit code 0, and nothing was published or entered."""
    instance = world.add_instance(A, REGION, 8).id

    said = desk.say("plan", *flags(instance))

    assert (said.code, said.err) == (0, "")
    assert "one under /daywork/test/ in account 111111111111" in said.out
    assert f"{A}/{REGION}/{instance}  ok" in said.out
    assert "c5.large, c5a.large, m5.large" in said.out
    assert f"{HOME}  {REGION}" in said.out
    assert "FINDING" not in said.out
    assert desk.driven == []
    assert desk.say("session", "list", "--output", "json").document()["sessions"] == []


def test_what_is_refused_ends_with_8_and_names_its_resources_once(desk: Desk, world: World) -> None:
    """One finding, all of its resources, the remedy."""
    missing = [f"i-{number:017x}" for number in range(7)]
    world.offers = dict.fromkeys(("c5.large", "c5a.large", "m5.large"), ())
    there = [world.add_instance(A, REGION, 8).id for _ in range(7)]

    said = desk.say("plan", *flags(*missing[:1], *there))

    assert said.code == 8
    assert said.out.count("none of c5.large, c5a.large, m5.large is offered") == 1
    assert "and 2 more" in said.out
    assert "Check the id, account and Region" in said.out


def test_what_is_left_out_on_purpose_is_shown_and_refuses_nothing(desk: Desk, world: World, tmp_path: Path) -> None:
    """Excluded by the request itself: skipped, with the reason; exit code 0."""
    taken, left = (world.add_instance(A, REGION, 8, tags={"tier": tier}).id for tier in ("gold", "scratch"))
    file = tmp_path / "request.yml"
    resources = ", ".join(f"{{account: production-a, region: {REGION}, id: {one}}}" for one in (taken, left))
    file.write_text(
        f"source: me\nid: '1'\noperation: ec2-backup\n"
        f"resources: [{resources}]\nexclude: [{{tags: {{tier: scratch}}}}]\n"
    )

    said = desk.say("plan", "-f", file)

    assert said.code == 0
    assert f"{A}/{REGION}/{taken}  ok" in said.out
    assert f"{A}/{REGION}/{left}  skipped" in said.out
    assert list(_COLOURS) == [str(one) for one in Severity]


def test_the_document_is_the_same_from_a_file(desk: Desk, world: World, tmp_path: Path) -> None:
    """A request as `session start` takes it."""
    instance = world.add_instance(A, REGION, 8).id
    file = tmp_path / "request.yml"
    file.write_text(
        f"source: me\nid: '1'\noperation: ec2-backup\n"
        f"resources: [{{account: production-a, region: {REGION}, id: {instance}}}]\n"
    )

    from_file = desk.say("plan", "-f", file, "--output", "json").document()

    assert from_file == desk.say("plan", *flags(instance), "--output", "json").document()
    assert (from_file["schemaVersion"], from_file["refused"], from_file["counts"]) == (1, False, {"ok": 1})
    assert from_file["resources"][0]["plan"]["volumes"][0]["sizeGib"] == 8


def test_mistakes_end_as_those_of_session_start_do(desk: Desk, world: World) -> None:
    """2 for what cannot be read, 8 for what must not be carried out; AWS is not asked."""
    assert desk.say("plan").code == 2
    assert desk.say("plan", *flags("i-1"), "--option", "full=maybe").code == 2
    said = desk.say("plan", "--operation", "ec2-backup", "--resource", f"nobody/{REGION}/i-1", "--output", "json")
    assert said.code == 8
    assert said.document()["error"]["problems"][0]["field"] == "resources[0].account"
    assert world.script.calls == []


def test_an_operation_without_its_job_is_planned_and_refused(desk: Desk, world: World) -> None:
    """Said in words beside the plan."""
    point = desk.point("orders-db")

    said = desk.say("plan", "--operation", "rds-health-check", "--resource", f"backup/{REGION}/{point}")

    assert said.code == 8
    assert f"{point}  ok" in said.out
    assert "cannot carry its job out yet" in said.err
