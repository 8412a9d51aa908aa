"""From an HTTP request to a `Call`: service, operation and parameters as botocore knows them."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from localcloud.blocks.calls import read_block_call
from localcloud.call import Call
from localcloud.errors import AwsError

#: Signing names that differ from botocore's service names.
_MODEL_NAMES: Final[dict[str, str]] = {
    "elasticfilesystem": "efs",
    "servicequotas": "service-quotas",
    "tagging": "resourcegroupstaggingapi",
    "monitoring": "cloudwatch",
    "email": "ses",
}
_S3_OBJECT: Final[dict[str, str]] = {
    "GET": "GetObject",
    "HEAD": "HeadObject",
    "PUT": "PutObject",
    "DELETE": "DeleteObject",
}
_S3_BUCKET: Final[dict[str, str]] = {"HEAD": "HeadBucket", "PUT": "CreateBucket", "DELETE": "DeleteBucket"}
#: Query parameters that do not change which operation a request for an object is.
_S3_PLAIN: Final = frozenset({"x-id", "versionid", "partnumber", "uploadid", "uploads"})
#: Query parameters of a listing.
_S3_LISTING: Final = frozenset(
    {
        "prefix",
        "delimiter",
        "max-keys",
        "continuation-token",
        "start-after",
        "list-type",
        "encoding-type",
        "fetch-owner",
        "marker",
        "x-id",
    }
)


@dataclass(kw_only=True)
class Request:
    """An HTTP request, read whole: path and query as they came over the wire, header names lower-case."""

    method: str
    raw_path: str
    raw_query: str
    headers: Mapping[str, str]
    body: bytes
    environ: dict[str, Any] = field(repr=False)

    @property
    def query(self) -> dict[str, str]:
        """The query parameters; of repeated ones the last."""
        return dict(parse_qsl(self.raw_query, keep_blank_values=True)) if self.raw_query else {}


def read_request(environ: dict[str, Any], limit: int) -> Request:
    """Read a request whole from WSGI. Raises `AwsError` EntityTooLarge above `limit` bytes."""
    headers: dict[str, str] = {}
    for name, value in environ.items():
        if name.startswith("HTTP_"):
            headers[name[5:].replace("_", "-").lower()] = value
    for name, header in (("CONTENT_TYPE", "content-type"), ("CONTENT_LENGTH", "content-length")):
        if environ.get(name):
            headers[header] = environ[name]
    stream = environ["wsgi.input"]
    if environ.get("wsgi.input_terminated") and "CONTENT_LENGTH" not in environ:
        body = stream.read(limit + 1)
    else:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if length > limit:
            raise AwsError("EntityTooLarge", f"The request body is longer than {limit} bytes", 413)
        body = stream.read(length) if length else b""
    if len(body) > limit:
        raise AwsError("EntityTooLarge", f"The request body is longer than {limit} bytes", 413)
    raw = str(environ.get("REQUEST_URI") or environ.get("RAW_URI") or environ.get("PATH_INFO", "/"))
    if "://" in raw.split("?", 1)[0]:
        raw = "/" + raw.split("://", 1)[1].partition("/")[2]
    path, _, query = raw.partition("?")
    return Request(
        method=str(environ["REQUEST_METHOD"]).upper(),
        raw_path=path or "/",
        raw_query=query,
        headers=headers,
        body=body,
        environ=environ,
    )


@lru_cache(maxsize=256)
def model_name(service: str) -> str | None:
    """Return botocore's name of the service with this signing name, or None when botocore has none."""
    from moto.core.utils import get_service_model

    name = _MODEL_NAMES.get(service, service)
    try:
        get_service_model(name)
    except Exception:  # noqa: BLE001 - botocore and moto raise different types here
        return None
    return name


def protocol_of(service: str, headers: Mapping[str, str]) -> str:
    """Return botocore's word for the wire format of a request, a guess when the service is not known."""
    if "x-amz-target" in headers:
        return "json"
    content = headers.get("content-type", "")
    if content.startswith("application/x-www-form-urlencoded"):
        return "ec2" if service == "ec2" else "query"
    if service == "s3":
        return "rest-xml"
    name = model_name(service) if service else None
    if name is None:
        return "rest-xml"
    from moto.core.utils import get_service_model

    return str(get_service_model(name).protocol)


def decode(request: Request, *, service: str, region: str) -> Call:
    """Return the call that a request is; account and principal are filled in by the overlay.

    Raises `AwsError`: UnknownOperation, when the service or its operation is not known; MalformedInput.
    """
    name = model_name(service)
    if name is None:
        raise AwsError("UnknownOperation", f"The service {service!r} is not known to the embedded cloud.", 501)
    call = Call(
        service=service,
        operation="",
        account="",
        region=region,
        principal=None,
        method=request.method,
        path=request.raw_path,
        query=request.query,
        headers=request.headers,
        body=request.body,
        protocol=protocol_of(service, request.headers),
    )
    if service == "s3":
        _decode_s3(call, request)
    elif service != "ebs" or not _decode_block(call, request):
        _decode_modelled(call, request, name)
    return call


def _decode_s3(call: Call, request: Request) -> None:
    bucket, _, key = unquote(request.raw_path).lstrip("/").partition("/")
    call.operation = _s3_operation(call, bucket, key) or _s3_modelled(request)
    values: dict[str, Any] = {"Bucket": bucket} if bucket else {}
    if key:
        values["Key"] = key
    for name, value in call.query.items():
        values["".join(part[:1].upper() + part[1:] for part in name.split("-"))] = value
    if "x-amz-copy-source" in call.headers:
        values["CopySource"] = unquote(call.headers["x-amz-copy-source"])
    call.parameters = values


def _s3_operation(call: Call, bucket: str, key: str) -> str | None:
    given = {name.lower() for name in call.query}
    if not bucket:
        return "ListBuckets" if call.method == "GET" else None
    if not key:
        if call.method == "GET" and given <= _S3_LISTING:
            return "ListObjectsV2" if "list-type" in given else "ListObjects"
        if call.method == "POST" and "delete" in given:
            return "DeleteObjects"
        return _S3_BUCKET.get(call.method) if not given - {"x-id"} else None
    if given - _S3_PLAIN and not all(name.startswith(("x-amz-", "response-")) for name in given - _S3_PLAIN):
        return None
    if "uploads" in given:
        return "CreateMultipartUpload" if call.method == "POST" else None
    copy = "x-amz-copy-source" in call.headers
    if "uploadid" in given:
        part = "UploadPartCopy" if copy else "UploadPart"
        return {
            "PUT": part,
            "POST": "CompleteMultipartUpload",
            "DELETE": "AbortMultipartUpload",
            "GET": "ListParts",
        }.get(call.method)
    return "CopyObject" if copy and call.method == "PUT" else _S3_OBJECT.get(call.method)


def _werkzeug_request(request: Request) -> Any:
    from moto.core.request import Request as MotoRequest

    environ = dict(request.environ)
    environ["wsgi.input"] = io.BytesIO(request.body)
    environ["CONTENT_LENGTH"] = str(len(request.body))
    return MotoRequest(environ)


def _s3_modelled(request: Request) -> str:
    from moto.core.routing import get_service_router
    from werkzeug.exceptions import HTTPException

    try:
        operation, _ = get_service_router("s3").match(_werkzeug_request(request))
    except HTTPException:
        raise AwsError("MethodNotAllowed", "The specified method is not allowed against this resource.", 405) from None
    return str(operation.name)


def _decode_block(call: Call, request: Request) -> bool:
    """Read a call for a single block; False when it is another one."""
    try:
        found = read_block_call(request.method, request.raw_path, request.raw_query, request.headers)
    except ValueError:
        raise AwsError("MalformedInput", "a header that must be a number is not one") from None
    if found is None:
        return False
    call.operation, call.parameters = found
    return True


def _decode_modelled(call: Call, request: Request, name: str) -> None:
    from moto.core.utils import get_service_model

    model = get_service_model(name)
    url_values: dict[str, Any] = {}
    form: dict[str, str] = {}
    if call.protocol in ("ec2", "query"):
        form = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True)) or dict(call.query)
        call.operation = form.get("Action", "")
    elif call.protocol == "json":
        call.operation = call.headers["x-amz-target"].rpartition(".")[2] if "x-amz-target" in call.headers else ""
    else:
        call.operation, url_values = _rest_operation(request, name)
    if call.operation not in model.operation_names:
        raise AwsError(
            "InvalidAction", f"The action {call.operation or request.raw_path!r} is not valid for {call.service}.", 400
        )
    call.parameters = _parameters(call, request, model.operation_model(call.operation), form, url_values)


def _rest_operation(request: Request, name: str) -> tuple[str, dict[str, Any]]:
    from moto.core.routing import get_service_router
    from werkzeug.exceptions import HTTPException

    try:
        operation, url_values = get_service_router(name).match(_werkzeug_request(request))
    except HTTPException:
        raise AwsError(
            "UnknownOperationException", f"{request.method} {request.raw_path} is no operation", 404
        ) from None
    return str(operation.name), dict(url_values)


def _parameters(
    call: Call, request: Request, operation: Any, form: Mapping[str, str], url_values: Mapping[str, Any]
) -> dict[str, Any]:
    from moto.core.parse import PROTOCOL_PARSERS
    from werkzeug.datastructures import Headers, MultiDict

    if call.protocol == "json":
        # moto's parser takes a body that is not JSON for an empty one.
        try:
            json.loads(request.body or b"{}")
        except ValueError:
            raise AwsError("SerializationException", f"{call.name}: the body is not JSON") from None
    try:
        return dict(
            PROTOCOL_PARSERS[call.protocol](operation).parse(
                {
                    "method": request.method,
                    "values": MultiDict(form)
                    if form
                    else MultiDict(parse_qsl(request.raw_query, keep_blank_values=True)),
                    "headers": Headers(list(request.headers.items())),
                    "body": request.body,
                    "url_path": request.raw_path,
                    "url_params": dict(url_values),
                }
            )
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise AwsError(
            "MalformedInput", f"{call.name}: the parameters cannot be read ({type(error).__name__})"
        ) from None
