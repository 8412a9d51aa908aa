"""Which resource a call to S3, SQS or KMS means, whose it is, and its own policy.

These three can be used across accounts: the account a call acts on is the resource's, once its policy allowed the
signer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from xml.etree import ElementTree as ET

from localcloud import state
from localcloud.authority import Demand
from localcloud.call import Call
from localcloud.errors import AwsError

Context = Mapping[str, "str | tuple[str, ...]"]

#: S3 operations whose action has another name; all others are called like their operation.
_S3_ACTIONS: Final[dict[str, str]] = {
    "HeadObject": "s3:GetObject",
    "HeadBucket": "s3:ListBucket",
    "ListObjects": "s3:ListBucket",
    "ListObjectsV2": "s3:ListBucket",
    "ListObjectVersions": "s3:ListBucketVersions",
    "ListBuckets": "s3:ListAllMyBuckets",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "ListParts": "s3:ListMultipartUploadParts",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "UploadPartCopy": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "CopyObject": "s3:PutObject",
    "DeleteObjects": "s3:DeleteObject",
    "PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "DeleteBucketLifecycle": "s3:PutLifecycleConfiguration",
    "PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "DeleteBucketEncryption": "s3:PutEncryptionConfiguration",
    "PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "DeletePublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "PutObjectLockConfiguration": "s3:PutBucketObjectLockConfiguration",
    "DeleteBucketTagging": "s3:PutBucketTagging",
}
_S3_VERSIONED: Final = ("s3:GetObject", "s3:DeleteObject", "s3:GetObjectTagging", "s3:PutObjectTagging")
_S3_CONDITIONS: Final[dict[str, str]] = {"Prefix": "s3:prefix", "Delimiter": "s3:delimiter", "MaxKeys": "s3:max-keys"}
_S3_HEADER_CONDITIONS: Final = (
    "x-amz-acl",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-storage-class",
)
_QUEUE_URL = re.compile(r"^https?://[^/]+/(?P<account>\d{12})/(?P<name>[\w.-]+)$")


def s3_demands(call: Call) -> Iterator[Demand]:
    """Yield what an S3 call demands."""
    action = _S3_ACTIONS.get(call.operation, f"s3:{call.operation}")
    bucket, key = call.parameters.get("Bucket"), call.parameters.get("Key")
    if bucket is None:
        yield Demand(action=action)
        return
    if key is not None and "VersionId" in call.parameters and action in _S3_VERSIONED:
        action = action.replace("Object", "ObjectVersion", 1)
    context: dict[str, str | tuple[str, ...]] = {
        condition: str(call.parameters[name]) for name, condition in _S3_CONDITIONS.items() if name in call.parameters
    }
    for name in _S3_HEADER_CONDITIONS:
        if name in call.headers:
            context[f"s3:{name}"] = call.headers[name]
    if call.operation == "DeleteObjects":
        for name in _deleted_keys(call.body):
            yield s3_demand("s3:DeleteObject", bucket, name, context)
        return
    yield s3_demand(action, bucket, key, context)
    if source := call.parameters.get("CopySource"):
        source_bucket, _, source_key = str(source).lstrip("/").partition("/")
        yield s3_demand("s3:GetObject", source_bucket, source_key.partition("?versionId=")[0], {})


def s3_demand(action: str, bucket: str, key: str | None, context: Context) -> Demand:
    """Return the demand of one S3 action on a bucket or on an object in it."""
    found = state.bucket(bucket)
    policy = getattr(found, "policy", None)
    return Demand(
        action=action,
        resource=f"arn:aws:s3:::{bucket}" + (f"/{key}" if key is not None else ""),
        context=context,
        owner=state.bucket_owner(bucket),
        policy=policy.decode() if isinstance(policy, bytes) else policy,
    )


def _deleted_keys(body: bytes) -> list[str]:
    try:
        # The document comes from a signed caller and is small; defusedxml would be one more dependency for it.
        root = ET.fromstring(body)  # noqa: S314
    except ET.ParseError:
        raise AwsError("MalformedXML", "The XML you provided was not well-formed.") from None
    return [entry.text or "" for entry in root.iter() if entry.tag.rpartition("}")[2] == "Key"]


def queue_of(call: Call) -> tuple[str, str] | None:
    """Return (account, name) of the queue that an SQS call means, or None when it means none."""
    url = call.parameters.get("QueueUrl")
    if isinstance(url, str) and url:
        match = _QUEUE_URL.match(url)
        # AWS also takes a bare name.
        return (match["account"], match["name"]) if match else (call.account, url.rpartition("/")[2])
    name = call.parameters.get("QueueName")
    if isinstance(name, str):
        return call.parameters.get("QueueOwnerAWSAccountId") or call.account, name
    return None


def sqs_demands(call: Call) -> Iterator[Demand]:
    """Yield what an SQS call demands."""
    action = f"sqs:{call.operation.removesuffix('Batch')}"
    found = queue_of(call)
    if found is None:
        yield Demand(action=action)
        return
    account, name = found
    queue = state.queue(account, call.region, name)
    yield Demand(
        action=action,
        resource=f"arn:aws:sqs:{call.region}:{account}:{name}",
        owner=account,
        policy=None if queue is None else _document(queue.policy),
    )


#: KMS parameters that name a key.
_KEY_PARAMETERS: Final = ("KeyId", "SourceKeyId", "TargetKeyId", "DestinationKeyId")


def key_of(call: Call, name: str) -> tuple[str, str, Any]:
    """Return (account, Region, moto's key or None) of the key that a parameter of a KMS call means."""
    given = str(call.parameters[name])
    account, region = call.account, call.region
    if given.startswith("arn:"):
        _, _, _, region, account, *_ = [*given.split(":"), "", "", "", "", ""]
    return account, region, state.kms_key(account, region, given)


def kms_demands(call: Call) -> Iterator[Demand]:
    """Yield what a KMS call demands. A Decrypt without key id means the key in the ciphertext."""
    context: dict[str, str | tuple[str, ...]] = {}
    for key, value in (call.parameters.get("EncryptionContext") or {}).items():
        context[f"kms:encryptioncontext:{key.lower()}"] = str(value)
    if call.parameters.get("EncryptionContext"):
        context["kms:encryptioncontextkeys"] = tuple(call.parameters["EncryptionContext"])
    named: list[str] = [name for name in _KEY_PARAMETERS if name in call.parameters]
    if call.operation == "Decrypt" and not named:
        named = ["CiphertextBlob"]
    if not named:
        yield Demand(action=f"kms:{call.operation}")
        return
    for name in named:
        if name == "CiphertextBlob":
            account, region, key = _ciphertext_key(call)
        else:
            account, region, key = key_of(call, name)
        yield Demand(
            action=f"kms:{call.operation}",
            resource=f"arn:aws:kms:{region}:{account}:key/{'unknown' if key is None else key.id}",
            context={**context, "kms:calleraccount": call.account},
            owner=account,
            policy=None if key is None else _document(key.policy),
            policy_must_allow=key is not None,
        )


def _ciphertext_key(call: Call) -> tuple[str, str, Any]:
    from moto.kms.models import kms_backends

    blob = call.parameters.get("CiphertextBlob") or b""
    # moto writes the key id in front of the ciphertext: 36 characters of a UUID.
    key_id = bytes(blob[:36]).decode("ascii", "replace")
    for account in [call.account, *kms_backends]:
        key = kms_backends[account][call.region].keys.get(key_id)
        if key is not None:
            return account, call.region, key
    return call.account, call.region, None


def _document(policy: Any) -> str | None:
    if not policy:
        return None
    return policy if isinstance(policy, str) else json.dumps(policy)
