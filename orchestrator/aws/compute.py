"""EC2 and the start of EBS direct snapshots, for one role in one account and Region."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from orchestrator import tags as names
from orchestrator.aws import machine, views
from orchestrator.aws.credentials import Identities
from orchestrator.aws.ec2 import Ec2
from orchestrator.aws.errors import translated
from orchestrator.aws.pacing import looking
from orchestrator.errors import AccessDenied, Missing, WrongRequest
from orchestrator.model.plan import Access
from orchestrator.ports import InstanceView, LaunchCall, Limiter, NewVolume, SnapshotView, Tags, VolumeView

#: Ids in one filter; EC2 takes 200 values.
_PAGE = 100
#: EC2 asks for small termination batches: one bad id fails the whole call.
_TERMINATE = 50
#: EC2's answer to a call that was only tried.
_WOULD_BE_ALLOWED = "DryRunOperation"
#: Characters of a console's end: what an agent says before it gives up.
_CONSOLE = 1500


class AwsCompute(Ec2):
    """`orchestrator.ports.Compute` on AWS."""

    def __init__(
        self,
        identities: Identities,
        access: Access,
        install: str,
        limiter: Limiter | None = None,
        *,
        yields: bool = False,
    ) -> None:
        """Take the identities, who is meant, the install whose tag marks what is ours, and whether looks may wait."""
        super().__init__(identities, access, limiter)
        self._install = install
        self._yields = yields

    @contextmanager
    def _looking(self, api: str, doing: str, ids: Sequence[str] = ()) -> Iterator[None]:
        pages = max(1, len(_pages(ids)))
        with looking(self._limiter, self._access, api, doing, pages=pages, yields=self._yields):
            yield

    def instances(self, ids: Sequence[str]) -> dict[str, InstanceView]:
        """See the port."""
        found: dict[str, InstanceView] = {}
        with self._looking("DescribeInstances", "describe instances", ids):
            described = [
                one
                for page in _pages(ids)
                for one in self._describe([{"Name": "instance-id", "Values": page}])
                if one["State"]["Name"] not in ("terminated", "shutting-down")
            ]
            mapped = {
                mapping["Ebs"]["VolumeId"]: (mapping["DeviceName"], mapping["Ebs"].get("DeleteOnTermination", False))
                for one in described
                for mapping in one.get("BlockDeviceMappings", [])
                if "Ebs" in mapping
            }
            volumes = {one["VolumeId"]: one for one in self._volumes(list(mapped))}
        for one in described:
            own = tuple(
                views.volume_source(volumes[volume], mapped[volume][0], ends_with_instance=mapped[volume][1])
                for volume in (
                    mapping["Ebs"]["VolumeId"] for mapping in one.get("BlockDeviceMappings", []) if "Ebs" in mapping
                )
                if volume in volumes
            )
            found[one["InstanceId"]] = views.instance(one, own, machine.configuration(one))
        return found

    def user_data(self, instance_id: str) -> str | None:
        """See the port."""
        with translated(f"read the user data of {instance_id}"):
            answer = self._ec2.describe_instance_attribute(InstanceId=instance_id, Attribute="userData")
        return (answer.get("UserData") or {}).get("Value") or None

    def find_instances(self, tags: Tags) -> list[str]:
        """See the port."""
        with self._looking("DescribeInstances", "find instances by tags"):
            return sorted(
                one["InstanceId"]
                for one in self._describe(views.tag_filters(tags))
                if one["State"]["Name"] not in ("terminated", "shutting-down")
            )

    def workers(self, *, session: str | None = None, ids: Sequence[str] = ()) -> list[InstanceView]:
        """See the port."""
        with self._looking("DescribeInstances", "describe workers", ids):
            if ids:
                described = [
                    one for page in _pages(ids) for one in self._describe([{"Name": "instance-id", "Values": page}])
                ]
            else:
                wanted = {names.INSTALL: self._install} | ({names.SESSION: session} if session else {})
                described = list(self._describe(views.tag_filters(wanted)))
        return [views.instance(one) for one in described]

    def _describe(self, filters: list[dict[str, Any]]) -> Iterator[Mapping[str, Any]]:
        pages = self._ec2.get_paginator("describe_instances").paginate(
            Filters=filters, PaginationConfig={"PageSize": 500}
        )
        for page in pages:
            for reservation in page["Reservations"]:
                yield from reservation["Instances"]

    def _volumes(self, ids: Sequence[str], tags: Tags | None = None) -> list[Mapping[str, Any]]:
        filters = views.tag_filters(tags) if tags is not None else []
        paginator = self._ec2.get_paginator("describe_volumes")
        searches = [[*filters, {"Name": "volume-id", "Values": page}] for page in _pages(ids)] if ids else [filters]
        if not ids and tags is None:
            return []
        return [
            one
            for search in searches
            for page in paginator.paginate(Filters=search, PaginationConfig={"PageSize": 500})
            for one in page["Volumes"]
        ]

    def launch(self, call: LaunchCall) -> list[InstanceView]:
        """See the port."""
        client = self._identities.client("ec2", self._access.role, self._access.region, launching=True)
        with translated(f"launch {call.count} x {call.instance_type}"):
            answer = client.run_instances(ClientToken=call.token, **_parameters(call))
        return [views.instance(one) for one in answer["Instances"]]

    def try_launch(self, call: LaunchCall) -> None:
        """Ask EC2 whether a launch would be allowed, and launch nothing. Raises as `launch` does."""
        client = self._identities.client("ec2", self._access.role, self._access.region, launching=True)
        try:
            with translated(f"try to launch {call.instance_type}"):
                client.run_instances(DryRun=True, **_parameters(call))
        except WrongRequest as error:
            if error.code != _WOULD_BE_ALLOWED:
                raise

    def terminate(self, ids: Sequence[str]) -> None:
        """See the port."""
        for page in _pages(ids, _TERMINATE):
            try:
                with self._paced("TerminateInstances", "terminate workers", resources=len(page)):
                    self._ec2.terminate_instances(InstanceIds=page)
            except (Missing, AccessDenied):
                # One id that is gone fails the page: as missing, or as refused, for it has no tag of ours any more.
                for one in self.workers(ids=page):
                    if one.state not in ("terminated", "shutting-down"):
                        self._terminate_one(one.instance_id)

    def _terminate_one(self, instance_id: str) -> None:
        try:
            with self._paced("TerminateInstances", f"terminate {instance_id}", resources=1):
                self._ec2.terminate_instances(InstanceIds=[instance_id])
        except Missing:
            return

    def zone_of_subnet(self, subnet: str) -> str:
        """See the port."""
        with translated(f"describe subnet {subnet}"):
            return str(self._ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["AvailabilityZone"])

    def make_snapshots(
        self, instance_id: str, *, exclude_volumes: Sequence[str], exclude_boot: bool, tags: Tags, description: str
    ) -> list[SnapshotView]:
        """See the port."""
        # A client that repeats a call whose answer was lost would take a second set without anybody's knowledge.
        client = self._identities.client("ec2", self._access.role, self._access.region, launching=True)
        with self._paced("CreateSnapshots", f"snapshot the volumes of {instance_id}"):
            specification: dict[str, Any] = {"InstanceId": instance_id}
            if exclude_volumes:
                specification["ExcludeDataVolumeIds"] = list(exclude_volumes)
            if exclude_boot:
                specification["ExcludeBootVolume"] = True
            answer = client.create_snapshots(
                InstanceSpecification=specification,
                Description=description,
                TagSpecifications=[{"ResourceType": "snapshot", "Tags": views.tag_list(tags)}],
            )
        return [views.snapshot(one) for one in answer["Snapshots"]]

    def start_snapshot(
        self, *, token: str, size_gib: int, tags: Tags, encrypted: bool, kms_key: str | None
    ) -> SnapshotView:
        """See the port."""
        client = self._identities.client("ebs", self._access.role, self._access.region)
        options: dict[str, Any] = {"Encrypted": True} if encrypted else {}
        if encrypted and kms_key:
            options["KmsKeyArn"] = kms_key
        with translated("start a snapshot"):
            answer = client.start_snapshot(
                VolumeSize=size_gib, ClientToken=token, Tags=views.tag_list(tags), Timeout=24 * 60, **options
            )
        return views.snapshot({**answer, "Tags": answer.get("Tags", [])})

    def snapshots(self, *, ids: Sequence[str] = (), tags: Tags | None = None) -> list[SnapshotView]:
        """See the port."""
        if not ids and tags is None:
            return []
        filters = views.tag_filters(tags) if tags is not None else []
        searches = [[*filters, {"Name": "snapshot-id", "Values": page}] for page in _pages(ids)] if ids else [filters]
        with self._looking("DescribeSnapshots", "describe snapshots", ids):
            paginator = self._ec2.get_paginator("describe_snapshots")
            return [
                views.snapshot(one)
                for search in searches
                for page in paginator.paginate(OwnerIds=["self"], Filters=search, PaginationConfig={"PageSize": 500})
                for one in page["Snapshots"]
            ]

    def absent_snapshot(self, snapshot_id: str) -> None:
        """See the port."""
        try:
            with self._paced("DeleteSnapshot", f"delete snapshot {snapshot_id}"):
                self._ec2.delete_snapshot(SnapshotId=snapshot_id)
        except Missing:
            return
        except AccessDenied:
            # What is gone has no tag of ours, so that AWS refuses rather than says so.
            if self.snapshots(ids=[snapshot_id]):
                raise

    def make_volume(self, volume: NewVolume) -> VolumeView:
        """See the port."""
        options: dict[str, Any] = {}
        if volume.type in ("io1", "io2", "gp3") and volume.iops:
            options["Iops"] = volume.iops
        if volume.type == "gp3" and volume.throughput:
            options["Throughput"] = volume.throughput
        if volume.initialization_rate is not None:
            options["VolumeInitializationRate"] = volume.initialization_rate
        if volume.encrypted:
            options["Encrypted"] = True
            if volume.kms_key:
                options["KmsKeyId"] = volume.kms_key
        with self._paced("CreateVolume", f"make a volume from {volume.snapshot_id}"):
            answer = self._ec2.create_volume(
                ClientToken=volume.token,
                SnapshotId=volume.snapshot_id,
                AvailabilityZone=volume.availability_zone,
                VolumeType=volume.type,
                Size=volume.size_gib,
                TagSpecifications=[{"ResourceType": "volume", "Tags": views.tag_list(volume.tags)}],
                **options,
            )
        return views.volume(answer)

    def volumes(self, *, ids: Sequence[str] = (), tags: Tags | None = None) -> list[VolumeView]:
        """See the port."""
        with self._looking("DescribeVolumes", "describe volumes", ids):
            return [views.volume(one) for one in self._volumes(ids, tags)]

    def console_output(self, instance_id: str) -> str:
        """See the port."""
        with translated(f"read the console of {instance_id}"):
            answer = self._ec2.get_console_output(InstanceId=instance_id)
        return str(answer.get("Output") or "")[-_CONSOLE:]

    def attach_volume(self, volume_id: str, instance_id: str, device: str) -> None:
        """See the port."""
        with self._paced("AttachVolume", f"attach {volume_id} to {instance_id}"):
            for one in self._volumes([volume_id]):
                if any(attachment.get("InstanceId") == instance_id for attachment in one.get("Attachments", [])):
                    return
            self._ec2.attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device=device)

    def absent_volume(self, volume_id: str) -> None:
        """See the port."""
        try:
            with self._paced("DeleteVolume", f"delete volume {volume_id}"):
                self._ec2.delete_volume(VolumeId=volume_id)
        except Missing:
            return
        except AccessDenied:
            if self.volumes(ids=[volume_id]):
                raise


def _parameters(call: LaunchCall) -> dict[str, Any]:
    tags = views.tag_list(call.tags)
    return {
        "MinCount": 1,
        "MaxCount": call.count,
        "ImageId": call.image,
        "InstanceType": call.instance_type,
        **({"IamInstanceProfile": {"Name": call.profile}} if call.profile else {}),
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1, "HttpEndpoint": "enabled"},
        "NetworkInterfaces": [
            {
                "DeviceIndex": 0,
                "SubnetId": call.subnet,
                "Groups": list(call.security_groups),
                "AssociatePublicIpAddress": call.public_address,
                "DeleteOnTermination": True,
            }
        ],
        "BlockDeviceMappings": [
            {
                "DeviceName": "/dev/xvda",
                "Ebs": {"Encrypted": True, "VolumeType": "gp3", "DeleteOnTermination": True},
            }
        ],
        "UserData": call.user_data,
        "TagSpecifications": [
            {"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume", "network-interface")
        ],
    }


def _pages(ids: Sequence[str], size: int = _PAGE) -> list[list[str]]:
    return [list(ids[start : start + size]) for start in range(0, len(ids), size)]
