"""From HTTP requests to calls: operations and parameters as botocore knows them."""

from __future__ import annotations

import io
import json
from typing import Any
from urllib.parse import urlencode

import pytest

from localcloud.call import Call
from localcloud.decode import decode, protocol_of, read_request
from localcloud.errors import AwsError


def request(method: str, target: str, body: bytes = b"", **headers: str) -> dict[str, Any]:
    """Return a WSGI environment."""
    path, _, query = target.partition("?")
    return {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "REQUEST_URI": target,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_HOST": "127.0.0.1",
        **{name if name.startswith("CONTENT") else f"HTTP_{name}": value for name, value in headers.items()},
    }


def decoded(service: str, *args: Any, **headers: str) -> Call:
    """Decode a request to a service."""
    return decode(read_request(request(*args, **headers), 1_000_000), service=service, region="eu-west-1")


FORM = {"CONTENT_TYPE": "application/x-www-form-urlencoded; charset=utf-8"}


@pytest.mark.parametrize(
    ("method", "target", "headers", "operation"),
    [
        ("GET", "/", {}, "ListBuckets"),
        ("GET", "/b?list-type=2&prefix=a", {}, "ListObjectsV2"),
        ("GET", "/b?prefix=a", {}, "ListObjects"),
        ("GET", "/b?versions", {}, "ListObjectVersions"),
        ("GET", "/b?uploads", {}, "ListMultipartUploads"),
        ("PUT", "/b", {}, "CreateBucket"),
        ("HEAD", "/b", {}, "HeadBucket"),
        ("DELETE", "/b", {}, "DeleteBucket"),
        ("PUT", "/b?policy", {}, "PutBucketPolicy"),
        ("GET", "/b?policy", {}, "GetBucketPolicy"),
        ("PUT", "/b?object-lock", {}, "PutObjectLockConfiguration"),
        ("PUT", "/b?publicAccessBlock", {}, "PutPublicAccessBlock"),
        ("POST", "/b?delete", {}, "DeleteObjects"),
        ("GET", "/b/k", {}, "GetObject"),
        ("GET", "/b/k?versionId=1&x-id=GetObject", {}, "GetObject"),
        ("GET", "/b/k?X-Amz-Signature=1&response-content-type=x", {}, "GetObject"),
        ("HEAD", "/b/k", {}, "HeadObject"),
        ("PUT", "/b/k?x-id=PutObject", {}, "PutObject"),
        ("PUT", "/b/k", {"X_AMZ_COPY_SOURCE": "/a/k"}, "CopyObject"),
        ("DELETE", "/b/k", {}, "DeleteObject"),
        ("POST", "/b/k?uploads", {}, "CreateMultipartUpload"),
        ("PUT", "/b/k?partNumber=1&uploadId=u", {}, "UploadPart"),
        ("PUT", "/b/k?partNumber=1&uploadId=u", {"X_AMZ_COPY_SOURCE": "/a/k"}, "UploadPartCopy"),
        ("POST", "/b/k?uploadId=u", {}, "CompleteMultipartUpload"),
        ("DELETE", "/b/k?uploadId=u", {}, "AbortMultipartUpload"),
        ("GET", "/b/k?uploadId=u", {}, "ListParts"),
        ("PUT", "/b/k?retention", {}, "PutObjectRetention"),
        ("PUT", "/b/k?tagging", {}, "PutObjectTagging"),
        ("POST", "/b/k?restore", {}, "RestoreObject"),
    ],
)
def test_s3_operations_are_told_apart(method: str, target: str, headers: dict[str, str], operation: str) -> None:
    """By method, path, query and the copy header: what policies and fault rules then name."""
    assert decoded("s3", method, target, **headers).operation == operation


def test_s3_buckets_and_keys_are_unquoted() -> None:
    """A key with slashes, spaces and letters of any script is the key that the client meant."""
    call = decoded("s3", "GET", "/bucket/a%20b/%C3%BC%2B/c?versionId=v1")

    assert call.parameters["Bucket"] == "bucket"
    assert call.parameters["Key"] == "a b/ü+/c"
    assert call.parameters["VersionId"] == "v1"


def test_a_form_becomes_nested_parameters() -> None:
    """EC2's flat names are lists and structures again."""
    body = urlencode(
        {
            "Action": "RunInstances",
            "MinCount": "1",
            "MaxCount": "3",
            "TagSpecification.1.ResourceType": "instance",
            "TagSpecification.1.Tag.1.Key": "a",
            "TagSpecification.1.Tag.1.Value": "b",
            "IamInstanceProfile.Name": "profile",
            "MetadataOptions.HttpTokens": "required",
        }
    ).encode()

    call = decoded("ec2", "POST", "/", body, **FORM)

    assert (call.name, call.protocol) == ("ec2:RunInstances", "ec2")
    assert call.parameters["MaxCount"] == 3
    assert call.parameters["TagSpecifications"] == [{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}]
    assert call.parameters["IamInstanceProfile"] == {"Name": "profile"}
    assert call.parameters["MetadataOptions"] == {"HttpTokens": "required"}


def test_json_targets_and_rest_paths_name_operations() -> None:
    """SQS and KMS by header, the EBS direct API by path."""
    send = decoded(
        "sqs",
        "POST",
        "/",
        json.dumps({"QueueUrl": "http://h/111111111111/q", "MessageBody": "x"}).encode(),
        X_AMZ_TARGET="AmazonSQS.SendMessage",
    )
    put = decoded("ebs", "PUT", "/snapshots/snap-1/blocks/7", b"x" * 10, X_AMZ_CHECKSUM="abc", X_AMZ_DATA_LENGTH="10")

    assert (send.name, send.protocol) == ("sqs:SendMessage", "json")
    assert send.parameters["MessageBody"] == "x"
    assert put.name == "ebs:PutSnapshotBlock"
    assert (put.parameters["SnapshotId"], int(put.parameters["BlockIndex"])) == ("snap-1", 7)


@pytest.mark.parametrize(
    ("service", "args", "headers", "code"),
    [
        ("nothing", ("POST", "/"), {}, "UnknownOperation"),
        ("ec2", ("POST", "/", b"Action=FlyInstances"), FORM, "InvalidAction"),
        ("ec2", ("POST", "/", b""), FORM, "InvalidAction"),
        ("sqs", ("POST", "/", b"{}"), {"X_AMZ_TARGET": "AmazonSQS.Fly"}, "InvalidAction"),
        ("ebs", ("GET", "/nowhere"), {}, "UnknownOperationException"),
        ("sqs", ("POST", "/", b"not json"), {"X_AMZ_TARGET": "AmazonSQS.SendMessage"}, "SerializationException"),
    ],
)
def test_what_is_no_call_is_refused(service: str, args: tuple[Any, ...], headers: dict[str, str], code: str) -> None:
    """Unknown services and operations and unreadable bodies are answers, not crashes."""
    with pytest.raises(AwsError) as caught:
        decoded(service, *args, **headers)

    assert caught.value.code == code


def test_a_body_that_is_too_long_is_not_read() -> None:
    """Neither with a stated length nor without."""
    with pytest.raises(AwsError, match="longer than 10"):
        read_request(request("PUT", "/b/k", b"x" * 11), 10)
    endless = request("PUT", "/b/k", b"x" * 11) | {"wsgi.input_terminated": True}
    del endless["CONTENT_LENGTH"]
    with pytest.raises(AwsError, match="longer than 10"):
        read_request(endless, 10)


@pytest.mark.parametrize(
    ("service", "headers", "protocol"),
    [
        ("ec2", {"content-type": "application/x-www-form-urlencoded"}, "ec2"),
        ("iam", {"content-type": "application/x-www-form-urlencoded"}, "query"),
        ("sqs", {"x-amz-target": "AmazonSQS.SendMessage"}, "json"),
        ("s3", {}, "rest-xml"),
        ("ebs", {}, "rest-json"),
        ("", {}, "rest-xml"),
        ("nothing", {}, "rest-xml"),
    ],
)
def test_errors_are_worded_in_the_clients_protocol(service: str, headers: dict[str, str], protocol: str) -> None:
    """Known before the call is decoded, since decoding may be what fails."""
    assert protocol_of(service, headers) == protocol
