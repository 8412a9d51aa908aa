"""The restore of an entire instance, as the control plane's adapters make it, under the role documents."""

from __future__ import annotations

from orchestrator import tags
from orchestrator.ports import Device, NewImage, NewMachine
from support.blocks import block, put
from support.seeded import FIRST, INSTALL, World
from support.servers import wait_for

SESSION = "s-01JD8ZQWB2M3N4P5Q6R7S8T9VD"
_ROOT = "/dev/xvda"


def restore_an_instance(world: World) -> None:
    """An image over a filled snapshot; one instance that is completed, one that is given up; nothing else stays."""
    access = world.access(FIRST, "restore")
    compute, machines = world.product.compute(access), world.product.machines(access)
    marks = tags.session_tags(INSTALL, SESSION)
    started = compute.start_snapshot(token="instance", size_gib=1, tags=marks, encrypted=False, kms_key=None)
    ebs = world.cloud.admin("ebs", FIRST)
    put(ebs, started.snapshot_id, 0, block(1))
    ebs.complete_snapshot(SnapshotId=started.snapshot_id, ChangedBlocksCount=1)
    wait_for(lambda: compute.snapshots(ids=[started.snapshot_id])[0].state == "completed", seconds=20)
    image = NewImage(
        name=f"image-{SESSION}",
        root_device=_ROOT,
        devices=(Device(name=_ROOT, snapshot_id=started.snapshot_id, size_gib=1, type="gp3"),),
        architecture="x86_64",
        tags=marks,
    )
    image_id = machines.make_image(image).image_id
    assert [one.state for one in machines.images(ids=[image_id])] == ["available"]
    kept, given_up = (_started(world, image_id, number) for number in (1, 2))

    (made,) = machines.machines(ids=[kept])
    machines.tag(list(made.volumes.values()), {"disk": "root"})
    machines.outlive(kept, [_ROOT])
    machines.stop(kept)
    world.cloud.wait_for_state(FIRST, kept, "stopped")
    machines.release([kept, *made.volumes.values()], [tags.RESTORING])
    machines.absent(given_up)
    world.cloud.wait_for_state(FIRST, given_up, "terminated")
    machines.absent_image(image_id)
    compute.absent_snapshot(started.snapshot_id)
    world.cloud.admin("ec2", FIRST).terminate_instances(InstanceIds=[kept])


def _started(world: World, image_id: str, number: int) -> str:
    subnet, group = world.network(FIRST)
    marks = tags.restoring_tags(INSTALL, SESSION, number, 1)
    made = world.product.machines(world.access(FIRST, "restore")).make(
        NewMachine(
            token=f"instance-{number}",
            image_id=image_id,
            instance_type="t3.small",
            subnet=subnet,
            security_groups=(group,),
            tags={"Name": "restored", **marks},
            marks=marks,
        )
    )
    world.cloud.wait_for_state(FIRST, made.instance_id, "running")
    return made.instance_id
