"""An instance as a restore point records it."""

from __future__ import annotations

import json
from typing import Any

from orchestrator.aws.machine import configuration

DESCRIBED: dict[str, Any] = {
    "InstanceId": "i-1",
    "InstanceType": "m5.large",
    "Architecture": "x86_64",
    "VirtualizationType": "hvm",
    "BootMode": "uefi",
    "EnaSupport": True,
    "RootDeviceName": "/dev/xvda",
    "Placement": {"AvailabilityZone": "eu-west-1a", "Tenancy": "default", "GroupName": ""},
    "VpcId": "vpc-1",
    "SubnetId": "subnet-1",
    "SecurityGroups": [{"GroupId": "sg-1", "GroupName": "web"}],
    "PrivateIpAddress": "10.0.0.5",
    "IamInstanceProfile": {"Arn": "arn:aws:iam::222222222222:instance-profile/web", "Id": "AIPA"},
    "KeyName": "ops",
    "Monitoring": {"State": "enabled"},
    "CpuOptions": {"CoreCount": 1, "ThreadsPerCore": 2},
    "MetadataOptions": {"State": "applied", "HttpTokens": "required", "HttpPutResponseHopLimit": 2},
    "BlockDeviceMappings": [
        {"DeviceName": "/dev/xvda", "Ebs": {"VolumeId": "vol-1", "DeleteOnTermination": True}},
        {"DeviceName": "/dev/sdb", "VirtualName": "ephemeral0"},
    ],
    "NetworkInterfaces": [
        {
            "Attachment": {"DeviceIndex": 1, "DeleteOnTermination": False},
            "SubnetId": "subnet-2",
            "Groups": [{"GroupId": "sg-2"}],
            "PrivateIpAddress": "10.0.1.5",
            "PrivateIpAddresses": [
                {"PrivateIpAddress": "10.0.1.5", "Primary": True},
                {"PrivateIpAddress": "10.0.1.6", "Primary": False},
            ],
            "SourceDestCheck": False,
            "Association": {"PublicIp": "203.0.113.9"},
        }
    ],
    "Tags": [{"Key": "Name", "Value": "web-1"}],
}


def test_all_that_makes_an_instance_is_recorded_as_plain_json() -> None:
    """Type, network, tags, device mapping, profile; disks that are no volumes are not."""
    found = configuration(DESCRIBED)

    assert json.loads(json.dumps(found)) == found
    assert (found["instanceType"], found["bootMode"], found["enaSupport"]) == ("m5.large", "uefi", True)
    assert found["profile"] == "arn:aws:iam::222222222222:instance-profile/web"
    assert found["devices"] == [{"device": "/dev/xvda", "volumeId": "vol-1", "deleteOnTermination": True}]
    assert found["metadata"] == {"httpTokens": "required", "httpPutResponseHopLimit": 2}
    assert found["cpu"] == {"cores": 1, "threadsPerCore": 2}
    assert found["monitoring"] is True
    assert found["tags"] == {"Name": "web-1"}
    assert found["placementGroup"] is None


def test_further_network_interfaces_are_recorded_with_their_addresses() -> None:
    """The first address is apart from the secondary ones, and whether there was a public one is said."""
    (interface,) = configuration(DESCRIBED)["networkInterfaces"]

    assert (interface["index"], interface["subnet"], interface["securityGroups"]) == (1, "subnet-2", ["sg-2"])
    assert (interface["privateAddress"], interface["privateAddresses"]) == ("10.0.1.5", ["10.0.1.6"])
    assert (interface["sourceDestCheck"], interface["publicAddress"]) == (False, True)


def test_what_ec2_does_not_say_is_none() -> None:
    """Old or stopped instances lack much."""
    found = configuration({"InstanceId": "i-1", "State": {"Name": "stopped"}})

    assert found["instanceType"] is None
    assert found["securityGroups"] == found["networkInterfaces"] == found["devices"] == []
    assert found["monitoring"] is False
