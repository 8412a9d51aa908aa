"""What calls to EC2 demand: actions, resources, condition keys; and what both EC2 and EBS demand of keys.

Rules: "Actions, resources, and condition keys" of both services in the Service Authorization Reference. One function an
operation; an operation without one demands its action on `*`, so a policy limited to a resource does not cover it.

A resource that does not exist (any more) has no tags: a policy that asks for a tag then refuses, and the caller hears
UnauthorizedOperation, not that it is gone. AWS does the same (karpenter-provider-aws issue 2100).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from localcloud import state
from localcloud.authority import Demand
from localcloud.call import Call

Context = dict[str, "str | tuple[str, ...]"]
Maker = Callable[[Call], Iterator[Demand]]

#: Resource types whose ARN names no account.
_WITHOUT_ACCOUNT: Final = frozenset({"image", "snapshot"})
#: Resource types by the prefix of an id.
_TYPES: Final[dict[str, str]] = {
    "ami": "image",
    "eni": "network-interface",
    "i": "instance",
    "igw": "internet-gateway",
    "lt": "launch-template",
    "rtb": "route-table",
    "sg": "security-group",
    "snap": "snapshot",
    "subnet": "subnet",
    "vol": "volume",
    "vpc": "vpc",
    "vpce": "vpc-endpoint",
}


def ec2_demands(call: Call) -> Iterator[Demand]:
    """Yield what an EC2 call demands."""
    maker = _OPERATIONS.get(call.operation)
    if maker is not None:
        yield from maker(call)
        return
    yield Demand(action=call.name, context=_region(call))


def ebs_key_demands(call: Call) -> Iterator[Demand]:
    """Yield what a call to the EBS direct API demands of keys that are the account's own."""
    given = call.parameters
    if call.operation == "StartSnapshot" and given.get("KmsKeyArn"):
        yield from _own_key(call, given["KmsKeyArn"], "kms:GenerateDataKeyWithoutPlaintext")
    elif call.operation in ("GetSnapshotBlock", "PutSnapshotBlock"):
        yield from _key_of_snapshot(call, given.get("SnapshotId"))


def _key_of_snapshot(call: Call, snapshot: str | None) -> Iterator[Demand]:
    found = state.ec2(call.account, call.region).snapshots.get(snapshot)
    if found is not None and found.encrypted:
        yield from _own_key(call, found.kms_key_id, "kms:Decrypt")


def _own_key(call: Call, key: str | None, action: str) -> Iterator[Demand]:
    """Demand an action of a customer's key. The key of the service itself serves everybody of its account."""
    found = state.kms_key(call.account, call.region, key) if key else None
    if found is not None and getattr(found, "key_manager", "CUSTOMER") != "AWS":
        yield Demand(
            action=action,
            resource=found.arn,
            context={"kms:viaservice": f"ec2.{call.region}.amazonaws.com", "kms:calleraccount": call.account},
            owner=found.account_id,
            policy=found.policy,
            policy_must_allow=True,
        )


# --- parts of demands ---------------------------------------------------------------------------------------------


def _arn(call: Call, kind: str, name: str = "*") -> str:
    account = "" if kind in _WITHOUT_ACCOUNT else call.account
    return f"arn:aws:ec2:{call.region}:{account}:{kind}/{name}"


def _region(call: Call) -> Context:
    return {"ec2:region": call.region}


def _tagged(call: Call, resource: str) -> Context:
    """Return the context of a resource that is there: its tags."""
    context = _region(call)
    for key, value in list((state.ec2(call.account, call.region).tags.get(resource) or {}).items()):
        context[f"aws:resourcetag/{key.lower()}"] = value
        context[f"ec2:resourcetag/{key.lower()}"] = value
    return context


def _requested(tags: Mapping[str, str]) -> Context:
    context: Context = {f"aws:requesttag/{key.lower()}": value for key, value in tags.items()}
    if tags:
        context["aws:tagkeys"] = tuple(tags)
    return context


def _specified(call: Call) -> dict[str, dict[str, str]]:
    """Return the tags of a request by type of resource."""
    found: dict[str, dict[str, str]] = {}
    for specification in call.parameters.get("TagSpecifications") or []:
        tags = {tag["Key"]: tag.get("Value", "") for tag in specification.get("Tags") or []}
        found.setdefault(specification.get("ResourceType", ""), {}).update(tags)
    return found


def _tags_at_creation(call: Call, specified: Mapping[str, Mapping[str, str]]) -> Iterator[Demand]:
    for kind, tags in specified.items():
        context = _region(call) | _requested(tags) | {"ec2:createaction": call.operation}
        yield Demand(action="ec2:CreateTags", resource=_arn(call, kind), context=context)


def _existing(*sources: tuple[str, str]) -> Maker:
    """Return a maker for an operation on resources that are there: (parameter, type of resource) each."""

    def demands(call: Call) -> Iterator[Demand]:
        for parameter, kind in sources:
            for name in _listed(call.parameters.get(parameter)):
                yield Demand(action=call.name, resource=_arn(call, kind, name), context=_tagged(call, name))

    return demands


def _listed(value: Any) -> Iterable[str]:
    if not value:
        return ()
    return [value] if isinstance(value, str) else [str(one) for one in value]


# --- operations ---------------------------------------------------------------------------------------------------


def _run_instances(call: Call) -> Iterator[Demand]:
    given, specified, place = call.parameters, _specified(call), _region(call)
    options = given.get("MetadataOptions") or {}
    role, profile = _profile(call)
    common: Context = {
        "ec2:instancetype": str(given.get("InstanceType", "m1.small")),
        "ec2:metadatahttptokens": str(options.get("HttpTokens", "optional")),
        "ec2:metadatahttpendpoint": str(options.get("HttpEndpoint", "enabled")),
        "ec2:metadatahttpputresponsehoplimit": str(options.get("HttpPutResponseHopLimit", "1")),
        "ec2:rootdevicetype": "ebs",
        "ec2:tenancy": str((given.get("Placement") or {}).get("Tenancy", "default")),
    }
    if profile:
        common["ec2:instanceprofile"] = profile
    interfaces = given.get("NetworkInterfaces") or [{}]
    yield Demand(
        action=call.name,
        resource=_arn(call, "instance"),
        context=place | common | _requested(specified.get("instance", {})),
    )
    for volume in _volumes_at_launch(given):
        yield Demand(
            action=call.name,
            resource=_arn(call, "volume"),
            context=place | volume | _requested(specified.get("volume", {})),
        )
    for interface in interfaces:
        yield from _interface(call, interface, specified.get("network-interface", {}))
    yield from _existing(("ImageId", "image"), ("KeyName", "key-pair"))(call)
    for mapping in given.get("BlockDeviceMappings") or []:
        if snapshot := (mapping.get("Ebs") or {}).get("SnapshotId"):
            yield Demand(action=call.name, resource=_arn(call, "snapshot", snapshot), context=_tagged(call, snapshot))
    yield from _tags_at_creation(call, specified)
    if role:
        yield Demand(action="iam:PassRole", resource=role, context={"iam:passedtoservice": "ec2.amazonaws.com"})


def _volumes_at_launch(given: Mapping[str, Any]) -> list[Context]:
    """Return the context of every volume that a launch makes; the root volume is made in any case."""
    found: list[Context] = []
    for mapping in given.get("BlockDeviceMappings") or [{}]:
        ebs = mapping.get("Ebs") or {}
        found.append(
            {
                "ec2:encrypted": str(bool(ebs.get("Encrypted", False))).lower(),
                "ec2:volumetype": str(ebs.get("VolumeType", "gp2")),
                "ec2:volumesize": str(ebs.get("VolumeSize", 8)),
            }
        )
    return found


def _interface(call: Call, interface: Mapping[str, Any], tags: Mapping[str, str]) -> Iterator[Demand]:
    given = call.parameters
    subnet = interface.get("SubnetId") or given.get("SubnetId") or _default_subnet(call)
    groups = interface.get("Groups") or given.get("SecurityGroupIds") or []
    context = _region(call) | _requested(tags)
    if subnet:
        context["ec2:subnet"] = _arn(call, "subnet", subnet)
    if "AssociatePublicIpAddress" in interface:
        context["ec2:associatepublicipaddress"] = str(bool(interface["AssociatePublicIpAddress"])).lower()
    yield Demand(action=call.name, resource=_arn(call, "network-interface"), context=context)
    if subnet:
        yield Demand(action=call.name, resource=_arn(call, "subnet", subnet), context=_tagged(call, subnet))
    for group in groups or ["default"]:
        yield Demand(action=call.name, resource=_arn(call, "security-group", group), context=_tagged(call, group))


def _default_subnet(call: Call) -> str | None:
    for subnets in list(state.ec2(call.account, call.region).subnets.values()):
        for subnet in list(subnets.values()):
            if subnet.default_for_az:
                return str(subnet.id)
    return None


def _profile(call: Call) -> tuple[str | None, str | None]:
    """Return the ARNs of the role and of the profile that a launch passes on."""
    given = call.parameters.get("IamInstanceProfile") or {}
    name = given.get("Name") or str(given.get("Arn", "")).rpartition("/")[2]
    found = state.profile(call.account, name) if name else None
    if found is None:
        return None, None
    return (str(found.roles[0].arn) if found.roles else None), str(found.arn)


def _create_tags(call: Call) -> Iterator[Demand]:
    tags = {tag["Key"]: tag.get("Value", "") for tag in call.parameters.get("Tags") or []}
    for resource in call.parameters.get("Resources") or []:
        kind = _TYPES.get(str(resource).partition("-")[0], "*")
        yield Demand(
            action=call.name, resource=_arn(call, kind, resource), context=_tagged(call, resource) | _requested(tags)
        )


def _create_snapshots(call: Call) -> Iterator[Demand]:
    wanted = call.parameters.get("InstanceSpecification") or {}
    instance_id = str(wanted.get("InstanceId", ""))
    yield Demand(action=call.name, resource=_arn(call, "instance", instance_id), context=_tagged(call, instance_id))
    instance = state.instance(call.account, call.region, instance_id)
    mapping = {} if instance is None else dict(instance.block_device_mapping)
    left_out = set(wanted.get("ExcludeDataVolumeIds") or [])
    if wanted.get("ExcludeBootVolume") and instance is not None:
        mapping.pop(instance.root_device_name, None)
    yield from _snapshots(call, [one.volume_id for one in mapping.values() if one.volume_id not in left_out])


def _create_snapshot(call: Call) -> Iterator[Demand]:
    yield from _snapshots(call, [str(call.parameters.get("VolumeId", ""))])


def _snapshots(call: Call, volumes: list[str]) -> Iterator[Demand]:
    specified = _specified(call)
    for volume in volumes:
        yield Demand(action=call.name, resource=_arn(call, "volume", volume), context=_tagged(call, volume))
        parent: Context = {"ec2:parentvolume": _arn(call, "volume", volume)}
        yield Demand(
            action=call.name,
            resource=_arn(call, "snapshot"),
            context=_region(call) | parent | _requested(specified.get("snapshot", {})),
        )
    yield from _tags_at_creation(call, specified)


def _register_image(call: Call) -> Iterator[Demand]:
    specified = _specified(call)
    context = _region(call) | _requested(specified.get("image", {}))
    yield Demand(action=call.name, resource=_arn(call, "image"), context=context)
    for mapping in call.parameters.get("BlockDeviceMappings") or []:
        if snapshot := (mapping.get("Ebs") or {}).get("SnapshotId"):
            yield Demand(action=call.name, resource=_arn(call, "snapshot", snapshot), context=_tagged(call, snapshot))
    yield from _tags_at_creation(call, specified)


def _create_volume(call: Call) -> Iterator[Demand]:
    given, specified = call.parameters, _specified(call)
    context = _region(call) | _requested(specified.get("volume", {}))
    context["ec2:encrypted"] = str(bool(given.get("Encrypted", False))).lower()
    context["ec2:volumetype"] = str(given.get("VolumeType", "gp2"))
    context["ec2:availabilityzone"] = str(given.get("AvailabilityZone", ""))
    if "Size" in given:
        context["ec2:volumesize"] = str(given["Size"])
    snapshot = given.get("SnapshotId")
    if snapshot:
        context["ec2:parentsnapshot"] = _arn(call, "snapshot", snapshot)
    yield Demand(action=call.name, resource=_arn(call, "volume"), context=context)
    if snapshot:
        yield Demand(action=call.name, resource=_arn(call, "snapshot", snapshot), context=_tagged(call, snapshot))
    yield from _tags_at_creation(call, specified)
    yield from _key_of_snapshot(call, snapshot)
    if given.get("KmsKeyId"):
        yield from _own_key(call, given["KmsKeyId"], "kms:GenerateDataKeyWithoutPlaintext")
        yield from _own_key(call, given["KmsKeyId"], "kms:CreateGrant")


_OPERATIONS: Final[dict[str, Maker]] = {
    "RunInstances": _run_instances,
    "StartInstances": _existing(("InstanceIds", "instance")),
    "StopInstances": _existing(("InstanceIds", "instance")),
    "RebootInstances": _existing(("InstanceIds", "instance")),
    "TerminateInstances": _existing(("InstanceIds", "instance")),
    "GetConsoleOutput": _existing(("InstanceId", "instance")),
    "DescribeInstanceAttribute": _existing(("InstanceId", "instance")),
    "ModifyInstanceAttribute": _existing(("InstanceId", "instance")),
    "RegisterImage": _register_image,
    "DeregisterImage": _existing(("ImageId", "image")),
    "CreateTags": _create_tags,
    "DeleteTags": _create_tags,
    "CreateSnapshots": _create_snapshots,
    "CreateSnapshot": _create_snapshot,
    "DeleteSnapshot": _existing(("SnapshotId", "snapshot")),
    "ModifySnapshotAttribute": _existing(("SnapshotId", "snapshot")),
    "CreateVolume": _create_volume,
    "DeleteVolume": _existing(("VolumeId", "volume")),
    "ModifyVolume": _existing(("VolumeId", "volume")),
    "AttachVolume": _existing(("VolumeId", "volume"), ("InstanceId", "instance")),
    "DescribeVpcAttribute": _existing(("VpcId", "vpc")),
    "DetachVolume": _existing(("VolumeId", "volume"), ("InstanceId", "instance")),
}
