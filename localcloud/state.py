"""Where moto keeps its state, behind a few names of our own.

moto's backends are not typed; everything the overlay reads or changes in them goes through here or through the
modules `moto_behaviour` and `moto_speed`, so that a new version of moto has three places to break.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any


def iam(account: str) -> Any:
    """Return moto's IAM backend of an account."""
    from moto.iam.models import iam_backends

    return iam_backends[account]["aws"]


def iam_accounts() -> list[str]:
    """Return the accounts that have any IAM state."""
    from moto.iam.models import iam_backends

    return list(iam_backends)


def ec2(account: str, region: str) -> Any:
    """Return moto's EC2 backend of an account and Region. Raises KeyError for an unknown Region."""
    from moto.ec2.models import ec2_backends

    # moto looks under a lock whether it must make the backend; every call of every service comes here.
    known = dict.get(ec2_backends, account)
    found = None if known is None else dict.get(known, region)
    return found if found is not None else ec2_backends[account][region]


def ec2_regions() -> Iterator[tuple[str, str, Any]]:
    """Yield (account, Region, backend) wherever there is EC2 state."""
    from moto.ec2.models import ec2_backends

    for account in list(ec2_backends):
        for region, backend in list(ec2_backends[account].items()):
            yield account, region, backend


def has_file_system(account: str, region: str, file_system: str) -> bool:
    """Whether an account has an EFS file system in a Region."""
    from moto.efs.models import efs_backends

    known = efs_backends[account]
    return region in known and file_system in known[region].file_systems_by_id


def instance(account: str, region: str, instance_id: str) -> Any | None:
    """Return moto's instance, or None."""
    return ec2(account, region).get_instance_by_id(instance_id)


def instances(account: str, region: str) -> list[Any]:
    """Return moto's instances of an account and Region, those that are gone included."""
    return [one for reservation in list(ec2(account, region).reservations.values()) for one in reservation.instances]


def vcpus(instance_type: str) -> int:
    """Return how many vCPUs a type has; 0 when moto does not know it."""
    from moto.ec2.models.instance_types import INSTANCE_TYPES

    known = INSTANCE_TYPES.get(instance_type)
    return 0 if known is None else int(known["VCpuInfo"]["DefaultVCpus"])


def profile(account: str, name: str) -> Any | None:
    """Return moto's instance profile by name, or None."""
    return iam(account).instance_profiles.get(name)


def role(account: str, name: str) -> Any | None:
    """Return moto's role by name, or None."""
    return next((found for found in list(iam(account).roles.values()) if found.name == name), None)


def role_by_arn(arn: str) -> Any | None:
    """Return moto's role by ARN in the account that the ARN names, or None."""
    parts = arn.split(":")
    if len(parts) < 6 or parts[2] != "iam":  # noqa: PLR2004 - an ARN has six parts
        return None
    found = role(parts[4], arn.rsplit("/", 1)[-1])
    return found if found is not None and found.arn == arn else None


def bucket_owner(bucket: str) -> str | None:
    """Return the account that owns a bucket, or None when there is no such bucket."""
    from moto.s3.models import s3_backends

    found = s3_backends.bucket_accounts.get(bucket)
    return str(found[1]) if found is not None else None


def bucket(name: str) -> Any | None:
    """Return moto's bucket, or None."""
    from moto.s3.models import s3_backends

    owner = bucket_owner(name)
    return None if owner is None else s3_backends[owner]["aws"].buckets.get(name)


def resource_policies() -> Iterator[tuple[str, str]]:
    """Yield (ARN, policy as text) of the buckets and queues that have one."""
    from moto.s3.models import s3_backends
    from moto.sqs.models import sqs_backends

    for account in list(s3_backends):
        for bucket in list(s3_backends[account]["aws"].buckets.values()):
            if bucket.policy:
                yield f"arn:aws:s3:::{bucket.name}", bucket.policy.decode()
    for account in list(sqs_backends):
        for region, backend in list(sqs_backends[account].items()):
            for queue in list(backend.queues.values()):
                if queue.policy:
                    yield f"arn:aws:sqs:{region}:{account}:{queue.name}", json.dumps(queue.policy)


def queue(account: str, region: str, name: str) -> Any | None:
    """Return moto's SQS queue, or None."""
    from moto.sqs.models import sqs_backends

    return sqs_backends[account][region].queues.get(name)


def kms_key(account: str, region: str, key: str) -> Any | None:
    """Return moto's KMS key by id, ARN, alias name or alias ARN, or None."""
    from moto.kms.models import kms_backends

    backend = kms_backends[account][region]
    try:
        return backend.describe_key(key)
    except Exception:  # noqa: BLE001 - moto raises several unrelated types for "not found"
        return None


def tags_of(thing: Any) -> dict[str, str]:
    """Return the tags of a moto IAM object; moto keeps them in several spellings."""
    tags = getattr(thing, "tags", None) or []
    entries = tags.values() if isinstance(tags, dict) else tags
    found: dict[str, str] = {}
    for entry in entries:
        key = entry.get("Key", entry.get("key"))
        if key is not None:
            found[key] = entry.get("Value", entry.get("value", ""))
    return found
