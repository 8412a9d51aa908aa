"""The registry: what is applied, what is refused, what is only said."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.desk import HOME, REGION, REGISTRY, A, B, Desk

from orchestrator.ledger import registry


def written(directory: Path, document: Any) -> Path:
    """Write a registry document."""
    path = directory / "accounts.yml"
    path.write_text(yaml.safe_dump(document))
    return path


def changed(change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """Return the usual registry with a change made to it."""
    document = copy.deepcopy(REGISTRY)
    change(document)
    return document


def test_applying_tells_what_changed_and_is_idempotent(desk: Desk, tmp_path: Path) -> None:
    """Added, changed with its fields, unchanged; the second time nothing is."""
    document = changed(lambda it: it["accounts"][1].update(limits={"workers": 5}))
    document["accounts"].append({"id": B, "name": "production-b", "regions": [REGION]})
    path = written(tmp_path, document)

    first = desk.say("account", "apply", "-f", path, "-o", "json").document()
    second = desk.say("account", "apply", "-f", path, "-o", "json").document()

    assert [(one["name"], one["change"], one["fields"]) for one in first["changes"]] == [
        ("backup", "unchanged", []),
        ("production-a", "changed", ["limits"]),
        ("production-b", "added", []),
        ("main", "unchanged", []),
    ]
    assert {one["change"] for one in second["changes"]} == {"unchanged"}
    with desk.ledger.read() as tx:
        assert registry.account(tx, A).limits.workers == 5


def test_a_dry_run_changes_nothing(desk: Desk, tmp_path: Path) -> None:
    """And says what it would have changed."""
    document = changed(lambda it: it["accounts"][1].update(limits={"workers": 5}))

    said = desk.say("account", "apply", "-f", written(tmp_path, document), "--dry-run")

    assert "changed" in said.out
    with desk.ledger.read() as tx:
        assert registry.account(tx, A).limits.workers is None


def test_every_mistake_of_a_document_is_told_with_its_path(desk: Desk, tmp_path: Path) -> None:
    """All that cannot be read, at once."""
    document = changed(lambda it: it["accounts"][1].update(id=12, colour="red", regions=[]))
    document["repositories"][0]["url"] = "ftp://x"

    said = desk.say("account", "apply", "-f", written(tmp_path, document), "-o", "json")

    assert said.code == 2
    fields = {one["field"] for one in said.document()["error"]["problems"]}
    assert fields == {"accounts[1].id", "accounts[1].colour", "accounts[1].regions", "repositories[0].url"}


SENSELESS: list[tuple[str, Callable[[dict[str, Any]], Any], list[str]]] = [
    (
        "a second backup account",
        lambda it: it.update(accounts=[{"id": B, "name": "b", "regions": [REGION], "backupAccount": True}]),
        ["accounts[0].backupAccount", "backup is the backup account already"],
    ),
    (
        "a name of another account",
        lambda it: it.update(accounts=[{"id": B, "name": "production-a", "regions": [REGION]}]),
        ["accounts[0].name", "production-a", A],
    ),
    (
        "a worker role that is assumed",
        lambda it: it["accounts"][1]["roles"].update(worker=it["accounts"][1]["roles"]["data"]),
        ["accounts[1].roles.worker", "data role"],
    ),
    (
        "a worker place in a Region of nobody",
        lambda it: it["accounts"][0]["workerConfigurations"][0].update(region="us-east-1"),
        ["accounts[0].workerConfigurations[0].region", "us-east-1"],
    ),
    (
        "two worker places of one Region",
        lambda it: it["accounts"][0].update(workerConfigurations=it["accounts"][0]["workerConfigurations"] * 2),
        ["accounts[0].workerConfigurations[1].region", "several"],
    ),
    (
        "a repository of nobody",
        lambda it: it["repositories"][0].update(account=B),
        ["repositories[0].account", B],
    ),
    (
        "a repository role of another account",
        lambda it: it["repositories"][0].update(role=f"arn:aws:iam::{A}:role/x"),
        ["repositories[0].role", HOME],
    ),
    (
        "a reading role of nobody",
        lambda it: it["repositories"][0].update(reader="arn:aws:iam::999999999999:role/x"),
        ["repositories[0].reader", "not registered"],
    ),
]


@pytest.mark.parametrize(("change", "words"), [row[1:] for row in SENSELESS], ids=[row[0] for row in SENSELESS])
def test_what_makes_no_sense_is_refused(
    desk: Desk, tmp_path: Path, change: Callable[[dict[str, Any]], Any], words: list[str]
) -> None:
    """Against the document and against what is registered; nothing is stored then."""
    with desk.ledger.read() as tx:
        before = registry.load(tx)

    said = desk.say("account", "apply", "-f", written(tmp_path, changed(change)))

    assert said.code == 8
    for word in words:
        assert word in said.err
    with desk.ledger.read() as tx:
        assert registry.load(tx) == before


def test_what_will_surprise_is_said_and_applied(desk: Desk, tmp_path: Path) -> None:
    """A missing data role is no mistake, and will refuse every backup in backup mode."""
    document = changed(lambda it: it["accounts"][1]["roles"].pop("data"))
    document["accounts"][1]["externalId"] = {"file": str(tmp_path / "external-id")}
    (tmp_path / "external-id").write_text("canary-external-id")
    (tmp_path / "external-id").chmod(0o644)

    said = desk.say("account", "apply", "-f", written(tmp_path, document))

    assert said.code == 0
    assert "production-a: no data role" in said.err
    assert "others can read" in said.err
    assert "canary-external-id" not in said.err + said.out


def test_of_an_external_id_only_whether_it_is_set_is_shown(desk: Desk) -> None:
    """Neither its value nor where it is."""
    said, document = desk.say("account", "list"), desk.say("account", "list", "-o", "json")

    assert {one["name"]: one["externalId"] for one in document.document()["accounts"]} == {
        "backup": "none",
        "production-a": "set",
    }
    assert "DAYWORK_EXTERNAL_ID_A" not in said.out + document.out
    assert "backup (backup account)" in said.out
    assert "s3://daywork-repository/main" in said.out
