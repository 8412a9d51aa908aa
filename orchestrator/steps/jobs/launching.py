"""What of a recorded instance a launch can ask for again, and what it cannot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.steps.view import View


def options(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Return the recorded settings as parameters of RunInstances, in EC2's own words."""
    found: dict[str, Any] = {}
    if recorded.get("ebsOptimized"):
        found["EbsOptimized"] = True
    if recorded.get("monitoring"):
        found["Monitoring"] = {"Enabled": True}
    if recorded.get("enclave"):
        found["EnclaveOptions"] = {"Enabled": True}
    if recorded.get("hibernation"):
        found["HibernationOptions"] = {"Configured": True}
    if recorded.get("tenancy") == "dedicated":
        found["Placement"] = {"Tenancy": "dedicated"}
    for name, parameter in (("metadata", "MetadataOptions"), ("privateDnsName", "PrivateDnsNameOptions")):
        if recorded.get(name):
            found[parameter] = {key[0].upper() + key[1:]: value for key, value in recorded[name].items()}
    return found


def is_same_place(view: View) -> bool:
    """Whether the instance is restored into its own account and Region."""
    source, place = view.plan.details["source"], view.plan.operation
    return bool((source["account"], source["region"]) == (place.account, place.region))


def key_name(view: View) -> str | None:
    """Return the recorded key pair where it means the same key."""
    found = view.plan.details["configuration"].get("keyName")
    return found if isinstance(found, str) and is_same_place(view) else None


def not_restored(view: View) -> list[str]:
    """Name, for a person, what the source had and the restored instance has not."""
    recorded, details = view.plan.details["configuration"], view.plan.details
    missing: list[str] = []
    if recorded.get("profile") and "instanceProfile" not in details:
        missing.append(f"instance profile {recorded['profile']}: name one with the option instanceProfile")
    if recorded.get("keyName") and key_name(view) is None:
        missing.append(f"key pair {recorded['keyName']}: it is of another account or Region")
    if recorded.get("placementGroup"):
        missing.append(f"placement group {recorded['placementGroup']}")
    if recorded.get("tenancy") == "host":
        missing.append("tenancy host")
    if len(recorded.get("networkInterfaces") or ()) > 1:
        missing.append("network interfaces beside the first")
    restored = {one.volume_id for one in view.plan.volumes}
    missing += [
        f"volume {one['volumeId']} at {one['device']}: the restore point does not hold it"
        for one in recorded.get("devices") or ()
        if one["volumeId"] not in restored
    ]
    return missing
