"""Things in the cloud that look like ours and are not: whatever happens, none of them may be touched.

planted = plant(stack)          # after the seed, before the first session
...
assert planted.touched(stack.eye) == []
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from console.demo.eye import Eye
from orchestrator import policies, tags
from support.servers import wait_for

#: Another install, whose session looks exactly as ours do.
_OTHER: Final = "other"
_SESSION: Final = "s-01JD0000000000000000000000"
_ROLE: Final = "dw-01jd0000000000000000000000-abcdef"
_TAGS: Final = (
    {tags.INSTALL: _OTHER, tags.SESSION: _SESSION, tags.RESOURCE: "0", tags.ATTEMPT: "1"},
    {tags.SESSION: _SESSION, "Name": "daywork worker"},
)


@dataclass(frozen=True, kw_only=True)
class Lookalike:
    """One of them, and how it looked when it was planted."""

    kind: str
    account: str
    name: str
    look: str


@dataclass(frozen=True)
class Planted:
    """All of them. `names` are what no call of the product may ever be about."""

    things: tuple[Lookalike, ...]

    @property
    def names(self) -> frozenset[str]:
        """Their ids and names."""
        return frozenset(one.name for one in self.things)

    def touched(self, eye: Eye) -> list[str]:
        """Return what does not look as it did, or is gone."""
        return [
            f"{one.kind} {one.name} in {one.account} was touched: {one.look} before, {now} now"
            for one in self.things
            if (now := _look(eye, one.kind, one.account, one.name)) != one.look
        ]


def plant(eye: Eye, accounts: Sequence[str], *, control_account: str, control_bucket: str, install: str) -> Planted:
    """Plant them in every account, as the accounts' own administrators."""
    made = [one for account in accounts for one in _in_account(eye, account, install)]
    key = f"others/{_SESSION}/{_ROLE}"
    eye.client(control_account, "s3").put_object(Bucket=control_bucket, Key=key, Body=b"not an order")
    made.append(("object", control_account, f"{control_bucket}/{key}"))
    for kind, account, name in made:
        settled = _SETTLED.get(kind, "")
        wait_for(partial(_shows, eye, kind, account, name, settled), seconds=30)
    return Planted(tuple(_seen(eye, kind, account, name) for kind, account, name in made))


#: What is seen of a thing that has come to rest.
_SETTLED: Final = {"volume": "available", "snapshot": "completed", "instance": "running"}


def _in_account(eye: Eye, account: str, install: str) -> Iterator[tuple[str, str, str]]:
    """Make an account's look-alikes; yield kind, account and name of each."""
    ec2, iam = eye.client(account, "ec2"), eye.client(account, "iam")
    zone = ec2.describe_availability_zones()["AvailabilityZones"][0]["ZoneName"]
    for marks in _TAGS:
        volume = ec2.create_volume(AvailabilityZone=zone, Size=1, TagSpecifications=_specification("volume", marks))
        yield "volume", account, volume["VolumeId"]
        # One snapshot is even marked with this install's name, but belongs to no session of anybody.
        of_snapshot = {tags.INSTALL: install} if "Name" in marks else marks
        snapshot = ec2.create_snapshot(
            VolumeId=volume["VolumeId"], TagSpecifications=_specification("snapshot", of_snapshot)
        )
        yield "snapshot", account, snapshot["SnapshotId"]
        launched = ec2.run_instances(
            ImageId="ami-0da0000000000002b",
            InstanceType="t3.small",
            MinCount=1,
            MaxCount=1,
            TagSpecifications=_specification("instance", marks),
        )["Instances"]
        yield "instance", account, launched[0]["InstanceId"]
    for name, path in ((_ROLE, tags.path_of(_OTHER)), (_ROLE.replace("jd", "je"), "/")):
        iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=json.dumps(policies.ec2_trust()))
        iam.create_instance_profile(InstanceProfileName=name, Path=path)
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
        yield "role", account, name


def _shows(eye: Eye, kind: str, account: str, name: str, words: str) -> bool:
    return words in _look(eye, kind, account, name)


def _specification(kind: str, marks: dict[str, str]) -> list[Any]:
    return [{"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in marks.items()]}]


def _seen(eye: Eye, kind: str, account: str, name: str) -> Lookalike:
    return Lookalike(kind=kind, account=account, name=name, look=_look(eye, kind, account, name))


def _look(eye: Eye, kind: str, account: str, name: str) -> str:
    """Describe it in a few words: what it is, its state, its tags, what it holds."""
    try:
        return str(_LOOKS[kind](eye, account, name))
    except eye.client(account, "s3").exceptions.ClientError as error:
        return f"not there ({error.response['Error']['Code']})"


def _marks(thing: dict[str, Any]) -> list[tuple[str, str]]:
    return sorted((tag["Key"], tag["Value"]) for tag in thing.get("Tags", []))


def _volume(eye: Eye, account: str, name: str) -> Any:
    found = eye.client(account, "ec2").describe_volumes(VolumeIds=[name])["Volumes"][0]
    return found["State"], _marks(found)


def _snapshot(eye: Eye, account: str, name: str) -> Any:
    found = eye.client(account, "ec2").describe_snapshots(SnapshotIds=[name])["Snapshots"][0]
    return found["State"], _marks(found)


def _instance(eye: Eye, account: str, name: str) -> Any:
    found = eye.client(account, "ec2").describe_instances(InstanceIds=[name])["Reservations"][0]["Instances"][0]
    return found["State"]["Name"], _marks(found)


def _role(eye: Eye, account: str, name: str) -> Any:
    """See a role of any kind: who may use it, what it may do, the profiles it stands in."""
    iam = eye.client(account, "iam")
    role = iam.get_role(RoleName=name)["Role"]
    inline = iam.list_role_policies(RoleName=name)["PolicyNames"]
    attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    profiles = iam.list_instance_profiles_for_role(RoleName=name)["InstanceProfiles"]
    documents = [role["AssumeRolePolicyDocument"]]
    documents += [iam.get_role_policy(RoleName=name, PolicyName=one)["PolicyDocument"] for one in inline]
    return (
        role["RoleId"],
        [json.dumps(one, sort_keys=True) for one in documents],
        sorted(one["PolicyArn"] for one in attached),
        sorted(one["InstanceProfileId"] for one in profiles),
    )


def _object(eye: Eye, account: str, name: str) -> Any:
    bucket, _, key = name.partition("/")
    return eye.client(account, "s3").get_object(Bucket=bucket, Key=key)["Body"].read()


def standing_roles(eye: Eye, accounts: Sequence[str]) -> Planted:
    """Return the roles that customers have made beforehand (not under an install's path), as they look now."""
    return Planted(
        tuple(
            _seen(eye, "role", account, one["RoleName"])
            for account in accounts
            for one in eye.client(account, "iam").list_roles()["Roles"]
            if not one["Path"].startswith("/daywork/") and one["RoleName"].startswith("Daywork")
        )
    )


_LOOKS: Final = {"volume": _volume, "snapshot": _snapshot, "instance": _instance, "role": _role, "object": _object}
