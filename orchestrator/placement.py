"""Where and on what a worker stands, and how it is tagged. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.errors import Refused
from orchestrator.model.account import LONGEST_VALUE, MOST_TAGS, Account, Tagged
from orchestrator.model.plan import WorkerNetwork


def configuration(account: Account, region: str) -> WorkerNetwork:
    """Return the network of an account's workers in a Region as it is configured, by ids.

    Raises `Refused` that says what is missing.
    """
    found = account.configuration(region)
    if found is None:
        raise Refused(
            f"account {account.name} has no worker configuration for {region}",
            field="workerConfigurations",
            remedy=f"Add one with vpc, subnets and securityGroups to account {account.id} in the registry",
        )
    if isinstance(found.subnets, Tagged) or isinstance(found.security_groups, Tagged):
        raise Refused(
            f"the network of account {account.name} in {region} is given by tags and has not been looked up",
            field="workerConfigurations",
            remedy="Name subnets and securityGroups by their ids",
        )
    return WorkerNetwork(
        region=region,
        vpc=None if isinstance(found.vpc, Tagged) else found.vpc,
        subnets=found.subnets,
        security_groups=found.security_groups,
        public_address=found.public_address,
    )


def image(account: Account, install_image: str | None) -> str:
    """Return the image of an account's workers. Raises `Refused`."""
    found = account.worker_image or install_image
    if found is None:
        raise Refused(
            f"no worker image is configured for account {account.name}",
            field="workerImage",
            remedy="Set workerImage in the account's registry entry or DAYWORK_WORKER_IMAGE",
        )
    return found


def expanded(tags: Mapping[str, str], *, install: str, session: str, policy: str | None) -> dict[str, str]:
    """Return worker tags with their variables filled in.

    Raises `Refused` for a value that grows longer than AWS takes.
    """
    values = {"%installId%": install, "%sessionId%": session, "%policyId%": policy or "", "%policyName%": policy or ""}
    out: dict[str, str] = {}
    for key, value in tags.items():
        text = value
        for name, filled in values.items():
            text = text.replace(name, filled)
        if len(text) > LONGEST_VALUE:
            raise Refused("tag value is longer than 256 characters", field=f"tags.{key}", value=text)
        out[key] = text
    if len(out) > MOST_TAGS:
        raise Refused("more than 25 worker tags", field="tags", value=len(out), remedy="Remove some")
    return out
