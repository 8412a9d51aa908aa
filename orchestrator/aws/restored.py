"""Images and restored instances, for one role in one account and Region."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from orchestrator.aws import views
from orchestrator.aws.ec2 import Ec2
from orchestrator.aws.errors import translated
from orchestrator.errors import AccessDenied, Missing, Retryable, WrongRequest
from orchestrator.ports import Device, ImageView, MachineView, NewImage, NewMachine

_GONE = ("shutting-down", "terminated")
_STOPPED = ("stopping", "stopped")
#: EC2's answer when an image has the name already.
_NAME_TAKEN = "InvalidAMIName.Duplicate"


class AwsMachines(Ec2):
    """`orchestrator.ports.Machines` on AWS."""

    # --- images ---

    def make_image(self, image: NewImage) -> ImageView:
        """See the port."""
        options: dict[str, Any] = {}
        if image.boot_mode is not None:
            options["BootMode"] = image.boot_mode
        try:
            with translated(f"register image {image.name}"):
                answer = self._ec2.register_image(
                    Name=image.name,
                    Architecture=image.architecture,
                    RootDeviceName=image.root_device,
                    VirtualizationType=image.virtualization,
                    EnaSupport=image.has_ena,
                    BlockDeviceMappings=[_mapping(one) for one in image.devices],
                    TagSpecifications=[{"ResourceType": "image", "Tags": views.tag_list(image.tags)}],
                    **options,
                )
        except WrongRequest as error:
            found = self.images(name=image.name) if error.code == _NAME_TAKEN else []
            if not found:
                raise
            return found[0]
        return ImageView(image_id=answer["ImageId"], state="pending", tags=dict(image.tags))

    def images(
        self, *, ids: Sequence[str] = (), name: str | None = None, tags: Mapping[str, str] | None = None
    ) -> list[ImageView]:
        """See the port."""
        filters = views.tag_filters(tags or {})
        filters += [{"Name": "image-id", "Values": list(ids)}] if ids else []
        filters += [{"Name": "name", "Values": [name]}] if name is not None else []
        if not filters:
            return []
        with translated("describe images"):
            pages = self._ec2.get_paginator("describe_images").paginate(Owners=["self"], Filters=filters)
            return [_image(one) for page in pages for one in page["Images"]]

    def absent_image(self, image_id: str) -> None:
        """See the port."""
        try:
            with translated(f"deregister {image_id}"):
                self._ec2.deregister_image(ImageId=image_id)
        except Missing:
            return
        except (AccessDenied, Retryable):
            # What is gone has no tag of ours, so that AWS refuses rather than says so.
            if self.images(ids=[image_id]):
                raise

    # --- instances ---

    def make(self, machine: NewMachine) -> MachineView:
        """See the port."""
        client = self._identities.client("ec2", self._access.role, self._access.region, launching=True)
        with self._paced("RunInstances", f"start the restored {machine.instance_type}", resources=1):
            answer = client.run_instances(ClientToken=machine.token, **_parameters(machine))
        return _machine(answer["Instances"][0])

    def machines(self, *, ids: Sequence[str] = (), tags: Mapping[str, str] | None = None) -> list[MachineView]:
        """See the port."""
        filters = views.tag_filters(tags or {})
        filters += [{"Name": "instance-id", "Values": list(ids)}] if ids else []
        if not filters:
            return []
        with translated("describe restored instances"):
            pages = self._ec2.get_paginator("describe_instances").paginate(Filters=filters)
            return [
                _machine(one)
                for page in pages
                for reservation in page["Reservations"]
                for one in reservation["Instances"]
            ]

    def tag(self, ids: Sequence[str], tags: Mapping[str, str]) -> None:
        """See the port."""
        if tags:
            with translated(f"tag {', '.join(ids)}"):
                self._ec2.create_tags(Resources=list(ids), Tags=views.tag_list(tags))

    def outlive(self, instance_id: str, devices: Sequence[str]) -> None:
        """See the port."""
        for device in devices:
            with translated(f"let {device} outlive {instance_id}"):
                self._ec2.modify_instance_attribute(
                    InstanceId=instance_id,
                    BlockDeviceMappings=[{"DeviceName": device, "Ebs": {"DeleteOnTermination": False}}],
                )

    def stop(self, instance_id: str) -> None:
        """See the port."""
        if any(one.state in _STOPPED for one in self.machines(ids=[instance_id])):
            return
        with translated(f"stop {instance_id}"):
            self._ec2.stop_instances(InstanceIds=[instance_id])

    def release(self, ids: Sequence[str], tags: Sequence[str]) -> None:
        """See the port."""
        for one in ids:
            try:
                with translated(f"take the mark of the restore from {one}"):
                    self._ec2.delete_tags(Resources=[one], Tags=[{"Key": key} for key in tags])
            except Missing:
                continue
            except AccessDenied:
                # Only what still has the mark may be changed: without it there is nothing left to do.
                if self._marks(one) & set(tags):
                    raise

    def _marks(self, resource: str) -> set[str]:
        if resource.startswith("i-"):
            return {key for one in self.machines(ids=[resource]) for key in one.tags}
        with translated(f"describe {resource}"):
            pages = self._ec2.get_paginator("describe_volumes").paginate(
                Filters=[{"Name": "volume-id", "Values": [resource]}]
            )
            return {key for page in pages for one in page["Volumes"] for key in views.tags_of(one)}

    def absent(self, instance_id: str) -> None:
        """See the port."""
        try:
            with self._paced("TerminateInstances", f"terminate {instance_id}", resources=1):
                self._ec2.terminate_instances(InstanceIds=[instance_id])
        except Missing:
            return
        except AccessDenied:
            if any(one.state not in _GONE for one in self.machines(ids=[instance_id])):
                raise


def _mapping(device: Device) -> dict[str, Any]:
    ebs: dict[str, Any] = {
        "SnapshotId": device.snapshot_id,
        "VolumeSize": device.size_gib,
        "VolumeType": device.type,
        "DeleteOnTermination": True,
    }
    if device.iops is not None and device.type in ("io1", "io2", "gp3"):
        ebs["Iops"] = device.iops
    if device.throughput is not None and device.type == "gp3":
        ebs["Throughput"] = device.throughput
    return {"DeviceName": device.name, "Ebs": ebs}


def _parameters(machine: NewMachine) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        **machine.options,
        "MinCount": 1,
        "MaxCount": 1,
        "ImageId": machine.image_id,
        "InstanceType": machine.instance_type,
        "SubnetId": machine.subnet,
        "SecurityGroupIds": list(machine.security_groups),
        "TagSpecifications": [
            {"ResourceType": "instance", "Tags": views.tag_list(machine.tags)},
            {"ResourceType": "volume", "Tags": views.tag_list(machine.marks)},
        ],
    }
    if machine.profile is not None:
        parameters["IamInstanceProfile"] = {"Name": machine.profile}
    if machine.key_name is not None:
        parameters["KeyName"] = machine.key_name
    if machine.user_data is not None:
        # boto3 encodes by itself.
        parameters["UserData"] = base64.b64decode(machine.user_data)
    if machine.initialization_rate is not None:
        rate = {"VolumeInitializationRate": machine.initialization_rate}
        parameters["BlockDeviceMappings"] = [{"DeviceName": one, "Ebs": rate} for one in machine.devices]
    return parameters


def _image(described: Mapping[str, Any]) -> ImageView:
    made = described.get("CreationDate")
    return ImageView(
        image_id=described["ImageId"],
        state=described.get("State", "pending"),
        made_at=datetime.fromisoformat(made) if made else None,
        reason=(described.get("StateReason") or {}).get("Message"),
        tags=views.tags_of(described),
    )


def _machine(described: Mapping[str, Any]) -> MachineView:
    reason = described.get("StateReason") or {}
    return MachineView(
        instance_id=described["InstanceId"],
        state=described["State"]["Name"],
        availability_zone=described.get("Placement", {}).get("AvailabilityZone", ""),
        launched_at=described.get("LaunchTime"),
        reason=reason.get("Message") or reason.get("Code"),
        volumes={
            one["DeviceName"]: one["Ebs"]["VolumeId"]
            for one in described.get("BlockDeviceMappings", [])
            if "Ebs" in one
        },
        tags=views.tags_of(described),
    )
