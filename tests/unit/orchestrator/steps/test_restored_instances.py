"""Restores of entire instances: what is made, what stays, and what a failure or a stop leaves."""

from __future__ import annotations

from typing import Any

import pytest
from support.expectations import assert_nothing_left, record, statuses
from support.install import A, B
from support.stage import Stage

from orchestrator import tags
from orchestrator.errors import AccessDenied, Ambiguous, NoCapacity

INTO = {"subnet": "subnet-production-b-1", "securityGroups": ["sg-production-b"]}
MODES = pytest.mark.parametrize("mode", ["backup", "production"])


def restore_point(stage: Stage, **configuration: Any) -> str:
    """Back an instance of two volumes up, whose second one outlives it; return the restore point."""
    source = stage.instance(A, 8, 20, tags={"Name": "shop", "team": "one", "daywork:session": "s-earlier"})
    instance = stage.world.instances[source.split("/")[2]]
    root, data = instance.volumes
    instance.volumes = (
        root.model_copy(update={"attributes": {"deleteOnTermination": True}}),
        data.model_copy(update={"attributes": {"deleteOnTermination": False, "tags": {"disk": "data"}}}),
    )
    instance.configuration |= {
        "architecture": "arm64",
        "bootMode": "uefi",
        "userData": "IyEvYmluL3NoCg==",
        "profile": f"arn:aws:iam::{A}:instance-profile/shop",
        "metadata": {"httpTokens": "required"},
        **configuration,
    }
    session = stage.submit(source)
    stage.run(session)
    return str(record(stage, session)["resources"][0]["result"]["restorePoint"])


def restore(stage: Stage, point: str, mode: str = "backup", **options: Any) -> str:
    """Submit the restore into another account; return the session."""
    return stage.submit(
        f"{B}/eu-west-1/{point}", operation="ec2-restore-instance", mode=mode, options={**INTO, **options}
    )


def kept(stage: Stage, session: str) -> Any:
    """Return the one thing that the session keeps, an instance."""
    (one,) = record(stage, session)["receipt"]["kept"]
    assert one["kind"] == "restored-instance"
    return stage.world.instances[one["id"]]


@MODES
def test_a_restored_instance_has_its_volumes_and_settings_and_nothing_else_is_left(stage: Stage, mode: str) -> None:
    """Image and snapshots go, the instance stays with the recorded tags and without the mark of a restore."""
    point = restore_point(stage)

    session = restore(stage, point, mode)
    stage.run(session)

    assert statuses(stage, session) == ["success"]
    made = kept(stage, session)
    assert [(one.device, one.size_gib) for one in made.volumes] == [("/dev/sda", 8), ("/dev/sdb", 20)]
    assert [one.attributes.get("deleteOnTermination", True) for one in made.volumes] == [True, False]
    assert stage.world.volumes[made.volumes[1].volume_id].tags["disk"] == "data"
    assert made.tags["Name"] == "shop"
    assert made.tags["team"] == "one"
    assert made.tags[tags.SESSION] == session
    assert not {tags.RESTORING, tags.INSTALL} & set(made.tags)
    assert (made.type, made.subnet, made.account) == ("m5.large", INTO["subnet"], B)
    assert_nothing_left(stage, session)


def test_what_is_asked_for_goes_before_what_was_recorded(stage: Stage) -> None:
    """Name and type; powered off it is stopped, and what could not be brought back is told."""
    point = restore_point(stage)

    session = restore(stage, point, name="shop-copy", instanceType="m5.xlarge", powerOn=False)
    stage.run(session)

    made = kept(stage, session)
    result = record(stage, session)["resources"][0]["result"]
    assert (made.type, made.tags["Name"], stage.world.state_of(made)) == ("m5.xlarge", "shop-copy", "stopped")
    assert result["instanceId"] == made.id
    assert result["state"] == "stopped"
    assert [one["newVolumeId"] for one in result["volumes"]] == [one.volume_id for one in made.volumes]
    assert [one for one in result["notRestored"] if "instance profile" in one]
    assert_nothing_left(stage, session)


def test_the_launch_asks_for_the_recorded_settings(stage: Stage) -> None:
    """Architecture and boot mode of the image; user data and metadata options of the instance."""
    point = restore_point(stage)

    session = restore(stage, point)
    stage.run(session)

    (asked,) = [one for key, (one, _) in stage.world.tokens.items() if key[2] == "machine"]
    assert asked.user_data == "IyEvYmluL3NoCg=="
    assert asked.options == {"MetadataOptions": {"HttpTokens": "required"}}
    assert asked.profile is None
    assert_nothing_left(stage, session)


def test_in_its_own_place_an_instance_comes_back_into_its_own_network(stage: Stage) -> None:
    """With its key pair, which means the same there; nothing has to be asked for."""
    network = {"subnet": "subnet-production-a-1", "securityGroups": ["sg-production-a"], "keyName": "ops"}
    point = restore_point(stage, **network)

    session = stage.submit(f"{A}/eu-west-1/{point}", operation="ec2-restore-instance")
    stage.run(session)

    assert statuses(stage, session) == ["success"]
    (asked,) = [one for key, (one, _) in stage.world.tokens.items() if key[2] == "machine"]
    assert (asked.subnet, asked.security_groups, asked.key_name) == (
        "subnet-production-a-1",
        ("sg-production-a",),
        "ops",
    )
    assert_nothing_left(stage, session)


@pytest.mark.parametrize("operation", ["make_image", "make_machine", "tag_machine", "outlive"])
def test_an_instance_that_is_refused_half_way_leaves_nothing(stage: Stage, operation: str) -> None:
    """Whatever was made by then is removed, the reason is told."""
    point = restore_point(stage)
    stage.world.script.fail(operation, AccessDenied("not allowed", remedy="Compare the documents"), times=None)

    session = restore(stage, point)
    stage.run(session)

    assert statuses(stage, session) == ["failed"]
    assert record(stage, session)["resources"][0]["reason"] == "not allowed"
    assert_nothing_left(stage, session)


@pytest.mark.parametrize("operation", ["make_image", "make_machine"])
def test_an_answer_that_is_lost_makes_no_second_one(stage: Stage, operation: str) -> None:
    """The name of the image and the token of the launch find what there is."""
    point = restore_point(stage)
    stage.world.script.fail(operation, Ambiguous("no answer"), after=True)

    session = restore(stage, point)
    stage.run(session)

    assert statuses(stage, session) == ["success"]
    assert_nothing_left(stage, session)


@pytest.mark.parametrize("operation", ["make_image", "make_machine"])
def test_answers_that_are_lost_for_ever_leave_nothing(stage: Stage, operation: str) -> None:
    """What nobody was told of is found by its name or its marks, and removed."""
    point = restore_point(stage)
    stage.world.script.fail(operation, Ambiguous("no answer"), after=True, times=None)

    session = restore(stage, point)
    stage.run(session)

    assert statuses(stage, session) == ["failed"]
    assert_nothing_left(stage, session)


def test_an_instance_that_ends_by_itself_fails_the_restore_with_its_reason(stage: Stage) -> None:
    """EC2 ends instances whose key it may not use."""
    point = restore_point(stage)

    def end(_: Any) -> None:
        for one in stage.world.instances.values():
            if tags.RESTORING in one.tags and one.ends_at is None:
                stage.world.terminate(one.id, "Client.InvalidKMSKey.InvalidState")
                for volume in one.volumes:
                    stage.world.volumes.pop(volume.volume_id, None)

    session = restore(stage, point)
    stage.world.script.on_call = end
    stage.run(session)

    assert statuses(stage, session) == ["failed"]
    assert "Client.InvalidKMSKey.InvalidState" in record(stage, session)["resources"][0]["reason"]
    assert_nothing_left(stage, session)


def test_a_place_without_capacity_is_asked_again(stage: Stage) -> None:
    """As other faults of a moment."""
    point = restore_point(stage)
    stage.world.script.fail("make_machine", NoCapacity("InsufficientInstanceCapacity"), times=2)

    session = restore(stage, point)
    stage.run(session)

    assert statuses(stage, session) == ["success"]
    assert_nothing_left(stage, session)


@pytest.mark.parametrize(
    ("configuration", "reason"),
    [({"platform": "windows"}, "Windows"), ({"rootDevice": "/dev/xvda"}, "does not hold the root volume")],
)
def test_what_no_image_could_start_is_refused_before_anything_is_made(
    stage: Stage, configuration: dict[str, Any], reason: str
) -> None:
    """With the way that there is: its volumes."""
    point = restore_point(stage, **configuration)
    before = len(stage.world.script.calls)

    session = restore(stage, point)
    stage.run(session)

    (resource,) = record(stage, session)["resources"]
    assert resource["status"] == "failed"
    assert reason in resource["reason"]
    assert "ec2-restore-volume" in resource["remedy"]
    assert not {"launch", "start_snapshot"} & {one.operation for one in stage.world.script.calls[before:]}
