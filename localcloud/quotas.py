"""Service Quotas for EC2: vCPUs of running on-demand instances of the standard families, and the rate of RunInstances.

moto's Service Quotas knows VPC alone, and its RunInstances no quota. The rate is what the throttle uses; it is
documented, unless the page gives an account another one. An account has as many vCPUs as benchmarks need
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
from localcloud.throttle import Bucket, Throttle

STANDARD: Final = "L-1216C47A"
LAUNCH_BURST: Final = "L-8EEB235C"
LAUNCH_REFILL: Final = "L-A2D70E6C"
_NAMES: Final = {
    STANDARD: "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
    LAUNCH_BURST: "RunInstances request bucket maximum capacity",
    LAUNCH_REFILL: "RunInstances request bucket refill rate",
}
_PLENTY: Final = 100_000
_FAMILIES: Final = frozenset("acdhimrtz")
_RUNNING: Final = frozenset({"pending", "running"})


class Quotas:
    """Answers Service Quotas' calls for EC2, and holds launches to the quota (a `Plugin` with a page of its own)."""

    def __init__(self, throttle: Throttle) -> None:
        self._throttle = throttle
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
        """Set an account's vCPUs or rate of launches in every Region, list vCPUs (GET), or forget them (DELETE)."""
        if request.method == "DELETE":
            with self._lock:
                self._vcpus.clear()
        elif request.method == "PUT":
            try:
                wanted = json.loads(request.body or b"null")
            except ValueError:
                wanted = None
            if _is_rate(wanted):
                burst, refill = wanted["launches"]
                self._throttle.set_launches(wanted["account"], Bucket(burst, refill))
                return wire.document(wanted)
            if not _is_quota(wanted):
                said = (
                    'the body must be {"account": "twelve digits", "vcpus": 0 or more}, '
                    'or {"account": "twelve digits", "launches": [calls at once, calls a second]}'
                )
                return wire.document({"error": said}, 400)
            with self._lock:
                self._vcpus[wanted["account"]] = wanted["vcpus"]
        elif request.method != "GET":
            return wire.document({"error": "use GET, PUT or DELETE"}, 405)
        with self._lock:
            return wire.document({"vcpus": dict(self._vcpus)})

    def _quota(self, call: Call) -> dict[str, Any]:
        code = str(call.parameters.get("QuotaCode"))
        if code not in _NAMES:
            raise AwsError("NoSuchResourceException", "The specified resource does not exist.", 400)
        launches = self._throttle.launches(call.account)
        with self._lock:
            vcpus = self._vcpus.get(call.account, _PLENTY)
        values = {STANDARD: vcpus, LAUNCH_BURST: launches.burst, LAUNCH_REFILL: launches.refill}
        return {
            "ServiceCode": "ec2",
            "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)",
            "QuotaArn": f"arn:aws:servicequotas:{call.region}:{call.account}:ec2/{code}",
            "QuotaCode": code,
            "QuotaName": _NAMES[code],
            "Value": float(values[code]),
            "Unit": "None",
            "Adjustable": code == STANDARD,
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


def _is_rate(wanted: Any) -> bool:
    if not isinstance(wanted, dict) or set(wanted) != {"account", "launches"}:
        return False
    account, rate = wanted["account"], wanted["launches"]
    is_rate = isinstance(rate, list) and [type(one) in (int, float) and one > 0 for one in rate] == [True, True]
    return is_rate and isinstance(account, str) and is_account(account)


def _vcpus(kind: str) -> int:
    """Return how many vCPUs a type takes of the quota; 0 for families that have another one."""
    if kind[:1] not in _FAMILIES:
        return 0
    return state.vcpus(kind)


def _in_use(account: str, region: str) -> int:
    return sum(_vcpus(one.instance_type) for one in state.instances(account, region) if one.state in _RUNNING)
