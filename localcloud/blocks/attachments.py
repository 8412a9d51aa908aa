"""Attaching and detaching volumes: what EC2 refuses and moto does not."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlencode

from localcloud import state
from localcloud.call import Call
from localcloud.errors import AwsError


def check_attachment(call: Call) -> None:
    """Refuse what EC2 refuses when a volume is attached. Raises `AwsError`."""
    given = call.parameters
    backend = state.ec2(call.account, call.region)
    volume = backend.volumes.get(given.get("VolumeId"))
    instance = backend.get_instance_by_id(given.get("InstanceId"))
    if volume is None or instance is None:
        # moto knows the words for these.
        return
    device = given.get("Device")
    if volume.status == "in-use":
        raise AwsError("VolumeInUse", f"{volume.id} is already attached to an instance")
    if volume.status != "available":
        raise AwsError("IncorrectState", f"Volume '{volume.id}' is not 'available'.")
    if volume.availability_zone != instance.availability_zone:
        raise AwsError(
            "InvalidVolume.ZoneMismatch", f"The volume '{volume.id}' is not in the same availability zone as instance."
        )
    if instance.state not in ("running", "stopped"):
        raise AwsError("IncorrectState", f"Instance '{instance.id}' is not 'running'.")
    if device in instance.block_device_mapping:
        raise AwsError(
            "InvalidParameterValue",
            f"Invalid value '{device}' for unixDevice. Attachment point {device} is already in use",
        )


def complete_detachment(call: Call) -> None:
    """Write into a DetachVolume call from which instance, which moto must be told. Raises `AwsError`."""
    given = call.parameters
    volume = state.ec2(call.account, call.region).volumes.get(given.get("VolumeId"))
    if volume is None:
        return
    attachment = volume.attachment
    if attachment is None:
        raise AwsError("IncorrectState", f"Volume '{volume.id}' is in the '{volume.status}' state.")
    instance = attachment.instance
    if attachment.device == instance.root_device_name and instance.state in ("pending", "running"):
        raise AwsError(
            "OperationNotPermitted", f"Unable to detach root volume '{attachment.device}' from instance '{instance.id}'"
        )
    form = dict(parse_qsl(call.body.decode(), keep_blank_values=True))
    call.body = urlencode({"InstanceId": instance.id, **form}).encode()
