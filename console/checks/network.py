"""Where workers of an account may stand: every worker configuration through the network resolver."""

from __future__ import annotations

from console.checks.findings import Findings, State
from console.checks.roles import Look
from orchestrator.errors import CloudError, Refused
from orchestrator.model.account import Tagged, WorkerConfiguration
from orchestrator.model.status import DeploymentMode
from orchestrator.network import resolve
from orchestrator.planner.place import requirement


def look_at_networks(look: Look, *, control_region: str, repository_region: str) -> Findings:
    """Say for each worker configuration how many of its subnets fit, and of the others why they fall out."""
    roles = look.account.roles
    role = roles.worker_deployment or roles.backup or roles.restore
    if role is None:
        return
    mode = DeploymentMode.BACKUP if roles.worker_deployment else DeploymentMode.PRODUCTION
    for configuration in look.account.worker_configurations:
        region = configuration.region
        networks = look.cloud.networks(look.access(role).model_copy(update={"region": region}))
        wanted = requirement(
            look.account, region, mode, control_region=control_region, repository_region=repository_region
        )
        try:
            network = networks.network() if _is_by_tags(configuration) else networks.network(subnets=wanted.subnets)
        except CloudError as error:
            yield look.finding("network", State.UNKNOWN, error.reason, remedy=error.remedy)
            continue
        found = resolve(network, wanted)
        where = f"{look.account.name}, {region}"
        if not found.fitting:
            refusal: Refused = found.refusal(where)
            yield look.finding("network", State.MISSING, refusal.reason, remedy=refusal.remedy)
            continue
        rejected = f"; {len(found.rejected)} fall out" if found.rejected else ""
        yield look.finding("network", State.OK, f"{where}: {len(found.fitting)} subnets fit{rejected}")


def _is_by_tags(configuration: WorkerConfiguration) -> bool:
    return any(
        isinstance(part, Tagged) for part in (configuration.vpc, configuration.subnets, configuration.security_groups)
    )
