"""Policies at the keyboard: applied, shown, run, switched, with every mistake told; and the pause."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.desk import REGION, B, Desk

import console.cli.start
from orchestrator.ledger import pausing, registry, schedules, sessions
from orchestrator.model.account import Registry
from orchestrator.model.status import SessionStatus

#: As the contract's own example has it, word by word.
NIGHTLY = """
name: nightly
operation: ec2-backup
select: [{account: production-a, region: eu-west-1, tags: {backup: daily}}]
schedule: {cron: "0 2 * * *", timezone: Europe/Berlin, missed: run-once, overlap: skip}
retention: {keep: {last: 7, daily: 14, weekly: 8, monthly: 12}}
retry: {attempts: 2, delay: 60}
then: [ec2-retention, {operation: ec2-health-check, on: "sunday"}]
notify: [{url: {env: OPS_WEBHOOK}, on: [warning, failed]}]
"""

BY_HAND = """
name: by-hand
operation: ec2-backup
resources: [{account: production-a, region: eu-west-1, id: i-0a1b2c3d4e5f60718}]
"""


def written(directory: Path, *texts: str) -> Path:
    """Write documents into a file."""
    path = directory / "policies.yml"
    path.write_text("\n---\n".join(texts))
    return path


@pytest.fixture
def applied(desk: Desk, tmp_path: Path) -> Desk:
    """A desk with two policies."""
    assert desk.say("policy", "apply", "-f", written(tmp_path, NIGHTLY, BY_HAND)).code == 0
    return desk


def test_the_contracts_policy_is_taken_and_what_is_only_kept_is_said(desk: Desk, tmp_path: Path) -> None:
    """Every part of it; nobody is left to believe that somebody will be told."""
    path = written(tmp_path, NIGHTLY)

    said = desk.say("policy", "apply", "-f", path)

    assert said.code == 0
    assert "nightly: stored, not yet carried out: notify" in said.err
    with desk.ledger.read() as tx:
        entry = schedules.get(tx, "nightly")
    assert entry.document["then"] == [
        {"operation": "ec2-retention"},
        {"operation": "ec2-health-check", "on": ["sunday"]},
    ]
    assert entry.document["notify"] == [{"url": {"env": "OPS_WEBHOOK"}, "on": ["warning", "failed"]}]
    assert entry.applied_by


def test_the_guides_policy_is_taken(desk: Desk, tmp_path: Path) -> None:
    """What the operations guide shows can be copied from it."""
    guide = (Path(__file__).parents[4] / "docs" / "operations-guide.md").read_text()
    shown = guide.partition("## Policies")[2].partition("```yaml\n")[2].partition("```")[0]
    desk.register({"accounts": [{"id": B, "name": "production-b", "regions": [REGION]}]})

    said = desk.say("policy", "apply", "-f", written(tmp_path, shown), "-o", "json")

    assert said.code == 0
    assert said.document()["policies"][0]["notYetCarriedOut"] == ["notify"]


def test_applying_says_what_changed_and_keeps_every_version(applied: Desk, tmp_path: Path) -> None:
    """The same document again is no version; a changed one is, and its schedule goes on if that is the same."""
    path = written(tmp_path, NIGHTLY.replace("attempts: 2", "attempts: 3"), BY_HAND)

    document = applied.say("policy", "apply", "-f", path, "-o", "json").document()

    assert [(one["name"], one["change"], one["version"]) for one in document["policies"]] == [
        ("nightly", "changed", 2),
        ("by-hand", "unchanged", 1),
    ]
    assert document["policies"][0]["nextRun"][11:16] in ("00:00", "01:00")
    record = applied.say("policy", "show", "nightly", "-o", "json").document()
    assert [one["version"] for one in record["versions"]] == [2, 1]
    assert record["document"]["retry"]["attempts"] == 3


def test_a_dry_run_changes_nothing(desk: Desk, tmp_path: Path) -> None:
    """And says what it would have changed."""
    said = desk.say("policy", "apply", "-f", written(tmp_path, NIGHTLY), "--dry-run")

    assert (said.code, "added" in said.out, "Nothing was changed" in said.err) == (0, True, True)
    with desk.ledger.read() as tx:
        assert schedules.everyone(tx) == []


def changed(**values: Any) -> str:
    """Return the contract's policy with some of its fields changed."""
    document = copy.deepcopy(yaml.safe_load(NIGHTLY.replace(" on:", " 'on':")))
    for path, value in values.items():
        *way, last = path.split("__")
        place = document
        for one in way:
            place = place[one]
        place[last] = value
    return str(yaml.safe_dump(document))


#: what is changed, which fields are named, a word of the reason or remedy
UNREADABLE: list[tuple[dict[str, Any], set[str], str]] = [
    ({"colour": "red"}, {"colour"}, "Known fields"),
    ({"schedule__cron": "0 25 * * *"}, {"schedule.cron"}, "is no schedule"),
    ({"schedule__cron": "0 2 * *"}, {"schedule.cron"}, "five fields"),
    ({"schedule__cron": "0 0 31 2 *"}, {"schedule.cron"}, "is no schedule"),
    ({"schedule__timezone": "Mars/Olympus"}, {"schedule.timezone"}, "Europe/Berlin"),
    ({"schedule__missed": "maybe"}, {"schedule.missed"}, "run-once"),
    ({"schedule__overlap": "kill"}, {"schedule.overlap"}, "queue"),
    ({"schedule__jitter": 7200}, {"schedule.jitter"}, "3600"),
    ({"schedule__windows": [{"from": "22:00", "to": "6:00"}]}, {"schedule.windows[0].to"}, "pattern"),
    ({"retention": {"keep": {}}}, {"retention.keep"}, "say what to keep"),
    ({"retention": {"keep": {"last": 0}}}, {"retention.keep.last"}, "at least"),
    ({"then": ["ec2-backup"]}, {"then[0].operation"}, "ec2-retention"),
    ({"then": [{"operation": "ec2-retention", "on": "someday"}]}, {"then[0].on[0]"}, "sunday"),
    ({"notify": [{"url": "https://hooks.example/canary"}]}, {"notify[0].url"}, "mapping"),
    ({"notify": [{"url": {"env": "X"}, "on": ["running"]}]}, {"notify[0].on"}, "no session ends running"),
    ({"priority": "high"}, {"priority"}, "whole number"),
    ({"name": "with space"}, {"name"}, "pattern"),
    ({"select": []}, {""}, "at least one resource"),
    (
        {"schedule__cron": "x", "retry__attempts": 0, "name": "", "then": ["x"]},
        {"schedule.cron", "retry.attempts", "name", "then[0].operation"},
        "five fields",
    ),
]


@pytest.mark.parametrize(("values", "fields", "word"), UNREADABLE)
def test_what_cannot_be_read_is_told_by_field_all_at_once(
    desk: Desk, tmp_path: Path, values: dict[str, Any], fields: set[str], word: str
) -> None:
    """Exit code 2, each with its reason and what to do, and nothing is stored."""
    said = desk.say("policy", "apply", "-f", written(tmp_path, changed(**values)), "-o", "json")

    assert said.code == 2
    problems = said.document()["error"]["problems"]
    assert {one["field"] or "" for one in problems} == fields
    assert any(word in f"{one['reason']} {one['remedy']}" for one in problems)
    assert all(one["remedy"] for one in problems)
    with desk.ledger.read() as tx:
        assert schedules.everyone(tx) == []


def test_mistakes_of_several_documents_are_told_together(desk: Desk, tmp_path: Path) -> None:
    """Each with its policy's name in front, or its number where it has none; two of one name are one mistake more."""
    path = written(tmp_path, changed(colour="red"), BY_HAND, BY_HAND, "operation: ec2-backup\nselect: []")

    said = desk.say("policy", "apply", "-f", path, "-o", "json")

    assert said.code == 2
    fields = {one["field"] for one in said.document()["error"]["problems"]}
    assert fields == {"nightly.colour", "document 4.name", "by-hand.name"}
    with desk.ledger.read() as tx:
        assert schedules.everyone(tx) == []


def test_what_would_not_run_is_refused_when_it_is_applied(desk: Desk, tmp_path: Path) -> None:
    """By the registry and the catalogue, all of a file or none."""
    wrong = changed(
        name="wrong",
        mode="production",
        options={"colour": "red"},
        repository="nowhere",
        select=[{"account": "nobody", "region": REGION, "tags": {"a": "b"}}],
    )

    said = desk.say("policy", "apply", "-f", written(tmp_path, BY_HAND, wrong), "-o", "json")

    assert said.code == 8
    fields = {one["field"] for one in said.document()["error"]["problems"]}
    assert fields == {"wrong.options.colour", "wrong.repository", "wrong.select[0].account"}
    with desk.ledger.read() as tx:
        assert schedules.everyone(tx) == []


def test_a_file_without_a_policy_is_told(desk: Desk, tmp_path: Path) -> None:
    """Nothing to apply is a mistake, not a success."""
    said = desk.say("policy", "apply", "-f", written(tmp_path, "# nothing yet"))

    assert said.code == 2
    assert "there is no policy in it" in said.err


def test_the_list_shows_how_policies_go(applied: Desk) -> None:
    """What runs, what ran last, what there was to tell."""
    session = applied.say("policy", "run", "by-hand").out.strip()
    with applied.ledger.write() as tx:
        entry = schedules.get(tx, "nightly")
        schedules.follow(
            tx, "nightly", seen=entry.seen_at, owed=[entry.seen_at], next_at=entry.next_at, note="3 ticks missed"
        )

    said, document = applied.say("policy", "list"), applied.say("policy", "list", "-o", "json").document()

    by_hand, nightly = document["policies"]
    assert (by_hand["running"], by_hand["lastSession"]["id"]) == (session, session)
    assert (by_hand["schedule"], by_hand["nextRun"]) == (None, None)
    assert nightly["schedule"]["cron"] == "0 2 * * *"
    assert (nightly["note"], len(nightly["owed"])) == ("3 ticks missed", 1)
    assert nightly["notYetCarriedOut"] == ["notify"]
    for word in ("by hand only", "0 2 * * * Europe/Berlin", "3 ticks missed", session):
        assert word in said.out


def test_an_empty_list_says_how_to_begin(desk: Desk) -> None:
    """Two of them, in fact: no policy, no run."""
    assert "policy apply" in desk.say("policy", "list").err
    assert "Nothing runs by itself" in desk.say("policy", "next").err


def test_showing_prints_what_was_applied(applied: Desk) -> None:
    """As a document that could be applied again."""
    out = applied.say("policy", "show", "nightly").out

    document = yaml.safe_load(out.partition("\n\n")[2])
    assert document["retention"] == {"keep": {"last": 7, "daily": 14, "weekly": 8, "monthly": 12}}
    assert "not yet carried out" in out


def test_the_coming_runs_are_listed(applied: Desk) -> None:
    """Of those that are switched on; times are UTC, two hours or one before Berlin's."""
    runs = applied.say("policy", "next", "-n", "3", "-o", "json").document()["runs"]

    assert [one["policy"] for one in runs] == ["nightly"] * 3
    assert {one["at"][11:16] for one in runs} <= {"00:00", "01:00"}
    assert applied.say("policy", "next", "by-hand", "-o", "json").document()["runs"] == []
    applied.say("policy", "disable", "nightly")
    assert applied.say("policy", "next", "-o", "json").document()["runs"] == []


def test_a_run_by_hand_is_a_session_and_refused_while_one_runs(applied: Desk) -> None:
    """Exit code 8 with the running session's id; also a policy that is switched off can be run."""
    applied.say("policy", "disable", "nightly")
    first = applied.say("policy", "run", "nightly", "-o", "json").document()["sessionId"]

    again = applied.say("policy", "run", "nightly", "-o", "json")

    assert again.code == 8
    assert again.document()["error"]["problems"][0]["value"] == first
    with applied.ledger.write() as tx:
        assert sessions.get(tx, first).policy == "nightly"
        sessions.move(tx, first, SessionStatus.SUCCESS)
    assert applied.say("policy", "run", "nightly").code == 0
    assert {one.session for one in applied.driven} >= {first}
    assert len(applied.say("session", "list", "--policy", "nightly", "-o", "json").document()["sessions"]) == 2
    assert applied.say("session", "list", "--policy", "by-hand", "-o", "json").document()["sessions"] == []


def test_a_run_that_the_registry_refuses_is_told(applied: Desk) -> None:
    """It was fine when it was applied."""
    with applied.ledger.write() as tx:
        known = registry.account(tx, "production-a")
        registry.apply(tx, Registry(accounts=(known.model_copy(update={"regions": ("us-east-1",)}),)))

    said = applied.say("policy", "run", "nightly")

    assert said.code == 8
    assert "select[0].region" in said.err


def test_policies_are_switched_off_and_on_and_deleted(applied: Desk) -> None:
    """Each may be said twice, and says so."""
    switched = [applied.say("policy", verb, "nightly", "-o", "json").document() for verb in ("disable", "disable")]
    shown = applied.say("policy", "list").out
    switched += [applied.say("policy", verb, "nightly", "-o", "json").document() for verb in ("enable", "enable")]

    assert [(one["state"], one["changed"]) for one in switched] == [
        ("disabled", True),
        ("disabled", False),
        ("enabled", True),
        ("enabled", False),
    ]
    assert "disabled" in shown
    assert applied.say("policy", "delete", "nightly").code == 0
    assert applied.say("policy", "show", "nightly").code == 7


@pytest.mark.parametrize("verb", ["show", "run", "enable", "disable", "delete", "next"])
def test_a_policy_that_does_not_exist_is_not_found(desk: Desk, verb: str) -> None:
    """Exit code 7, with where to look."""
    said = desk.say("policy", verb, "nightly")

    assert said.code == 7
    assert "daywork policy list" in said.err


def test_a_pause_says_who_and_why_and_keeps_both(applied: Desk) -> None:
    """Everybody sees it: who pauses again, who lists policies, who starts a session."""
    waiting = applied.session("i-0a1b2c3d4e5f60718")
    first = applied.say("pause", "--reason", "upgrade to 2.0", "-o", "json").document()
    again = applied.say("pause", "--reason", "another", "-o", "json").document()

    started = applied.say("policy", "run", "by-hand")

    assert (first["changed"], again["changed"]) == (True, False)
    assert (first["reason"], again["reason"]) == ("upgrade to 2.0", "upgrade to 2.0")
    assert (first["waiting"], first["running"], bool(first["by"])) == (1, 0, True)
    assert started.code == 0
    for said in (started, applied.say("policy", "list"), applied.say("policy", "next"), applied.say("pause")):
        assert "upgrade to 2.0" in said.err
    assert "upgrade to 2.0" in applied.say("session", "show", waiting).out


def test_a_resume_lets_sessions_start_again(applied: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """And may be said twice."""
    monkeypatch.setattr("console.cli.pause.Publisher", console.cli.start.Publisher)
    applied.say("pause")

    first = applied.say("resume", "-o", "json").document()
    again = applied.say("resume")

    assert (first["changed"], first["published"]) == (True, True)
    assert "was not paused" in again.err
    with applied.ledger.read() as tx:
        assert pausing.paused(tx) is None
