"""Where workers of an account may stand: every worker configuration through the network resolver."""

from __future__ import annotations

from console.checks.findings import Findings, State
from console.checks.roles import Look
from orchestrator.errors import CloudError, Refused
from orchestrator.model.account import Tagged, WorkerConfiguration
from orchestrator.model.network import Network
from orchestrator.model.status import DeploymentMode
from orchestrator.network import Requirement, resolve
from orchestrator.planner.place import Site, requirement


def look_at_networks(look: Look, *, control_region: str, repository_region: str) -> Findings:
    """Say for each worker configuration how many of its subnets fit, and of the others why they fall out."""
    roles = look.account.roles
    askers = [arn for arn in (roles.worker_deployment, roles.backup, roles.restore, roles.files) if arn]
    mode = DeploymentMode.BACKUP if roles.worker_deployment else DeploymentMode.PRODUCTION
    for configuration in look.account.worker_configurations if askers else ():
        region = configuration.region
        wanted = requirement(
            look.account,
            region,
            mode,
            control_region=control_region,
            repository_region=repository_region,
            # A Region may have a configuration for each VPC.
            site=Site(vpc=configuration.vpc if isinstance(configuration.vpc, str) else None),
        )
        network = _network(look, askers, configuration, wanted)
        if isinstance(network, CloudError):
            yield look.finding("network", State.UNKNOWN, network.reason, remedy=network.remedy)
            continue
        found = resolve(network, wanted)
        where = f"{look.account.name}, {region}"
        if not found.fitting:
            refusal: Refused = found.refusal(where)
            yield look.finding("network", State.MISSING, refusal.reason, remedy=refusal.remedy)
            continue
        rejected = f"; {len(found.rejected)} fall out" if found.rejected else ""
        yield look.finding("network", State.OK, f"{where}: {len(found.fitting)} subnets fit{rejected}")


def _network(
    look: Look, askers: list[str], configuration: WorkerConfiguration, wanted: Requirement
) -> Network | CloudError:
    """Return the network as the first role sees it that may, or why none may."""
    problem: CloudError | None = None
    for role in askers:
        access = look.access(role).model_copy(update={"region": configuration.region})
        networks = look.cloud.networks(access)
        try:
            return networks.network() if _is_by_tags(configuration) else networks.network(subnets=wanted.subnets)
        except CloudError as error:
            problem = problem or error
    return problem or CloudError("no role can look at the network")


def _is_by_tags(configuration: WorkerConfiguration) -> bool:
    return any(
        isinstance(part, Tagged) for part in (configuration.vpc, configuration.subnets, configuration.security_groups)
    )
