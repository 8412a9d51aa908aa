"""Role documents as CloudFormation and Terraform: every unknown name a parameter, policy variables left for IAM."""

from __future__ import annotations

import json
from typing import Any

import hcl2
import pytest
import yaml
from cfnlint.api import lint

from console.roles.cloudformation import template
from console.roles.known import unknown
from console.roles.terraform import configuration
from orchestrator.rights.documents import RoleDocuments, documents
from orchestrator.rights.parameters import filled
from orchestrator.rights.purposes import PURPOSES


def made(*names: str) -> list[RoleDocuments]:
    """Return documents of placeholders for some purposes, for all of them if none is named."""
    rows = [PURPOSES[name] for name in names] if names else list(PURPOSES.values())
    return [documents(row, unknown(row)) for row in rows if not row.is_made_by_us]


def resolved(value: Any, parameters: dict[str, str]) -> Any:
    """Do what CloudFormation does with `Ref` and `Fn::Sub`."""
    if isinstance(value, dict):
        if set(value) == {"Ref"}:
            return parameters.get(value["Ref"], value)
        if set(value) == {"Fn::Sub"}:
            text = value["Fn::Sub"].replace("${!", "\0")
            for name, given in parameters.items():
                text = text.replace("${" + name + "}", given)
            return text.replace("\0", "${")
        return {key: resolved(one, parameters) for key, one in value.items()}
    return [resolved(one, parameters) for one in value] if isinstance(value, list) else value


def test_the_template_passes_amazons_own_lint() -> None:
    """All purposes in one template."""
    text = template(made())

    assert [str(one) for one in lint(text, regions=["eu-west-1"])] == []


def test_a_resolved_template_holds_the_documents_themselves() -> None:
    """Nothing is lost on the way through parameters."""
    (one,) = made("worker")
    document = yaml.safe_load(template([one]))
    parameters = {name: f"value-of-{name}" for name in document["Parameters"]}

    role = resolved(document["Resources"], parameters)["DayworkWorker"]["Properties"]

    def write(parameter: Any) -> str:
        return f"value-of-{parameter.name}"

    assert role["AssumeRolePolicyDocument"] == one.trust
    assert role["Policies"] == [{"PolicyName": "daywork", "PolicyDocument": filled(one.policies["daywork"], write)}]
    assert "${aws:userid}" in json.dumps(role)


def test_external_ids_are_hidden_parameters_and_never_values() -> None:
    """In trust alone."""
    document = yaml.safe_load(template(made("backup-ec2")))

    assert document["Parameters"]["ExternalId"]["NoEcho"] is True
    trust = document["Resources"]["DayworkBackup"]["Properties"]["AssumeRolePolicyDocument"]["Statement"][0]
    assert trust["Condition"] == {"StringEquals": {"sts:ExternalId": {"Ref": "ExternalId"}}}
    assert 'variable "external_id"' in configuration(made("backup-ec2"))


def test_an_addition_refers_to_its_role_when_both_are_made() -> None:
    """Else it names the role, which is there already."""
    both = yaml.safe_load(template(made("backup-ec2", "backup-rds")))["Resources"]
    alone = yaml.safe_load(template(made("backup-rds")))["Resources"]

    assert both["DayworkBackupDayworkrds"]["Properties"]["RoleName"] == {"Ref": "DayworkBackup"}
    assert alone["DayworkBackupDayworkrds"]["Properties"]["RoleName"] == "DayworkBackup"


@pytest.mark.parametrize("name", [row.name for row in PURPOSES.values() if not row.is_made_by_us])
def test_the_configuration_can_be_read_as_hcl(name: str) -> None:
    """By another program than ours; each variable that is used is declared, and none besides."""
    text = configuration(made(name))

    read = hcl2.loads(text)

    declared = {label.strip('"') for one in read.get("variable", []) for label in one}
    used = {part.split("}")[0] for part in text.split("${var.")[1:]}
    assert used == declared
    assert len(read["resource"]) >= 1


def test_policy_variables_are_left_for_iam() -> None:
    """Terraform would else try to fill them in."""
    text = configuration(made("worker"))

    assert "$${aws:userid}" in text
    assert "${aws:userid}" not in text.replace("$${", "")
