"""One installation for tests: a backup account and two production accounts, their roles, one repository."""

from __future__ import annotations

from typing import Any, Final

from orchestrator.model.account import Registry
from orchestrator.services import Install
from support.fakes.world import World

REGION: Final = "eu-west-1"
OTHER_REGION: Final = "eu-central-1"
HOME: Final = "111111111111"
A: Final = "222222222222"
B: Final = "333333333333"
INSTALL: Final = "test"
KEY: Final = f"arn:aws:kms:{REGION}:{HOME}:key/11111111-2222-3333-4444-555555555555"

#: Canaries: none of these may ever be seen outside of the place that uses it.
EXTERNAL_IDS: Final = {A: "canary-external-id-a", B: "canary-external-id-b"}


def arn(account: str, name: str) -> str:
    """Return a role's ARN."""
    return f"arn:aws:iam::{account}:role/{name}"


def install(**changes: Any) -> Install:
    """Return the installation's own values."""
    values: dict[str, Any] = {
        "id": INSTALL,
        "control_bucket": "daywork-control-test",
        "control_region": REGION,
        "report_queue": f"https://sqs.{REGION}.amazonaws.com/{HOME}/daywork-reports",
        "home_account": HOME,
        "worker_image": "ami-0123456789abcdef0",
    }
    return Install(**{**values, **changes})


def account(account_id: str, name: str, *roles: str, **more: Any) -> dict[str, Any]:
    """Return an account of the registry document with these roles, by their names in the document."""
    named = {role: arn(account_id, f"Daywork{role[0].upper()}{role[1:]}") for role in roles}
    networks = [
        {"region": region, "subnets": [f"subnet-{name}-1", f"subnet-{name}-2"], "securityGroups": [f"sg-{name}"]}
        for region in (REGION, OTHER_REGION)
    ]
    return {
        "id": account_id,
        "name": name,
        "regions": [REGION, OTHER_REGION],
        "roles": named,
        "workerConfigurations": networks,
        **more,
    }


def document() -> dict[str, Any]:
    """Return the registry document; a fresh one each time, to be changed as a test likes."""
    production = ("backup", "restore", "worker", "files", "data")
    return {
        "accounts": [
            account(
                HOME, "backup", "workerDeployment", "backup", "restore", backupAccount=True,
                tags={"cost-center": "backup-%policyName%", "session": "%sessionId%"},
            ),
            account(A, "production-a", *production, externalId={"env": "DAYWORK_TEST_EXTERNAL_ID_A"}),
            account(B, "production-b", *production, externalId={"env": "DAYWORK_TEST_EXTERNAL_ID_B"}),
        ],
        "repositories": [
            {
                "name": "main", "url": "s3://daywork-repository/main", "region": REGION, "account": HOME,
                "role": arn(HOME, "DayworkRepository"), "key": {"kms": KEY},
            }
        ],
    }  # fmt: skip


def registry(**_: Any) -> Registry:
    """Return the registry."""
    return Registry.model_validate(document())


def furnish(world: World) -> None:
    """Give a world what the registry names: roles with their trust, worker roles in profiles, subnets."""
    for one in document()["accounts"]:
        for purpose, role in one["roles"].items():
            world.add_role(
                one["id"], role.rsplit("/", 1)[-1], profile=purpose == "worker", external_id=EXTERNAL_IDS.get(one["id"])
            )
        for network in one["workerConfigurations"]:
            world.groups |= set(network["securityGroups"])
            for number, subnet in enumerate(network["subnets"]):
                world.subnets[subnet] = f"{REGION}{'ab'[number]}"
