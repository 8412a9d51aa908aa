"""What the control plane needs before anything else: its user, the control bucket, the report queue."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from localcloud.control import CONTROL_PLANE
from localcloud.moto_behaviour import WORKER_IMAGE
from localcloud.seed.address import CloudAddress
from localcloud.seed.names import HOME_ACCOUNT, REGION, REPORT_QUEUE, Place
from orchestrator import policies
from orchestrator.rights import doors


@dataclass(frozen=True)
class Foundation:
    """What was made, as the settings of an install need it. The key pair is the control plane's own."""

    install: str
    home_account: str
    region: str
    control_bucket: str
    report_queue: str
    report_queue_arn: str
    worker_image: str
    control_plane: str
    access_key: str
    secret_key: str = field(repr=False)


def foundation(
    cloud: CloudAddress, install: str, *, home_account: str = HOME_ACCOUNT, region: str = REGION
) -> Foundation:
    """Make what an install's control plane needs in its home account; what is there already stays.

    Raises `CloudError` when the cloud does not answer, botocore's ClientError when it refuses.
    """
    place = Place(install, home_account, region)
    made = cloud.post("users", {"account": home_account, "user": CONTROL_PLANE})
    ensure_bucket(cloud, place, place.control_bucket)
    let_restored_files_expire(cloud, place)
    queue = ensure_queue(cloud, place)
    allow_control_plane(cloud, place, ())
    return Foundation(
        install=install,
        home_account=home_account,
        region=region,
        control_bucket=place.control_bucket,
        report_queue=queue,
        report_queue_arn=place.report_queue_arn,
        worker_image=WORKER_IMAGE,
        control_plane=f"arn:aws:iam::{home_account}:user/{CONTROL_PLANE}",
        access_key=made["accessKeyId"],
        secret_key=made["secretAccessKey"],
    )


def ensure_bucket(cloud: CloudAddress, place: Place, bucket: str) -> None:
    """Make a bucket of the home account that nothing public can reach."""
    s3 = cloud.client("s3", place.account, place.region)
    where: dict[str, Any] = (
        {"CreateBucketConfiguration": {"LocationConstraint": place.region}} if place.region != "us-east-1" else {}
    )
    try:
        s3.create_bucket(Bucket=bucket, **where)
    except ClientError as error:
        if error.response["Error"]["Code"] != "BucketAlreadyOwnedByYou":
            raise
    s3.put_public_access_block(
        Bucket=bucket,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "IgnorePublicAcls": True,
            "BlockPublicPolicy": True,
            "RestrictPublicBuckets": True,
        },
    )


def let_restored_files_expire(cloud: CloudAddress, place: Place) -> None:
    """Have restored files in the control bucket removed after a week, and uploads that were given up after a day."""
    cloud.client("s3", place.account, place.region).put_bucket_lifecycle_configuration(
        Bucket=place.control_bucket,
        LifecycleConfiguration={
            "Rules": [
                {
                    "ID": "restored-files",
                    "Status": "Enabled",
                    "Filter": {"Prefix": policies.RESTORED},
                    "Expiration": {"Days": 7},
                    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
                }
            ]
        },
    )


def ensure_queue(cloud: CloudAddress, place: Place) -> str:
    """Make the report queue; return its URL."""
    sqs = cloud.client("sqs", place.account, place.region)
    return str(sqs.create_queue(QueueName=REPORT_QUEUE)["QueueUrl"])


def allow_control_plane(cloud: CloudAddress, place: Place, roles: Iterable[str]) -> None:
    """Let the control plane's user assume `roles`, besides those that it may assume already."""
    iam = cloud.client("iam", place.account, place.region)
    try:
        known = iam.get_user_policy(UserName=CONTROL_PLANE, PolicyName=CONTROL_PLANE)["PolicyDocument"]
    except iam.exceptions.NoSuchEntityException:
        known = {"Statement": []}
    assumed = {arn for one in known["Statement"] if one["Sid"] == "Assume" for arn in one["Resource"]}
    document = policies.control_plane(
        sorted(assumed | set(roles)),
        control_bucket=place.control_bucket,
        report_queue_arn=place.report_queue_arn,
        own=f"arn:aws:iam::{place.account}:user/{CONTROL_PLANE}",
    )
    iam.put_user_policy(UserName=CONTROL_PLANE, PolicyName=CONTROL_PLANE, PolicyDocument=json.dumps(document))


def allow_workers(cloud: CloudAddress, place: Place, accounts: Iterable[str]) -> None:
    """Let workers of these accounts (and those let in before) read their orders and send reports."""
    s3 = cloud.client("s3", place.account, place.region)
    sqs = cloud.client("sqs", place.account, place.region)
    queue = sqs.get_queue_url(QueueName=REPORT_QUEUE)["QueueUrl"]
    known = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["Policy"]).get("Attributes", {}).get("Policy")
    before = {
        arn.split(":")[4]
        for statement in (json.loads(known)["Statement"] if known else [])
        for arn in statement["Principal"]["AWS"]
    }
    named = sorted(before | {place.account} | set(accounts))
    s3.put_bucket_policy(
        Bucket=place.control_bucket, Policy=json.dumps(doors.control_bucket(place.control_bucket, named))
    )
    sqs.set_queue_attributes(
        QueueUrl=queue,
        Attributes={"Policy": json.dumps(doors.report_queue(place.report_queue_arn, named))},
    )
