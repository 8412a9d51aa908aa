"""What a call of the EBS direct API demands: rights on snapshots, by their tags.

Rules: "Actions, resources, and condition keys for Amazon Elastic Block Store" in the Service Authorization Reference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from localcloud.authority import Demand
from localcloud.blocks.records import find_snapshot, snapshot_record
from localcloud.call import Call

#: ListChangedBlocks reads both.
_SNAPSHOT_PARAMETERS = ("SnapshotId", "FirstSnapshotId", "SecondSnapshotId")


def ebs_demands(call: Call) -> Iterator[Demand]:
    """Yield what a call of the EBS direct API demands. A snapshot that is not there has no tags to show."""
    if call.operation == "StartSnapshot":
        yield from _start_demands(call)
        return
    for name in _SNAPSHOT_PARAMETERS:
        if name in call.parameters:
            yield _snapshot_demand(call, f"ebs:{call.operation}", str(call.parameters[name]))


def _snapshot_demand(call: Call, action: str, snapshot_id: str) -> Demand:
    snapshot = find_snapshot(call.account, call.region, snapshot_id)
    context: dict[str, str | tuple[str, ...]] = {}
    if snapshot is not None:
        # Tags are of the owner's account alone: a shared snapshot shows none to others.
        if snapshot.owner_id == call.account:
            context = {f"aws:resourcetag/{tag['key'].lower()}": tag["value"] for tag in snapshot.get_tags()}
        context["ebs:volumesize"] = str(snapshot.volume_size)
        context["ebs:description"] = snapshot.description or ""
        parent = snapshot_record(snapshot).parent if "block_record" in vars(snapshot) else None
        if parent is not None:
            context["ebs:parentsnapshot"] = f"arn:aws:ec2:{call.region}::snapshot/{parent}"
    return Demand(action=action, resource=f"arn:aws:ec2:{call.region}::snapshot/{snapshot_id}", context=context)


def _start_demands(call: Call) -> Iterator[Demand]:
    given = call.parameters
    resource = f"arn:aws:ec2:{call.region}::snapshot/*"
    tags = _request_tags(given)
    context: dict[str, str | tuple[str, ...]] = {
        **tags,
        "ebs:volumesize": str(given.get("VolumeSize", "")),
        "ebs:description": str(given.get("Description", "")),
    }
    if "ParentSnapshotId" in given:
        context["ebs:parentsnapshot"] = f"arn:aws:ec2:{call.region}::snapshot/{given['ParentSnapshotId']}"
    yield Demand(action="ebs:StartSnapshot", resource=resource, context=context)
    if tags:
        yield Demand(action="ec2:CreateTags", resource=resource, context={**tags, "ec2:createaction": "StartSnapshot"})


def _request_tags(given: Mapping[str, Any]) -> dict[str, str | tuple[str, ...]]:
    entries = given.get("Tags") or []
    if not entries:
        return {}
    tags: dict[str, str | tuple[str, ...]] = {
        f"aws:requesttag/{str(entry.get('Key', '')).lower()}": str(entry.get("Value", "")) for entry in entries
    }
    tags["aws:tagkeys"] = tuple(str(entry.get("Key", "")) for entry in entries)
    return tags
