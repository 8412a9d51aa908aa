"""The control bucket: orders to agents and their result objects."""

from __future__ import annotations

from typing import Any

import structlog

from agent.protocol import Order, ProtocolError, Report, order_key, order_prefix, result_key, stop_key
from orchestrator.aws.credentials import Identities
from orchestrator.aws.errors import translated
from orchestrator.errors import Missing
from orchestrator.policies import EPOCH_KEY
from orchestrator.services import Install

log = structlog.get_logger(__name__)


class AwsOrders:
    """`orchestrator.ports.Orders` on S3, with the control plane's own identity."""

    def __init__(self, identities: Identities, install: Install) -> None:
        """Take the identities and the install, which names the bucket."""
        self._identities = identities
        self._bucket = install.control_bucket
        self._region = install.control_region

    @property
    def _s3(self) -> Any:
        return self._identities.client("s3", None, self._region)

    def give(self, user_id: str, order: Order) -> None:
        """See the port."""
        with translated("write an order"):
            self._s3.put_object(
                Bucket=self._bucket,
                Key=order_key(order.session, user_id),
                Body=order.to_json().encode(),
                ContentType="application/json",
            )

    def stop(self, session: str, user_id: str) -> None:
        """See the port."""
        with translated("write a stop"):
            self._s3.put_object(Bucket=self._bucket, Key=stop_key(session, user_id), Body=b"stop")

    def result(self, session: str, user_id: str) -> Report | None:
        """See the port."""
        try:
            with translated("read a result"):
                body = self._s3.get_object(Bucket=self._bucket, Key=result_key(session, user_id))["Body"].read()
        except Missing:
            return None
        try:
            return Report.from_json(body)
        except ProtocolError as error:
            log.warning("result object is not a report", session_id=session, reason=str(error))
            return None

    def absent(self, session: str, user_id: str) -> None:
        """See the port."""
        with translated("remove an order"):
            for key in (order_key, stop_key, result_key):
                self._s3.delete_object(Bucket=self._bucket, Key=key(session, user_id))

    def keys(self, session: str) -> list[str]:
        """See the port."""
        with translated("list orders"):
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=order_prefix(session)
            )
            return [one["Key"] for page in pages for one in page.get("Contents", [])]

    def absent_key(self, key: str) -> None:
        """See the port."""
        with translated("remove an order"):
            self._s3.delete_object(Bucket=self._bucket, Key=key)

    def sessions(self) -> set[str]:
        """See the port."""
        with translated("list the sessions that have orders"):
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix="orders/", Delimiter="/"
            )
            return {one["Prefix"].split("/")[1] for page in pages for one in page.get("CommonPrefixes", [])}

    def epoch(self) -> str | None:
        """See the port."""
        try:
            with translated("read the ledger's epoch"):
                body: bytes = self._s3.get_object(Bucket=self._bucket, Key=EPOCH_KEY)["Body"].read()
        except Missing:
            return None
        return body.decode("ascii", "replace")

    def set_epoch(self, epoch: str) -> None:
        """See the port."""
        with translated("write the ledger's epoch"):
            self._s3.put_object(Bucket=self._bucket, Key=EPOCH_KEY, Body=epoch.encode())
