"""The promises of `orchestrator.ports.Machines`."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from support.labs import FIRST, Lab

from orchestrator import tags
from orchestrator.errors import AccessDenied, Retryable
from orchestrator.ports import Compute, Device, Machines, MachineView, NewImage, NewMachine

_numbers = itertools.count(1)
UNKNOWN = ("ami-0123456789abcdef0", "i-0123456789abcdef0")


@pytest.fixture
def compute(lab: Lab) -> Compute:
    """EC2 as the backup role sees it."""
    return lab.cloud.compute(lab.access(FIRST, "backup"))


@pytest.fixture
def machines(lab: Lab) -> Machines:
    """Images and instances as the restore role sees them."""
    return lab.cloud.machines(lab.access(FIRST, "restore"))


@pytest.fixture
def image(lab: Lab, compute: Compute) -> NewImage:
    """An image over completed snapshots of two volumes, not registered yet."""
    source, session = lab.source(FIRST), f"s-restored-{next(_numbers)}"
    marks = tags.resource_tags("test", session, 0, 1)
    made = compute.make_snapshots(source, exclude_volumes=(), exclude_boot=False, tags=marks, description="x")
    ids = [one.snapshot_id for one in made]
    lab.until(lambda: all(one.state == "completed" for one in compute.snapshots(ids=ids)))
    return NewImage(
        name=f"image-{session}",
        root_device="/dev/xvda",
        devices=tuple(
            Device(name=name, snapshot_id=one, size_gib=1, type="gp3")
            for name, one in zip(("/dev/xvda", "/dev/sdf"), ids, strict=True)
        ),
        architecture="x86_64",
        boot_mode="uefi",
        tags=marks,
    )


def wanted(lab: Lab, image_id: str) -> NewMachine:
    """Return an instance to start from an image."""
    call, session = lab.call(FIRST), f"s-restored-{next(_numbers)}"
    marks = tags.restoring_tags("test", session, 0, 1)
    return NewMachine(
        token=f"machine-{session}",
        image_id=image_id,
        instance_type="t3.small",
        subnet=call.subnet,
        security_groups=call.security_groups,
        tags={"Name": "shop", **marks},
        marks=marks,
        devices=("/dev/xvda", "/dev/sdf"),
        user_data="IyEvYmluL3NoCg==",
        initialization_rate=100,
        options={"MetadataOptions": {"HttpTokens": "required"}},
    )


def started(lab: Lab, machines: Machines, asked: NewMachine) -> MachineView:
    """Start an instance; return it when it runs."""
    made = machines.make(asked).instance_id
    lab.until(lambda: machines.machines(ids=[made])[0].state == "running")
    return machines.machines(ids=[made])[0]


def available(lab: Lab, machines: Machines, image: NewImage) -> str:
    """Register an image; return its id when it can be used."""
    made = machines.make_image(image).image_id
    lab.until(lambda: machines.images(ids=[made])[0].state == "available")
    return made


def test_a_name_is_one_image(lab: Lab, machines: Machines, image: NewImage) -> None:
    """Registered again it is the one that is there; it is found by name and by tags, and gone when it is gone."""
    first = available(lab, machines, image)

    assert machines.make_image(image).image_id == first
    assert [one.image_id for one in machines.images(name=image.name)] == [first]
    assert [one.image_id for one in machines.images(tags=image.tags)] == [first]
    machines.absent_image(first)
    machines.absent_image(first)
    machines.absent_image(UNKNOWN[0])
    assert machines.images(ids=[first]) == []
    assert machines.images() == []


def test_an_image_waits_for_its_snapshots(lab: Lab, machines: Machines, image: NewImage) -> None:
    """`Retryable`, as long as one is pending."""
    restore = lab.cloud.compute(lab.access(FIRST, "restore"))
    pending = restore.start_snapshot(
        token=f"pending-{next(_numbers)}", size_gib=1, tags=image.tags, encrypted=False, kms_key=None
    )
    device = replace(image.devices[0], snapshot_id=pending.snapshot_id)

    with pytest.raises(Retryable):
        machines.make_image(replace(image, name=f"{image.name}-early", devices=(device,)))


def test_the_same_token_is_one_instance_with_the_images_volumes(lab: Lab, machines: Machines, image: NewImage) -> None:
    """With its tags on it and its marks on its volumes; it is nobody's worker."""
    asked = wanted(lab, available(lab, machines, image))

    made = started(lab, machines, asked)

    assert machines.make(asked).instance_id == made.instance_id
    assert [one.instance_id for one in machines.machines(tags=asked.marks)] == [made.instance_id]
    assert set(made.volumes) == {"/dev/xvda", "/dev/sdf"}
    assert made.tags == asked.tags
    restore = lab.cloud.compute(lab.access(FIRST, "restore"))
    volumes = restore.volumes(ids=list(made.volumes.values()))
    assert {one.snapshot_id for one in volumes} == {one.snapshot_id for one in image.devices}
    assert all(asked.marks.items() <= one.tags.items() for one in volumes)
    assert made.instance_id not in {one.instance_id for one in restore.workers()}
    machines.absent(made.instance_id)


def test_an_instance_under_restore_ends_with_its_volumes(lab: Lab, machines: Machines, image: NewImage) -> None:
    """However often it is asked to end, and whatever is named."""
    made = started(lab, machines, wanted(lab, available(lab, machines, image)))
    restore = lab.cloud.compute(lab.access(FIRST, "restore"))

    machines.absent(made.instance_id)
    machines.absent(made.instance_id)
    machines.absent(UNKNOWN[1])

    lab.until(lambda: all(one.state == "terminated" for one in machines.machines(ids=[made.instance_id])))
    lab.until(lambda: restore.volumes(ids=list(made.volumes.values())) == [])


def test_a_complete_instance_is_its_owners_alone(lab: Lab, machines: Machines, image: NewImage) -> None:
    """Tagged, stopped, one volume outliving it; then the mark goes, and no role of ours may end it any more."""
    made = started(lab, machines, wanted(lab, available(lab, machines, image)))
    data = made.volumes["/dev/sdf"]

    machines.tag([data], {"disk": "data"})
    machines.outlive(made.instance_id, ["/dev/sdf"])
    machines.stop(made.instance_id)
    lab.until(lambda: machines.machines(ids=[made.instance_id])[0].state == "stopped")
    machines.stop(made.instance_id)
    everything = [made.instance_id, *made.volumes.values()]
    machines.release(everything, [tags.RESTORING])
    machines.release(everything, [tags.RESTORING])

    source = lab.cloud.compute(lab.access(FIRST, "backup")).instances([made.instance_id])[made.instance_id]
    ends = {one.device: one.attributes["deleteOnTermination"] for one in source.volumes}
    assert ends == {"/dev/xvda": True, "/dev/sdf": False}
    restore = lab.cloud.compute(lab.access(FIRST, "restore"))
    assert restore.volumes(ids=[data])[0].tags["disk"] == "data"
    assert tags.RESTORING not in machines.machines(ids=[made.instance_id])[0].tags
    with pytest.raises(AccessDenied):
        machines.absent(made.instance_id)
    with pytest.raises(AccessDenied):
        machines.tag([data], {"disk": "other"})
