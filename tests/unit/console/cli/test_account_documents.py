"""Mistakes in a registry's YAML: each with file, line, field, value and remedy, all of them at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.desk import HOME, REGION, A, B, Desk

from orchestrator.ledger import registry

WRONG = f"""\
defaults:
  regions: [{REGION}]
  roles:
    backup: DayworkBackup
    restore: "not a role!"
  tags: {{"aws:owner": me}}
accounts:
  - id: 222222222222
    name: production-a
    roles:
      backup: arn:aws:iam::999999999999:role/DayworkBackup
  - id: "{B}"
    name: production-b
    colour: red
    workerConfigurations:
      - region: {REGION}
        subnets: []
        securityGroups: [sg-1]
    limits: {{workers: none}}
    roles:
      backup: DayworkBackup
      externalId: canary-secret
    workerProfiles:
      - small: [large]
repositories:
  - name: main
"""


def problems(desk: Desk, path: Path, text: str, code: int = 2) -> dict[str, dict[str, Any]]:
    """Apply a text; return its problems by their fields."""
    file = path / "accounts.yml"
    file.write_text(text)
    said = desk.say("account", "apply", "-f", file, "-o", "json")
    assert said.code == code, said.err
    assert "canary-secret" not in said.out + said.err
    found = said.document()["error"]["problems"]
    assert all(one["remedy"] and one["place"].startswith(f"{file}:") for one in found)
    assert len({(one["field"], one["reason"]) for one in found}) == len(found)
    return {one["field"]: one for one in found}


def test_every_mistake_is_told_with_its_line_once(desk: Desk, tmp_path: Path) -> None:
    """What stands in the defaults is told there, not for each account."""
    found = problems(desk, tmp_path, WRONG)

    places = {field: int(one["place"].rsplit(":", 1)[1]) for field, one in found.items()}
    assert places == {
        "defaults.roles.restore": 5,
        "defaults.tags.aws:owner": 6,
        "accounts[0].id": 8,
        "accounts[1].colour": 14,
        "accounts[1].workerConfigurations[0].subnets": 17,
        "accounts[1].limits.workers": 19,
        "accounts[1].roles.externalId": 22,
        "accounts[1].workerProfiles[0].small[0]": 24,
        "repositories[0].url": 26,
        "repositories[0].region": 26,
        "repositories[0].account": 26,
        "repositories[0].key": 26,
    }
    assert found["accounts[0].id"]["remedy"] == 'Put it in quotes: "222222222222"'
    assert "belong to AWS" in found["defaults.tags.aws:owner"]["reason"]
    assert "at least 1" in found["accounts[1].workerConfigurations[0].subnets"]["reason"]
    assert "workerProfiles" in found["accounts[1].colour"]["remedy"]
    assert "env" in found["accounts[1].roles.externalId"]["remedy"]
    assert found["accounts[1].limits.workers"]["value"] == "none"


def test_a_role_of_an_unregistered_account_is_refused_by_its_own_field(desk: Desk, tmp_path: Path) -> None:
    """Not only by its account's."""
    text = f"""\
accounts:
  - id: "{A}"
    name: production-a
    regions: [{REGION}]
    roles:
      backup: DayworkBackup
      worker: arn:aws:iam::999999999999:role/DayworkWorker
"""
    found = problems(desk, tmp_path, text)

    assert list(found) == ["accounts[0].roles.worker"]
    assert found["accounts[0].roles.worker"]["place"].endswith(":7")
    assert "999999999999" in found["accounts[0].roles.worker"]["reason"]


def test_twenty_six_tags_are_refused_by_name(desk: Desk, tmp_path: Path) -> None:
    """AWS's limit, before AWS is asked."""
    tags = "\n".join(f"      tag-{number}: x" for number in range(26))
    text = f'accounts:\n  - id: "{A}"\n    name: production-a\n    regions: [{REGION}]\n    tags:\n{tags}\n'

    found = problems(desk, tmp_path, text)

    assert list(found) == ["accounts[0].tags"]
    assert "26" in found["accounts[0].tags"]["reason"]
    assert found["accounts[0].tags"]["place"].endswith(":5")


def test_what_makes_no_sense_is_told_with_its_line_too(desk: Desk, tmp_path: Path) -> None:
    """It can be read, and must not be applied."""
    text = f"""\
accounts:
  - id: "{A}"
    name: production-a
    regions: [{REGION}]
    workerProfiles:
      - operations: {{ec2-bakcup: [c5.large]}}
      - region: us-east-1
        small: [c5.large]
"""
    found = problems(desk, tmp_path, text, code=8)

    assert {field: one["place"].rsplit(":", 1)[1] for field, one in found.items()} == {
        "accounts[0].workerProfiles[0].operations.ec2-bakcup": "6",
        "accounts[0].workerProfiles[1].region": "7",
    }


def test_accounts_of_an_organisation_share_what_they_do_not_say(desk: Desk, tmp_path: Path) -> None:
    """Roles by name, networks by tags; an account's own word wins, null takes a role away."""
    path = tmp_path / "accounts.yml"
    path.write_text(f"""\
defaults:
  regions: [{REGION}]
  externalId: {{env: DAYWORK_EXTERNAL_ID}}
  roles: {{backup: DayworkBackup, restore: team/DayworkRestore, worker: DayworkWorker}}
  workerConfigurations:
    - {{region: {REGION}, subnets: {{tags: {{daywork: worker}}}}, securityGroups: {{tags: {{daywork: worker}}}}}}
  tags: {{cost-center: backup, team: ops}}
accounts:
  - {{id: "{A}", name: production-a, tags: {{team: erp}}}}
  - {{id: "{B}", name: production-b, roles: {{restore: null, worker: Other}}}}
""")

    said = desk.say("account", "apply", "-f", path)

    assert said.code == 0, said.err
    with desk.ledger.read() as tx:
        a, b = registry.account(tx, A), registry.account(tx, B)
    assert a.roles.named() == {
        "backup": f"arn:aws:iam::{A}:role/DayworkBackup",
        "restore": f"arn:aws:iam::{A}:role/team/DayworkRestore",
        "worker": f"arn:aws:iam::{A}:role/DayworkWorker",
    }
    assert b.roles.named() == {
        "backup": f"arn:aws:iam::{B}:role/DayworkBackup",
        "worker": f"arn:aws:iam::{B}:role/Other",
    }
    assert (a.tags, b.tags) == ({"cost-center": "backup", "team": "erp"}, {"cost-center": "backup", "team": "ops"})
    assert a.worker_configurations == b.worker_configurations
    assert a.external_id == b.external_id


def test_the_history_says_who_changed_what_and_shows_an_older_registry(desk: Desk, tmp_path: Path) -> None:
    """Of an external id only whether there is one, then as now."""
    path = tmp_path / "accounts.yml"
    path.write_text(f'accounts: [{{id: "{B}", name: fresh, regions: [{REGION}], externalId: {{env: CANARY_NAME}}}}]\n')
    desk.say("account", "apply", "-f", path)

    listed = desk.say("account", "history", "-o", "json").document()["versions"]
    shown, old = desk.say("account", "history", "--version", "2"), desk.say("account", "history", "--version", "1")

    assert [one["version"] for one in listed] == [2, 1]
    assert listed[0]["appliedBy"]
    assert listed[0]["changes"] == [{"kind": "accounts", "id": B, "name": "fresh", "change": "added"}]
    assert "name: fresh" in shown.out
    assert "name: fresh" not in old.out
    assert HOME in old.out
    assert "CANARY_NAME" not in shown.out
    assert desk.say("account", "history", "--version", "9").code == 7


def test_two_accounts_swap_their_names_in_one_document(desk: Desk, tmp_path: Path) -> None:
    """The ledger keeps names unique, and is given them one after the other."""
    path = tmp_path / "accounts.yml"
    with desk.ledger.read() as tx:
        regions = registry.account(tx, A).regions
    path.write_text(
        f'accounts:\n  - {{id: "{HOME}", name: production-a, regions: [{REGION}], backupAccount: true}}\n'
        f'  - {{id: "{A}", name: backup, regions: [{", ".join(regions)}]}}\n'
    )

    said = desk.say("account", "apply", "-f", path)

    assert said.code == 0, said.err
    with desk.ledger.read() as tx:
        assert registry.account(tx, "backup").id == A


def test_mistakes_of_requests_and_policies_are_told_with_their_lines_too(desk: Desk, tmp_path: Path) -> None:
    """Each document of a file by itself."""
    request, policies = tmp_path / "request.yml", tmp_path / "policies.yml"
    request.write_text(f"""\
source: test
id: "1"
operation: ec2-backup
externalId: canary-secret
select:
  - {{account: production-a, region: {REGION}, tags: {{}}}}
options:
  full: perhaps
""")
    good = "operation: ec2-backup\nselect: [{account: '*', region: '*', tags: {backup: daily}}]\n"
    policies.write_text(f"name: nightly\n{good}---\nname: weekly\n{good}schedule:\n  cron: never\n")

    of_request = desk.say("session", "start", "-f", request, "-o", "json")
    of_policies = desk.say("policy", "apply", "-f", policies, "-o", "json")

    places = [
        {one["field"]: one["place"] for one in said.document()["error"]["problems"]}
        for said in (of_request, of_policies)
    ]
    assert (of_request.code, of_policies.code) == (2, 2)
    assert places[0] == {
        "externalId": f"{request}:4",
        "select[0].tags": f"{request}:6",
        "options.full": f"{request}:8",
    }
    assert places[1] == {"weekly.schedule.cron": f"{policies}:9"}
    assert "canary-secret" not in of_request.out + of_request.err
