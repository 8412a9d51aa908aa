"""Machine images: which snapshots an instance's volumes are made of.

moto gives an instance one empty volume whatever its image says, and forgets the device mapping that an image was
registered with. Here an image has its mapping, and a launch gets the image's with the request's on top of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from localcloud import state
from localcloud.blocks.life import COMPLETED
from localcloud.call import Call
from localcloud.errors import AwsError
from localcloud.moto_behaviour import replace

#: GiB of the root volume of images that nobody registered.
ROOT_SIZE: Final = 1
_PARAMETER: Final = "BlockDeviceMapping."

_installed: list[bool] = []


def install() -> None:
    """Change moto, once per process; later calls do nothing."""
    if _installed:
        return
    _installed.append(True)
    from moto.ec2.models.amis import Ami

    made = Ami.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        made(self, *args, **kwargs)
        self.ebs_snapshot.volume.size = ROOT_SIZE
        self.mappings = None

    def mappings(self: Any) -> list[dict[str, Any]]:
        if self.mappings is not None:
            return list(self.mappings)
        ebs = {
            "SnapshotId": self.ebs_snapshot.id,
            "VolumeSize": self.ebs_snapshot.volume_size,
            "DeleteOnTermination": True,
            "VolumeType": "gp3",
            "Encrypted": self.ebs_snapshot.encrypted,
        }
        return [{"DeviceName": self.root_device_name, "Ebs": ebs}]

    replace(Ami, "__init__", init)
    replace(Ami, "block_device_mappings", property(mappings))


def complete_launch(call: Call) -> None:
    """Write into a RunInstances call what its image says of volumes.

    Raises `AwsError` for a snapshot that cannot be used: moto would see it with the instance half made.
    """
    image = state.ec2(call.account, call.region).amis.get(call.parameters.get("ImageId"))
    if image is None:
        return
    merged: dict[str, dict[str, Any]] = {one["DeviceName"]: dict(one) for one in image.block_device_mappings}
    for given in call.parameters.get("BlockDeviceMappings") or []:
        device = given.get("DeviceName", "")
        if given.get("NoDevice") is not None:
            merged.pop(device, None)
            continue
        known = merged.get(device, {}).get("Ebs", {})
        merged[device] = {**given, "Ebs": {**known, **(given.get("Ebs") or {})}}
    backend = state.ec2(call.account, call.region)
    form = [
        (name, value)
        for name, value in parse_qsl(call.body.decode(), keep_blank_values=True)
        if not name.startswith(_PARAMETER)
    ]
    for number, mapping in enumerate(merged.values(), start=1):
        ebs = mapping["Ebs"]
        _check_snapshot(backend, ebs)
        # EC2's default: the root volume goes with the instance, data volumes stay.
        ebs.setdefault("DeleteOnTermination", mapping["DeviceName"] == image.root_device_name)
        form.append((f"{_PARAMETER}{number}.DeviceName", mapping["DeviceName"]))
        form += [(f"{_PARAMETER}{number}.Ebs.{name}", _text(value)) for name, value in ebs.items()]
    call.body = urlencode(form).encode()


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def check_registration(call: Call) -> None:
    """Refuse a RegisterImage call whose name is taken or whose snapshots cannot be used. Raises `AwsError`."""
    backend = state.ec2(call.account, call.region)
    name = call.parameters.get("Name")
    for image in list(backend.amis.values()):
        if image.name == name and image.owner_id == call.account:
            raise AwsError("InvalidAMIName.Duplicate", f"AMI name {name} is already in use by AMI {image.id}")
    for mapping in call.parameters.get("BlockDeviceMappings") or []:
        _check_snapshot(backend, mapping.get("Ebs") or {})


def _check_snapshot(backend: Any, ebs: Mapping[str, Any]) -> None:
    """Refuse a device whose snapshot is not there, not completed or too large for it."""
    snapshot_id = ebs.get("SnapshotId")
    if snapshot_id is None:
        return
    snapshot = backend.snapshots.get(snapshot_id)
    if snapshot is None:
        raise AwsError("InvalidSnapshot.NotFound", f"The snapshot '{snapshot_id}' does not exist.")
    if snapshot.status != COMPLETED:
        raise AwsError("IncorrectState", f"Snapshot is in invalid state - {snapshot.status}")
    size = int(ebs.get("VolumeSize") or 0)
    if 0 < size < snapshot.volume_size:
        raise AwsError(
            "InvalidBlockDeviceMapping",
            f"Volume of size {size}GB is smaller than snapshot '{snapshot.id}', "
            f"expect size >= {snapshot.volume_size}GB",
        )


def finish_registration(call: Call, image: Any) -> None:
    """Give an image that has just been registered what RegisterImage said of it."""
    given = call.parameters
    image.root_device_name = given.get("RootDeviceName") or image.root_device_name
    image.architecture = given.get("Architecture") or "i386"
    image.virtualization_type = given.get("VirtualizationType") or "paravirtual"
    image.root_device_type = "ebs"
    image.boot_mode = given.get("BootMode")
    image.ena_support = bool(given.get("EnaSupport"))
    for specification in given.get("TagSpecifications") or []:
        if specification.get("ResourceType") == "image":
            image.add_tags({tag["Key"]: tag.get("Value", "") for tag in specification.get("Tags", [])})
    mappings = [_registered(image, mapping) for mapping in given.get("BlockDeviceMappings") or []]
    if mappings:
        image.mappings = mappings
        # The snapshot that moto made up has no place in the image.
        made_up = image.ebs_snapshot
        made_up.from_ami = None
        image.ec2_backend.delete_snapshot(made_up.id)


def finish_launch(call: Call, instance: Any) -> None:
    """Give an instance that has just been launched what its image says of machines."""
    image = state.ec2(call.account, call.region).amis.get(call.parameters.get("ImageId"))
    if image is not None and image.mappings is not None:
        instance.boot_mode = image.boot_mode
        instance.ena_support = getattr(image, "ena_support", True)


def _registered(image: Any, mapping: Mapping[str, Any]) -> dict[str, Any]:
    ebs = dict(mapping.get("Ebs") or {})
    snapshot = image.ec2_backend.snapshots.get(ebs.get("SnapshotId"))
    if snapshot is not None:
        # EC2 does not let a snapshot go that an image needs.
        snapshot.from_ami = image.id
        ebs.setdefault("VolumeSize", snapshot.volume_size)
        ebs["Encrypted"] = snapshot.encrypted
    ebs.setdefault("DeleteOnTermination", mapping.get("DeviceName") == image.root_device_name)
    ebs.setdefault("VolumeType", "gp2")
    return {"DeviceName": mapping.get("DeviceName", ""), "Ebs": ebs}
