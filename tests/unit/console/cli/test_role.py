"""`daywork role`: documents with and without an installation, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from support.desk import Desk

from orchestrator.rights.purposes import PURPOSES


@pytest.fixture
def elsewhere(desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Desk:
    """A command line on a machine where nothing is installed."""
    for name in ("DATABASE_URL", "BROKER_URL", "CONTROL_BUCKET", "REPORT_QUEUE"):
        monkeypatch.delenv(f"DAYWORK_{name}")
    monkeypatch.setenv("DAYWORK_STATE_DIR", str(tmp_path / "none"))
    return desk


def printed(desk: Desk, *arguments: str) -> dict[str, Any]:
    """Return the document that a command prints."""
    said = desk.say("role", "document", *arguments)
    assert said.code == 0, said.err
    found: dict[str, Any] = json.loads(said.out)
    return found


def test_without_an_installation_every_name_is_a_placeholder(elsewhere: Desk) -> None:
    """Roles are made before anything is installed."""
    found = printed(elsewhere, "--purpose", "worker")

    assert [one["name"] for one in found["parameters"]] == [
        "InstallId", "BackupAccountId", "ControlBucket", "ControlRegion", "ReportQueue", "RepositoryRoleArn",
    ]  # fmt: skip
    (document,) = found["documents"]
    assert (document["name"], document["instanceProfile"]) == ("DayworkWorker", True)
    assert "arn:aws:s3:::<ControlBucket>/orders/*/${aws:userid}.json" in json.dumps(document)


def test_an_installation_fills_in_what_it_knows(desk: Desk) -> None:
    """Registry and settings; the external id stays a placeholder."""
    found = printed(desk, "--purpose", "backup-ec2", "--account", "production-a")

    (document,) = found["documents"]
    statements = {one["Sid"]: one for one in document["policies"][0]["document"]["Statement"]}
    assert statements["Pass"]["Resource"][0].startswith("arn:aws:iam::222222222222:role/")
    assert {one["name"] for one in found["parameters"]} <= {"ControlPlaneArn", "ExternalId"}


def test_values_can_be_given(elsewhere: Desk) -> None:
    """All but the external id."""
    found = printed(elsewhere, "-p", "data", "--set", "InstallId=blue", "--set", "BackupAccountId=111111111111")
    refused = elsewhere.say("role", "document", "-p", "data", "--set", "ExternalId=x")
    unknown = elsewhere.say("role", "document", "-p", "data", "--set", "Nothing=x")

    assert found["parameters"] == []
    assert "arn:aws:iam::111111111111:role/daywork/blue/*" in json.dumps(found)
    assert (refused.code, unknown.code) == (2, 2)
    assert "secret" in refused.err
    assert "InstallId" in unknown.err


def test_templates_are_printed_as_they_are_deployed(elsewhere: Desk) -> None:
    """CloudFormation in YAML, Terraform in HCL."""
    template = elsewhere.say("role", "document", "-p", "worker", "-p", "data", "--format", "cloudformation")
    configuration = elsewhere.say("role", "document", "-p", "worker", "--format", "terraform")

    assert set(yaml.safe_load(template.out)["Resources"]) == {"DayworkWorker", "DayworkWorkerProfile", "DayworkData"}
    assert 'resource "aws_iam_role" "daywork_worker"' in configuration.out


def test_a_role_of_the_backup_account_is_not_printed_for_another(desk: Desk) -> None:
    """It would be a role that nobody takes."""
    said = desk.say("role", "document", "-p", "worker-deployment", "--account", "production-a")

    assert said.code == 2
    assert "stands in the backup account" in said.err


def test_purposes_and_changes_are_listed(elsewhere: Desk) -> None:
    """For people and for programs."""
    listed = elsewhere.say("role", "purposes", "--output", "json")
    shown = elsewhere.say("role", "document")
    changes = printed(elsewhere, "--changes")

    assert [one["name"] for one in json.loads(listed.out)["purposes"]] == list(PURPOSES)
    assert "backup-ec2" in shown.out
    assert changes["changes"][0]["version"] >= 1
    assert "ec2:RunInstances" in changes["changes"][-1]["added"]["worker-deployment"]


def test_an_unknown_purpose_is_refused_with_the_list(elsewhere: Desk) -> None:
    """Exit code 2."""
    said = elsewhere.say("role", "document", "--purpose", "magic")

    assert said.code == 2
    assert "backup-ec2" in said.err
