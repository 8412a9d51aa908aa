"""The order in which accounts are looked at: what all share first, then account by account, several at once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from config.settings import Settings
from console.checks.findings import Finding, Findings, State
from console.checks.network import look_at_networks
from console.checks.roles import Look, look_at_roles
from console.checks.shared import look_at_control_plane, look_at_doors, look_at_key
from console.roles.known import known
from orchestrator.aws.cloud import AwsCloud
from orchestrator.errors import DayworkError
from orchestrator.model.account import Account, Registry
from orchestrator.rights.purposes import PURPOSES

_AT_ONCE = 8


def examine(cloud: AwsCloud, settings: Settings, registry: Registry, accounts: Sequence[Account]) -> Findings:
    """Look at these accounts, and at what they share with the backup account when that is one of them."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for found in pool.map(lambda one: list(_account(cloud, settings, registry, one)), accounts):
            yield from found


def _account(cloud: AwsCloud, settings: Settings, registry: Registry, account: Account) -> Findings:
    facts = known(settings, registry, account, PURPOSES["backup-ec2"])
    look = Look(
        cloud=cloud,
        facts=facts,
        account=account,
        region=account.regions[0],
        image=account.worker_image or settings.worker_image,
    )
    repository = registry.repositories[0] if registry.repositories else None
    if repository is None:
        yield look.finding(
            "repository", State.MISSING, "no repository is registered", remedy="Register one: daywork account apply"
        )
        return
    try:
        if facts.is_home:
            yield from look_at_control_plane(look, cloud.doors().identity())
            yield from look_at_doors(look)
        yield from look_at_roles(look)
        if repository.account == account.id:
            yield from look_at_key(look, facts)
        yield from look_at_networks(look, control_region=settings.control_region, repository_region=repository.region)
    except DayworkError as error:
        # One account must not keep the others from being looked at.
        yield Finding(account=account.id, subject="account", state=State.UNKNOWN, text=str(error))
