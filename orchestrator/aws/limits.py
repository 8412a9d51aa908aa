"""Quotas of an account, and what is used of them: for plans, and before launches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orchestrator.aws.credentials import Identities
from orchestrator.aws.errors import translated
from orchestrator.model.machines import is_standard
from orchestrator.model.plan import Access
from orchestrator.ports import Room

#: Service Quotas' code of "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", counted in vCPUs.
STANDARD = "L-1216C47A"
#: Its codes of the request bucket of RunInstances: how much it holds, and how much comes back a second.
LAUNCH_BURST, LAUNCH_REFILL = "L-8EEB235C", "L-A2D70E6C"
_STATES = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
#: Types in one call; EC2 takes 100.
_PAGE = 100


class AwsLimits:
    """`orchestrator.ports.Limits` on AWS."""

    def __init__(self, identities: Identities, access: Access) -> None:
        """Take the identities and who is meant."""
        self._identities = identities
        self._access = access

    @property
    def _ec2(self) -> Any:
        return self._identities.client("ec2", self._access.role, self._access.region)

    def vcpus(self, types: Sequence[str]) -> dict[str, int]:
        """See the port."""
        found: dict[str, int] = {}
        names = sorted(set(types))
        with translated("describe instance types"):
            for page in (names[start : start + _PAGE] for start in range(0, len(names), _PAGE)):
                # By filter: a type that does not exist fails a call that names it.
                answer = self._ec2.get_paginator("describe_instance_types").paginate(
                    Filters=[{"Name": "instance-type", "Values": page}]
                )
                for part in answer:
                    found |= {
                        one["InstanceType"]: one["VCpuInfo"]["DefaultVCpus"] * is_standard(one["InstanceType"])
                        for one in part["InstanceTypes"]
                    }
        return found

    def room_for_vcpus(self) -> Room:
        """See the port."""
        with translated("see the vCPUs in use"):
            running = [one for one in self._running() if is_standard(one["InstanceType"])]
        unsaid = [one["InstanceType"] for one in running if not _counted(one)]
        sizes = self.vcpus(unsaid) if unsaid else {}
        used = sum(_counted(one) or sizes.get(one["InstanceType"], 0) for one in running)
        with translated("see the quota of vCPUs"):
            most = self._quota(STANDARD)
        return Room(used=used, most=int(most))

    def free_addresses(self, subnets: Sequence[str]) -> dict[str, int]:
        """See the port."""
        with translated("see the free addresses of subnets"):
            pages = self._ec2.get_paginator("describe_subnets").paginate(
                Filters=[{"Name": "subnet-id", "Values": sorted(set(subnets))}]
            )
            return {one["SubnetId"]: int(one["AvailableIpAddressCount"]) for page in pages for one in page["Subnets"]}

    def launch_rate(self) -> tuple[float, float]:
        """See the port."""
        with translated("see how fast workers may be launched"):
            return self._quota(LAUNCH_BURST), self._quota(LAUNCH_REFILL)

    def _quota(self, code: str) -> float:
        client = self._identities.client("service-quotas", self._access.role, self._access.region)
        return float(client.get_service_quota(ServiceCode="ec2", QuotaCode=code)["Quota"]["Value"])

    def room_for_roles(self) -> Room:
        """See the port."""
        return self._summary("Roles")

    def room_for_profiles(self) -> Room:
        """See the port."""
        return self._summary("InstanceProfiles")

    def _summary(self, name: str) -> Room:
        with translated("see the account's IAM quotas"):
            client = self._identities.client("iam", self._access.role, self._access.region)
            found = client.get_account_summary()["SummaryMap"]
        return Room(used=found[name], most=found[f"{name}Quota"])

    def _running(self) -> Iterator[Mapping[str, Any]]:
        pages = self._ec2.get_paginator("describe_instances").paginate(
            Filters=_STATES, PaginationConfig={"PageSize": 500}
        )
        for page in pages:
            for reservation in page["Reservations"]:
                # Spot instances have a quota of their own.
                yield from (one for one in reservation["Instances"] if one.get("InstanceLifecycle") != "spot")


def _counted(described: Mapping[str, Any]) -> int:
    """Return an instance's vCPUs, 0 when EC2 does not say."""
    options = described.get("CpuOptions") or {}
    return int(options.get("CoreCount", 0)) * int(options.get("ThreadsPerCore", 0))
