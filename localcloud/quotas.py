"""Service Quotas for EC2, of which there is one: vCPUs of running on-demand instances of the standard families.

moto's Service Quotas knows VPC alone, and its RunInstances no quota. An account has as many vCPUs as benchmarks need
until `PUT /_sim/quotas` says how many; from then on RunInstances keeps to that: fewer instances than asked for (down to
MinCount), or VcpuLimitExceeded.
"""

from __future__ import annotations

import json
import threading
from typing import Any, Final

from localcloud import state, wire
from localcloud.call import Call, Reply
from localcloud.decode import Request
from localcloud.errors import AwsError
from localcloud.settings import is_account

STANDARD: Final = "L-1216C47A"
_PLENTY: Final = 100_000
_FAMILIES: Final = frozenset("acdhimrtz")
_RUNNING: Final = frozenset({"pending", "running"})


class Quotas:
    """Answers Service Quotas' calls for EC2, and holds launches to the quota (a `Plugin` with a page of its own)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._vcpus: dict[str, int] = {}

    def before(self, call: Call) -> Reply | None:
        """Answer for the quota; take from a launch what is too many. Raises `AwsError`."""
        if call.name == "ec2:RunInstances":
            self._limit(call)
        elif call.name == "servicequotas:GetServiceQuota" and call.parameters.get("ServiceCode") == "ec2":
            return wire.answer(call, {"Quota": self._quota(call)})
        return None

    def after(self, call: Call, reply: Reply) -> Reply:
        """Change nothing."""
        del call
        return reply

    def serve(self, request: Request, _: str) -> Reply:
        """Set an account's vCPUs in every Region, list those that are set (GET), or forget them (DELETE)."""
        if request.method == "DELETE":
            with self._lock:
                self._vcpus.clear()
        elif request.method == "PUT":
            try:
                wanted = json.loads(request.body or b"null")
            except ValueError:
                wanted = None
            if not _is_quota(wanted):
                return wire.document(
                    {"error": 'the body must be {"account": "twelve digits", "vcpus": 0 or more}'}, 400
                )
            with self._lock:
                self._vcpus[wanted["account"]] = wanted["vcpus"]
        elif request.method != "GET":
            return wire.document({"error": "use GET, PUT or DELETE"}, 405)
        with self._lock:
            return wire.document({"vcpus": dict(self._vcpus)})

    def _quota(self, call: Call) -> dict[str, Any]:
        if call.parameters.get("QuotaCode") != STANDARD:
            raise AwsError("NoSuchResourceException", "The specified resource does not exist.", 400)
        with self._lock:
            value = self._vcpus.get(call.account, _PLENTY)
        return {
            "ServiceCode": "ec2",
            "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)",
            "QuotaArn": f"arn:aws:servicequotas:{call.region}:{call.account}:ec2/{STANDARD}",
            "QuotaCode": STANDARD,
            "QuotaName": "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
            "Value": float(value),
            "Unit": "None",
            "Adjustable": True,
            "GlobalQuota": False,
        }

    def _limit(self, call: Call) -> None:
        with self._lock:
            most = self._vcpus.get(call.account)
        kind = str(call.parameters.get("InstanceType", "m1.small"))
        size = _vcpus(kind)
        if most is None or not size:
            return
        fit = max(0, most - _in_use(call.account, call.region)) // size
        if fit < int(call.parameters.get("MinCount", 1)):
            raise AwsError(
                "VcpuLimitExceeded",
                f"You have requested more vCPU capacity than your current vCPU limit of {most} allows for the instance "
                "bucket that the specified instance type belongs to.",
            )
        call.parameters["MaxCount"] = min(fit, int(call.parameters.get("MaxCount", 1)))


def _is_quota(wanted: Any) -> bool:
    if not isinstance(wanted, dict) or set(wanted) != {"account", "vcpus"}:
        return False
    account, vcpus = wanted["account"], wanted["vcpus"]
    return isinstance(account, str) and is_account(account) and type(vcpus) is int and vcpus >= 0


def _vcpus(kind: str) -> int:
    """Return how many vCPUs a type takes of the quota; 0 for families that have another one."""
    if kind[:1] not in _FAMILIES:
        return 0
    return state.vcpus(kind)


def _in_use(account: str, region: str) -> int:
    return sum(_vcpus(one.instance_type) for one in state.instances(account, region) if one.state in _RUNNING)
