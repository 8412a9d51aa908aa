"""Submitting: what is accepted, what is refused, with which exit code and which words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.desk import REGION, A, Desk, instances

from orchestrator.ledger import sessions
from orchestrator.model.work import SESSION, WorkKey

GOOD: dict[str, Any] = {
    "schemaVersion": 1,
    "source": "erp",
    "id": "tonight",
    "operation": "ec2-backup",
    "resources": [{"account": A, "region": REGION, "id": "i-0a1b2c3d4e5f60718"}],
}


def written(directory: Path, document: Any) -> Path:
    """Write a request as JSON, which is YAML; text is written as it is."""
    path = directory / "request.yml"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def test_flags_make_a_session_and_print_its_id_alone(desk: Desk) -> None:
    """Stdout is the id and nothing else, so that a script can keep it."""
    said = desk.say(
        "session", "start", "--operation", "ec2-backup", "--resource", "production-a/eu-west-1/i-0a",
        "--option", "full=true", "--option", "excludeVolumes=vol-0123456789abcdef0,vol-0123456789abcdef1",
    )  # fmt: skip

    assert said.code == 0
    session = said.out.strip()
    with desk.ledger.read() as tx:
        found = sessions.get(tx, session)
        (resource,) = sessions.resources(tx, session)
    assert (resource.account, resource.region, resource.resource_id) == (A, REGION, "i-0a")
    assert found.source == "daywork-cli"
    assert found.request.options == {
        "full": True,
        "excludeVolumes": ["vol-0123456789abcdef0", "vol-0123456789abcdef1"],
    }
    assert desk.driven == [WorkKey(session, SESSION)]


def test_select_reads_tags_with_commas_in_their_values(desk: Desk) -> None:
    """A comma parts two tags only when another KEY= follows."""
    said = desk.say("session", "start", "--operation", "ec2-backup", "--select", f"{A}/{REGION}/team=a,b,tier=gold/1")

    with desk.ledger.read() as tx:
        (selector,) = sessions.get(tx, said.out.strip()).request.select
    assert selector.tags == {"team": "a,b", "tier": "gold/1"}


def test_a_file_and_its_repetition_are_one_session(desk: Desk, tmp_path: Path) -> None:
    """Source and id name a request once, however often it is submitted."""
    path = written(tmp_path, GOOD)

    first = desk.say("session", "start", "-f", path, "--output", "json").document()
    second = desk.say("session", "start", "-f", path, "--output", "json").document()

    assert first == {"schemaVersion": 1, "sessionId": first["sessionId"], "created": True, "published": True}
    assert second == {**first, "created": False}


def test_the_same_id_with_another_body_is_refused_and_names_the_session(desk: Desk, tmp_path: Path) -> None:
    """A mix-up is never swallowed."""
    session = desk.say("session", "start", "-f", written(tmp_path, GOOD)).out.strip()

    said = desk.say("session", "start", "-f", written(tmp_path, {**GOOD, "options": {"full": True}}))

    assert said.code == 8
    assert session in said.err
    assert said.out == ""


def test_an_id_beside_a_file_makes_another_session_of_it(desk: Desk, tmp_path: Path) -> None:
    """One file serves many nights."""
    path = written(tmp_path, GOOD)

    made = {desk.say("session", "start", "-f", path, "--id", night).out for night in ("monday", "tuesday")}

    assert len(made) == 2


BAD: list[tuple[str, Any, int, list[str]]] = [
    ("unknown operation", {**GOOD, "operation": "ec2-bakcup"}, 8, ["operation", "ec2-bakcup", "ec2-backup"]),
    ("mode outside its row", {**GOOD, "mode": "sideways"}, 2, ["mode", "sideways"]),
    ("not this version's", {**GOOD, "operation": "rds-backup"}, 8, ["operation", "rds-backup"]),
    (
        "unregistered account",
        {**GOOD, "resources": [{"account": "999999999999", "region": REGION, "id": "i-0a"}]},
        8,
        ["resources[0].account", "999999999999", "daywork account apply"],
    ),
    (
        "Region of nobody",
        {**GOOD, "resources": [{"account": A, "region": "us-east-1", "id": "i-0a"}]},
        8,
        ["resources[0].region", "us-east-1", REGION],
    ),
    ("unknown field", {**GOOD, "resorces": []}, 2, ["resorces", "unknown field", "resources"]),
    ("wrong type", {**GOOD, "resources": "i-0a"}, 2, ["resources", "i-0a"]),
    (
        "a number where text is meant",
        f"source: s\nid: t\noperation: ec2-backup\nresources: [{{account: {A}, region: {REGION}, id: i-0a}}]\n",
        2,
        ["resources[0].account", "must be text", f'"{A}"'],
    ),
    ("duplicate resource", {**GOOD, "resources": GOOD["resources"] * 2}, 2, ["named twice"]),
    ("unknown option", {**GOOD, "options": {"fll": True}}, 2, ["options.fll", "unknown field", "full"]),
    (
        "option of a wrong form",
        {**GOOD, "options": {"excludeVolumes": ["sda"]}},
        2,
        ["options.excludeVolumes[0]", "sda"],
    ),
    ("foreign role", {**GOOD, "roles": {"operation": "arn:aws:iam::999999999999:role/x"}}, 8, ["roles.operation"]),
    ("unknown repository", {**GOOD, "repository": "attic"}, 8, ["repository", "attic"]),
    (
        "unknown restore point",
        {**GOOD, "operation": "ec2-restore-volume", "resources": [{"account": A, "region": REGION, "id": "rp-x"}]},
        8,
        ["resources[0].id", "rp-x", "daywork restore-point list"],
    ),
    (
        "nothing selected",
        {name: value for name, value in GOOD.items() if name != "resources"},
        2,
        ["resources or select"],
    ),
    ("not an object", "[1, 2]", 2, ["must be a JSON object"]),
    ("no document", "", 2, ["must be a JSON object"]),
    ("no YAML", "a: [1", 2, ["--file", "line 1"]),
    ("a key twice", "id: a\nid: b\n", 2, ["--file", "'id' stands twice"]),
]


@pytest.mark.parametrize(("document", "code", "words"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_a_bad_request_is_refused_with_field_value_and_remedy(
    desk: Desk, tmp_path: Path, document: Any, code: int, words: list[str]
) -> None:
    """2 for what cannot be read, 8 for what must not be done; no session comes of it."""
    path = written(tmp_path, document)

    said = desk.say("session", "start", "-f", path, "--output", "json")

    assert said.code == code
    for word in words:
        assert word in said.err
    error = said.document()["error"]
    assert error["exitCode"] == code
    assert error["problems"]
    assert all(problem["reason"] for problem in error["problems"])
    with desk.ledger.read() as tx:
        assert sessions.recent(tx) == []
    assert desk.driven == []


def test_several_mistakes_are_told_at_once(desk: Desk, tmp_path: Path) -> None:
    """Nobody has to try five times."""
    document = {
        **GOOD,
        "id": "",
        "colour": "red",
        "mode": "sideways",
        "retry": {"attempts": 99},
        "options": {"full": "perhaps"},
    }

    error = desk.say("session", "start", "-f", written(tmp_path, document), "-o", "json").document()["error"]

    assert {one["field"] for one in error["problems"]} == {"id", "colour", "mode", "retry.attempts", "options.full"}


def test_several_mistakes_against_the_registry_are_told_at_once(desk: Desk, tmp_path: Path) -> None:
    """Also those that only the registry knows."""
    document = {
        **GOOD,
        "operation": "ec2-backup",
        "repository": "attic",
        "resources": [
            {"account": "nobody", "region": REGION, "id": "i-0a"},
            {"account": "production-a", "region": "us-east-1", "id": "i-0b"},
        ],
    }

    said = desk.say("session", "start", "-f", written(tmp_path, document), "-o", "json")

    assert said.code == 8
    fields = {one["field"] for one in said.document()["error"]["problems"]}
    assert fields == {"resources[0].account", "resources[1].region", "repository"}


WRONG_FLAGS = [
    ([], ["--operation"]),
    (["--operation", "ec2-backup"], ["--resource"]),
    (["--operation", "ec2-backup", "--resource", "i-0a"], ["--resource", "'i-0a'", "ACCOUNT/REGION/ID"]),
    (["--operation", "ec2-backup", "--resource", "a/b/"], ["--resource", "'a/b/'"]),
    (["--operation", "ec2-backup", "--select", "a/b/c"], ["--select", "'a/b/c'", "TAG=VALUE"]),
    (["--operation", "ec2-backup", "--resource", "a/b/c", "--option", "full"], ["--option", "NAME=VALUE"]),
    (["--operation", "ec2-backup", "--resource", "a/b/c", "--option", "full=1", "--option", "full=0"], ["given twice"]),
    (["--file", "/nowhere/request.yml"], ["--file", "/nowhere/request.yml", "No such file"]),
    (["--file", "x.yml", "--operation", "ec2-backup"], ["--operation", "--file"]),
    (["--operation", "ec2-backup", "--resource", "a/b/c", "--timeout", "soon"], ["--timeout", "'soon'"]),
    (["--operation", "ec2-backup", "--resource", "a/b/c", "--output", "xml"], ["--output", "xml"]),
    (["--sideways"], ["--sideways", "--help"]),
]


@pytest.mark.parametrize(("flags", "words"), WRONG_FLAGS, ids=[" ".join(row[0]) or "nothing" for row in WRONG_FLAGS])
def test_wrong_flags_are_a_usage_error(desk: Desk, flags: list[str], words: list[str]) -> None:
    """Exit code 2, and what to write instead."""
    said = desk.say("session", "start", *flags)

    assert said.code == 2
    assert said.out == ""
    for word in words:
        assert word in said.err


def test_a_stop_may_be_repeated_and_also_comes_too_late(desk: Desk) -> None:
    """Idempotent: the first stop drives what waits, later ones change nothing."""
    session = desk.session(*instances(1))

    codes = [desk.say("session", "stop", session).code for _ in range(2)]
    desk.end(session, "stopped")
    late = desk.say("session", "stop", session, "--output", "json")

    assert codes == [0, 0]
    assert (late.code, late.document()) == (0, {"schemaVersion": 1, "sessionId": session, "status": "stopped"})


def test_a_retry_is_one_new_session_over_the_failed_resources(desk: Desk) -> None:
    """Linked by retryOf; given again it is the same session."""
    session = desk.session(*instances(3), options={"full": True})
    desk.begin(session)
    desk.move(session, "success", 0)
    desk.move(session, "failed", 1, 2, reason="no")
    desk.end(session, "warning")

    first, again = (desk.say("session", "retry", session, "-o", "json").document() for _ in range(2))

    assert first["created"]
    assert again == {**first, "created": False}
    record = desk.say("session", "show", first["sessionId"], "-o", "json").document()
    assert record["retryOf"] == session
    assert [one["id"] for one in record["resources"]] == list(instances(3))[1:]
    with desk.ledger.read() as tx:
        assert sessions.get(tx, first["sessionId"]).request.options == {"full": True}


def test_a_retry_of_a_session_that_runs_or_has_not_failed_is_refused(desk: Desk) -> None:
    """With the reason, and what to do instead."""
    running, happy = desk.session(*instances(1)), desk.session(*instances(1))
    desk.begin(happy)
    desk.move(happy, "success", 0)
    desk.end(happy, "success")

    early, pointless = desk.say("session", "retry", running), desk.say("session", "retry", happy)

    assert (early.code, pointless.code) == (8, 8)
    assert "has not ended" in early.err
    assert "no resource of the session failed" in pointless.err


@pytest.mark.parametrize("verb", ["show", "watch", "log", "stop", "retry", "receipt"])
def test_a_session_that_does_not_exist_is_not_found(desk: Desk, verb: str) -> None:
    """Exit code 7, for every verb."""
    said = desk.say("session", verb, "s-nobody", "--output", "json")

    assert said.code == 7
    problem = said.document()["error"]["problems"][0]
    assert (problem["field"], problem["value"]) == ("session", "s-nobody")
