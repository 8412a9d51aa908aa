"""How messages travel: orders and results through the control bucket, reports through the report queue.

Each method makes its AWS calls once, with short time-outs: what is worth repeating is repeated by the runner, which
knows for how long.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from agent.imds import MetadataError
from agent.protocol import Boot, Order, Report, order_key, result_key, stop_key

if TYPE_CHECKING:
    from botocore.session import Session

_CONFIG: Final = Config(
    connect_timeout=3,
    read_timeout=10,
    retries={"mode": "standard", "total_max_attempts": 1},
    max_pool_connections=2,
    tcp_keepalive=True,
    user_agent_appid="daywork-agent",  # type: ignore[call-arg]  # newer than the stubs
)
#: Orders are a few kilobytes; anything near this is not ours.
_ORDER_LIMIT: Final = 1024 * 1024
#: Without the right to list a bucket, S3 answers 403 for an object that is not there.
_NOT_THERE: Final = frozenset({403, 404})


class ChannelError(Exception):
    """A message did not get through; it may a moment later. The text says why, without any secret."""


class NotThere(ChannelError):
    """There is no such object, or this worker may not see it (yet)."""


class Channel(Protocol):
    """What the runner says and hears. Every method may raise `ChannelError`."""

    def who_am_i(self) -> str:
        """Return the worker's `aws:userid`, which names its orders from then on. Must be called first."""

    def order(self) -> Order:
        """Return the worker's order. Raises `NotThere`; `ProtocolError` for one that cannot be understood."""

    def stop_asked(self) -> bool:
        """Tell whether somebody asked the worker to stop."""

    def result(self) -> Report:
        """Return the result object beside the order. Raises `NotThere`; `ProtocolError`."""

    def keep(self, report: Report) -> None:
        """Write the result object beside the order. Doing it again replaces it."""

    def send(self, report: Report) -> None:
        """Send a report. Doing it again sends it twice, which its number makes harmless."""


class AwsChannel:
    """`Channel` over STS, S3 and SQS, as the worker's own role."""

    def __init__(self, session: Session, boot: Boot) -> None:
        self._boot = boot
        self._sts: Any = session.create_client("sts", region_name=boot.region, config=_CONFIG)
        self._s3: Any = session.create_client("s3", region_name=boot.control_region, config=_CONFIG)
        self._sqs: Any = session.create_client("sqs", region_name=boot.control_region, config=_CONFIG)
        self._user_id = ""

    def who_am_i(self) -> str:
        """See the port."""
        with _translated("ask who I am"):
            self._user_id = str(self._sts.get_caller_identity()["UserId"])
        return self._user_id

    def order(self) -> Order:
        """See the port."""
        return Order.from_json(self._read(order_key(self._boot.session, self._user_id)))

    def stop_asked(self) -> bool:
        """See the port."""
        try:
            self._read(stop_key(self._boot.session, self._user_id))
        except NotThere:
            return False
        return True

    def result(self) -> Report:
        """See the port."""
        return Report.from_json(self._read(result_key(self._boot.session, self._user_id)))

    def keep(self, report: Report) -> None:
        """See the port."""
        with _translated("write the result object"):
            self._s3.put_object(
                Bucket=self._boot.control_bucket,
                Key=result_key(self._boot.session, self._user_id),
                Body=report.to_json().encode(),
                ContentType="application/json",
            )

    def send(self, report: Report) -> None:
        """See the port."""
        with _translated("send a report"):
            self._sqs.send_message(QueueUrl=self._boot.report_queue, MessageBody=report.to_json())

    def _read(self, key: str) -> bytes:
        with _translated("read the control bucket"):
            body: Any = self._s3.get_object(Bucket=self._boot.control_bucket, Key=key)["Body"]
            with body:
                return bytes(body.read(_ORDER_LIMIT))


@contextmanager
def _translated(deed: str) -> Iterator[None]:
    """Turn what an AWS call raises into `ChannelError`s that name the AWS code and nothing else of the answer."""
    try:
        yield
    except ClientError as error:
        said = f"cannot {deed}: {error.response['Error'].get('Code', 'unknown')}"
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") in _NOT_THERE:
            raise NotThere(said) from None
        raise ChannelError(said) from None
    except BotoCoreError as error:
        raise ChannelError(f"cannot {deed}: {type(error).__name__}") from None
    except MetadataError as error:
        raise ChannelError(f"cannot {deed}: {error}") from None
