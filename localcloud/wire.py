"""Answers in the five wire formats that AWS services speak."""

from __future__ import annotations

import json
import uuid
from typing import Any, Final
from xml.sax.saxutils import escape

from localcloud.call import Call, Reply
from localcloud.decode import model_name
from localcloud.errors import AwsError

_XML: Final = "text/xml;charset=UTF-8"
_JSON: Final = "application/x-amz-json-1.0"

#: SQS clients still see the codes of the old query protocol, through a header (botocore: `awsQueryCompatible`).
_SQS_QUERY_CODES: Final[dict[str, str]] = {
    "QueueDoesNotExist": "AWS.SimpleQueueService.NonExistentQueue",
    "RequestThrottled": "RequestThrottled",
}


def refusal(error: AwsError, *, protocol: str, method: str = "POST", service: str = "") -> Reply:
    """Render an error as the protocol words it. A HEAD request gets no body."""
    request_id = str(uuid.uuid4())
    headers = [("x-amzn-RequestId", request_id)]
    body: str
    if protocol == "json":
        headers += [("Content-Type", _JSON)]
        if service == "sqs":
            headers.append(("x-amzn-query-error", f"{_SQS_QUERY_CODES.get(error.code, error.code)};Sender"))
        body = json.dumps({"__type": error.code, "message": error.message})
    elif protocol == "rest-json":
        headers += [("Content-Type", "application/json"), ("x-amzn-ErrorType", error.code)]
        reason = {} if error.reason is None else {"Reason": error.reason}
        body = json.dumps({"message": error.message, "Message": error.message, **reason})
    else:
        headers += [("Content-Type", _XML if protocol != "rest-xml" else "application/xml")]
        inner = f"<Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
        if protocol == "ec2":
            body = f"<Response><Errors><Error>{inner}</Error></Errors><RequestID>{request_id}</RequestID></Response>"
        elif protocol == "rest-xml":
            headers.append(("x-amz-request-id", request_id))
            body = f"<Error>{inner}<RequestId>{request_id}</RequestId></Error>"
        else:
            body = f"<Error><Type>Sender</Type>{inner}</Error><RequestId>{request_id}</RequestId>"
            body = f"<ErrorResponse>{body}</ErrorResponse>"
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n{body}'
    return Reply(status=error.status, headers=headers, body=b"" if method == "HEAD" else body.encode())


def refuse(call: Call, code: str, message: str, status: int | None = None) -> Reply:
    """Render an error for a call; `status` defaults to the code's usual one."""
    return refusal(AwsError(code, message, status), protocol=call.protocol, method=call.method, service=call.service)


def answer(call: Call, result: Any, *, transformers: dict[str, Any] | None = None) -> Reply:
    """Render a successful answer: `result` is botocore's output shape of the operation (or moto's own objects).

    `transformers` are moto's `RESPONSE_KEY_PATH_TO_TRANSFORMER` for services that need them.
    """
    from moto.core.serialize import XFormedAttributePicker, get_serializer_class
    from moto.core.utils import get_service_model

    service = get_service_model(model_name(call.service) or call.service)
    serializer = get_serializer_class(service.service_name, call.protocol)(
        operation_model=service.operation_model(call.operation),
        value_picker=XFormedAttributePicker(response_transformers=transformers),
    )
    rendered = serializer.serialize(result)
    headers = {str(name): str(value) for name, value in rendered["headers"].items()}
    headers.setdefault("Content-Type", _XML)
    headers["x-amzn-RequestId"] = str(uuid.uuid4())
    body = rendered["body"]
    return Reply(
        status=int(rendered["status_code"]),
        headers=list(headers.items()),
        body=body if isinstance(body, bytes) else str(body).encode(),
    )


def text(body: str, status: int = 200, content_type: str = "text/plain") -> Reply:
    """Return a plain text answer."""
    return Reply(status=status, headers=[("Content-Type", content_type)], body=body.encode())


def document(value: Any, status: int = 200) -> Reply:
    """Return a JSON answer of the cloud's own pages."""
    return text(json.dumps(value), status, "application/json")


def whole(reply: Reply) -> bytes:
    """Return a reply's body in one piece, and keep it so."""
    if not isinstance(reply.body, bytes):
        reply.body = b"".join(reply.body)
    return reply.body


def error_code(reply: Reply) -> str | None:
    """Return the error code of an answer, or None when it is no error."""
    if reply.status < 400:  # noqa: PLR2004 - HTTP's own limit
        return None
    headers = {name.lower(): value for name, value in reply.headers}
    if kind := headers.get("x-amzn-errortype"):
        return kind.split(":")[0]
    body = whole(reply)
    start = body.find(b"<Code>")
    if start >= 0:
        return body[start + 6 : body.find(b"</Code>", start)].decode("utf-8", "replace")
    try:
        kind = json.loads(body or b"{}").get("__type")
    except (ValueError, AttributeError):
        kind = None
    return str(kind).rpartition("#")[2] if kind else str(reply.status)
