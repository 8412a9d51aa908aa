"""Signatures: botocore signs, the embedded cloud verifies; whatever is changed on the way is noticed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from localcloud.errors import AwsError
from localcloud.sigv4 import read_signature, verify

KEY, SECRET, TOKEN = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "a-session-token=="
HOST = "127.0.0.1:4566"
Signed = dict[str, Any]


def signed(
    auth: Any = SigV4Auth,
    *,
    service: str = "ec2",
    method: str = "POST",
    path: str = "/",
    body: bytes = b"Action=DescribeInstances",
    token: str | None = None,
    headers: dict[str, str] | None = None,
    **options: Any,
) -> Signed:
    """Return a signed request as `verify` takes it, its time in `now`."""
    credentials = Credentials(KEY, SECRET, token)
    request = AWSRequest(
        method=method, url=f"http://{HOST}{path}", data=body, headers={"Host": HOST, **(headers or {})}
    )
    auth(credentials, service, "eu-west-1", **options).add_auth(request)
    prepared = request.prepare()
    parts = urlsplit(prepared.url)
    return {
        "method": method,
        "raw_path": parts.path or "/",
        "raw_query": parts.query,
        "headers": {name.lower(): _text(value) for name, value in prepared.headers.items()} | {"host": HOST},
        "body": body,
        "now": datetime.now(UTC).timestamp(),
    }


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def check(request: Signed, secret: str = SECRET, later: float = 0.0) -> None:
    """Verify a request `later` seconds after it was signed."""
    given = dict(request)
    now = given.pop("now") + later
    signature = read_signature(given["headers"], given["raw_query"])
    assert signature is not None
    verify(signature, secret, **given, clock=lambda: now)


def refused(request: Signed, secret: str = SECRET, later: float = 0.0) -> str:
    """Verify a request that must be refused; return the code."""
    with pytest.raises(AwsError) as caught:
        check(request, secret, later)
    return caught.value.code


GOOD: dict[str, Callable[[], Signed]] = {
    "a form": signed,
    "a session's": lambda: signed(token=TOKEN),
    "a query": lambda: signed(method="GET", path="/?b=2&a=1&a=0&empty=&plus=a%2Bb&space=a%20b", body=b""),
    "a path with dots": lambda: signed(service="ebs", method="GET", path="/snapshots/./a/../b%20c/blocks", body=b""),
    "a double slash": lambda: signed(service="ebs", method="GET", path="//snapshots//b/", body=b""),
    "an object": lambda: signed(
        S3SigV4Auth, service="s3", method="PUT", path="/bucket/a%20key/%C3%BC%2B%281%29~", body=b"x"
    ),
    "an object path with dots": lambda: signed(S3SigV4Auth, service="s3", method="GET", path="/b/a/../c", body=b""),
    "presigned for S3": lambda: signed(
        S3SigV4QueryAuth, service="s3", method="GET", path="/bucket/key", body=b"", expires=60
    ),
    "presigned with a token": lambda: signed(
        S3SigV4QueryAuth, service="s3", method="GET", path="/bucket/key?versionId=1", body=b"", token=TOKEN, expires=60
    ),
    "folded spaces": lambda: signed(headers={"X-Amz-Meta-Note": "  two   words "}),
}


@pytest.mark.parametrize("kind", GOOD)
def test_what_botocore_signs_is_verified(kind: str) -> None:
    """Every way of signing that the product and its users have is understood."""
    check(GOOD[kind]())


@pytest.mark.parametrize(
    "change",
    [
        {"method": "PUT"},
        {"raw_path": "/other"},
        {"raw_query": "Action=TerminateInstances"},
        {"body": b"Action=TerminateInstances"},
        {"header": ("host", "elsewhere")},
        {"header": ("x-amz-date", "20990101T000000Z")},
        {"header": ("x-amz-security-token", "another")},
        {"header": ("content-type", "text/plain")},
    ],
    ids=lambda change: next(iter(change)) + str(change.get("header", [""])[0]),
)
def test_whatever_is_changed_on_the_way_is_noticed(change: dict[str, Any]) -> None:
    """Method, path, query, body and signed headers are all under the signature."""
    request = signed(token=TOKEN, headers={"Content-Type": "application/x-www-form-urlencoded"})
    if "header" in change:
        name, value = change["header"]
        request["headers"] = {**request["headers"], name: value}
    else:
        request |= change

    assert refused(request) in ("SignatureDoesNotMatch", "RequestTimeTooSkewed")


def test_another_secret_does_not_match() -> None:
    """Only the holder of the secret can sign, and the refusal repeats nothing of it."""
    assert refused(signed(), secret="another") == "SignatureDoesNotMatch"
    with pytest.raises(AwsError) as caught:
        check(signed(), secret="another")
    assert "another" not in str(caught.value)


def test_the_host_must_be_signed() -> None:
    """A signature that leaves the host out could be used against another endpoint."""
    request = signed()
    authorization = request["headers"]["authorization"].replace("SignedHeaders=host;", "SignedHeaders=")
    request["headers"] = {**request["headers"], "authorization": authorization}

    assert refused(request) == "SignatureDoesNotMatch"


def test_an_unsigned_header_may_change() -> None:
    """What a proxy adds does not break a signature."""
    request = signed()
    request["headers"] = {**request["headers"], "x-forwarded-for": "192.0.2.1", "user-agent": "other"}

    check(request)


@pytest.mark.parametrize(("later", "allowed"), [(0, True), (899, True), (-899, True), (901, False), (-902, False)])
def test_a_clock_may_be_fifteen_minutes_off(later: float, allowed: bool) -> None:  # noqa: FBT001 - a table column
    """Older and younger requests are refused."""
    if allowed:
        check(signed(), later=later)
    else:
        assert refused(signed(), later=later) == "RequestTimeTooSkewed"


def test_a_presigned_request_lives_as_long_as_it_says() -> None:
    """Neither the skew limit nor anything else keeps it alive longer."""
    request = GOOD["presigned for S3"]()

    check(request, later=59)
    assert refused(request, later=62) == "AccessDenied"


def test_a_presigned_request_cannot_be_extended() -> None:
    """Its lifetime is under the signature."""
    request = GOOD["presigned for S3"]()
    request["raw_query"] = request["raw_query"].replace("X-Amz-Expires=60", "X-Amz-Expires=6000")

    assert refused(request) == "SignatureDoesNotMatch"


def test_a_body_other_than_the_stated_one_is_refused() -> None:
    """S3 clients state the hash of the body; another body is noticed even before the signature."""
    request = signed(S3SigV4Auth, service="s3", method="PUT", path="/bucket/key", body=b"one")
    request["body"] = b"two"

    assert refused(request) == "XAmzContentSHA256Mismatch"


def test_a_body_may_be_left_unsigned() -> None:
    """A client that says so signs the headers alone: those are proved, the body is not."""
    unsigned = {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}
    request = signed(service="s3", method="PUT", path="/bucket/key", body=b"one", headers=unsigned)

    check(request | {"body": b"two"})
    assert refused(request | {"raw_path": "/bucket/other"}) == "SignatureDoesNotMatch"


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"authorization": "Basic abc"}, ""),
        ({"authorization": "AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=" + "0" * 64}, ""),
        (
            {"authorization": f"AWS4-HMAC-SHA256 Credential={KEY}/20260101/r/ec2/aws3, SignedHeaders=h, Signature="}
            | {"x": "y"},
            "",
        ),
        ({}, "X-Amz-Signature=abc&X-Amz-Credential=nothing"),
        ({}, f"X-Amz-Signature=abc&X-Amz-Credential={KEY}/20260101/r/s3/aws4_request&X-Amz-Expires=soon"),
    ],
)
def test_a_signature_that_cannot_be_read_says_so(headers: dict[str, str], query: str) -> None:
    """Garbage is refused as such, never taken for no signature and never a crash."""
    with pytest.raises(AwsError) as caught:
        read_signature(headers, query)

    assert caught.value.code in ("IncompleteSignature", "AuthorizationQueryParametersError")


def test_a_request_without_signature_has_none() -> None:
    """Anonymous requests are told apart from broken ones."""
    assert read_signature({"host": HOST}, "list-type=2") is None


def test_a_request_without_its_date_is_refused() -> None:
    """The time of signing is part of the request."""
    request = signed()
    request["headers"] = {name: value for name, value in request["headers"].items() if name != "x-amz-date"}

    assert refused(request) == "IncompleteSignature"


def test_presigning_other_services_is_understood() -> None:
    """STS addresses are presigned by tools that prove an identity with them."""
    request = signed(
        SigV4QueryAuth,
        service="sts",
        method="GET",
        path="/?Action=GetCallerIdentity&Version=2011-06-15",
        body=b"",
        expires=60,
    )

    check(request)
