"""The registry's document: what may be written shorter, and where a mistake stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.errors import Refused
from orchestrator.model.account import Tagged
from orchestrator.model.registry_document import read_registry

GUIDE = Path(__file__).parents[4] / "docs" / "accounts.md"
REGION = "eu-west-1"


def account(number: int, **more: Any) -> dict[str, Any]:
    """Return an account of a document."""
    return {"id": str(number) * 12, "name": f"account-{number}", **more}


def test_the_documents_of_the_guide_can_be_read() -> None:
    """As they stand there."""
    text = GUIDE.read_text().split("```yaml\n")[1].split("```")[0]

    found = read_registry(yaml.safe_load(text))

    backup, production, other = found.accounts
    assert "worker" not in backup.roles.named()
    assert backup.instance_types(REGION, "ec2-backup", "small") == ("c7i.large", "c6i.large")
    assert backup.instance_types("eu-central-1", "ec2-backup", "small") == ("c6i.large",)
    assert backup.instance_types("eu-central-1", "ec2-retention", None) == ("m7i.large",)
    assert production.roles.data == "arn:aws:iam::222222222222:role/DayworkData"
    assert other.tags == {"cost-center": "backup-%policyName%", "team": "erp"}
    assert other.worker_configurations[0].subnets == Tagged(tags={"daywork": "worker"})
    assert found.repositories[0].role == "arn:aws:iam::111111111111:role/DayworkRepository"


@pytest.mark.parametrize(
    ("region", "partition"), [("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")]
)
def test_a_role_by_name_is_of_the_partition_of_its_account(region: str, partition: str) -> None:
    """China and GovCloud have ARNs of their own."""
    found = read_registry({"accounts": [account(1, regions=[region], roles={"backup": "Daily"})]})

    assert found.accounts[0].roles.backup == f"arn:{partition}:iam::111111111111:role/Daily"


def test_a_region_may_have_a_configuration_for_each_vpc() -> None:
    """A database takes the one of its VPC; what does not ask takes the first one."""
    network = {"region": REGION, "securityGroups": ["sg-1"]}
    places = [{**network, "vpc": "vpc-1", "subnets": ["a"]}, {**network, "vpc": "vpc-2", "subnets": ["b"]}]
    found = read_registry({"accounts": [account(1, regions=[REGION], workerConfigurations=places)]}).accounts[0]

    chosen = [found.configuration(REGION, vpc) for vpc in (None, "vpc-2", "vpc-3")]

    assert [None if one is None else one.subnets for one in chosen] == [("a",), ("b",), ("a",)]
    assert found.configuration("us-east-1") is None


#: what stands in the defaults, what stands in the account -> the fields that are wrong.
WRONG: list[tuple[Any, dict[str, Any], set[str]]] = [
    ("text", {}, {"defaults"}),
    ({"colour": "red"}, {}, {"defaults.colour"}),
    ({"regions": ["europe"]}, {}, {"defaults.regions[0]"}),
    ({"regions": ["europe"]}, {"regions": ["mars"]}, {"accounts[0].regions[0]", "accounts[1].regions[0]"}),
    ({"limits": {"workers": 0}}, {"limits": {"vcpus": 0}}, {
        "defaults.limits.workers", "accounts[0].limits.vcpus", "accounts[1].limits.vcpus",
    }),
    ({}, {"tags": {"aws:x": "y"}, "roles": {"backup": "arn:aws:iam::999999999999:role/x"}}, {
        "accounts[0].tags.aws:x", "accounts[1].tags.aws:x",
    }),
    ({"externalId": {}}, {}, {"defaults.externalId"}),
]  # fmt: skip


@pytest.mark.parametrize(("defaults", "entry", "fields"), WRONG)
def test_a_mistake_is_told_where_it_stands(defaults: Any, entry: dict[str, Any], fields: set[str]) -> None:
    """In the defaults once, in each account that says it itself."""
    accounts = [account(number, **({"regions": [REGION]} | entry if entry else entry)) for number in (1, 2)]
    if isinstance(defaults, dict) and not entry:
        defaults = {"regions": [REGION], **defaults}

    with pytest.raises(Refused) as caught:
        read_registry({"defaults": defaults, "accounts": accounts})

    found = caught.value.problems or [caught.value]
    assert {one.field for one in found} == fields
    assert all(one.remedy for one in found)
