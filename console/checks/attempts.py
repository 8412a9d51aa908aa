"""Calls that change nothing, for a role that may not ask IAM of its rights: reading, and EC2's dry run of a launch."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from orchestrator import tags
from orchestrator.aws.cloud import AwsCloud
from orchestrator.model.account import Account
from orchestrator.model.plan import Access
from orchestrator.ports import LaunchCall

Attempt = tuple[str, Callable[[], object]]
_NOBODY = "i-0123456789abcdef0"


def attempts(
    cloud: AwsCloud, access: Access, account: Account, *, install: str, image: str | None
) -> Iterator[Attempt]:
    """Yield what to try as a deploying role, each as (what it is, the call)."""
    compute = cloud.compute(access)
    yield "see workers", lambda: compute.workers(ids=[_NOBODY])
    configuration = account.configuration(access.region)
    if configuration is None or not isinstance(configuration.subnets, tuple):
        return
    subnet, groups = configuration.subnets[0], configuration.security_groups
    yield "see networks", lambda: cloud.networks(access).network(subnets=[subnet])
    if image is None or not isinstance(groups, tuple):
        return
    # In backup mode the profile is made for a session: there is none to try with.
    worker = account.roles.worker if access.role != account.roles.worker_deployment else None
    call = LaunchCall(
        token="",
        count=1,
        instance_type="c5.large",
        image=image,
        subnet=subnet,
        security_groups=groups,
        profile=(worker or "").rpartition("/")[2],
        user_data="",
        tags=tags.session_tags(install, "s-check"),
    )
    yield "launch workers", lambda: compute.try_launch(call)
