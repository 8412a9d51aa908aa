"""The report queue, as the listener reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog

from agent.protocol import ProtocolError, Report
from orchestrator.aws.credentials import Identities
from orchestrator.aws.errors import translated
from orchestrator.ports import ReceivedReport
from orchestrator.services import Install

log = structlog.get_logger(__name__)

#: SQS hands out, and deletes, ten messages at once at most.
_MOST = 10


class AwsReports:
    """`orchestrator.ports.Reports` on SQS, with the control plane's own identity."""

    def __init__(self, identities: Identities, install: Install) -> None:
        """Take the identities and the install, which names the queue."""
        self._identities = identities
        self._queue = install.report_queue
        self._region = install.control_region

    @property
    def _sqs(self) -> Any:
        return self._identities.client("sqs", None, self._region)

    def receive(self, wait_seconds: int) -> list[ReceivedReport]:
        """See the port."""
        with translated("receive reports"):
            answer = self._sqs.receive_message(
                QueueUrl=self._queue,
                MaxNumberOfMessages=_MOST,
                WaitTimeSeconds=wait_seconds,
                MessageSystemAttributeNames=["SenderId"],
            )
        found: list[ReceivedReport] = []
        bad: list[str] = []
        for message in answer.get("Messages", []):
            try:
                report = Report.from_json(message["Body"])
            except ProtocolError as error:
                log.warning("message is not a report", message_id=message["MessageId"], reason=str(error))
                bad.append(message["ReceiptHandle"])
                continue
            sender = message.get("Attributes", {}).get("SenderId", "")
            found.append(ReceivedReport(report=report, sender_id=sender, handle=message["ReceiptHandle"]))
        if bad:
            self.acknowledge(bad)
        return found

    def acknowledge(self, handles: Sequence[str]) -> None:
        """See the port."""
        for start in range(0, len(handles), _MOST):
            entries = [
                {"Id": str(number), "ReceiptHandle": handle}
                for number, handle in enumerate(handles[start : start + _MOST])
            ]
            with translated("acknowledge reports"):
                self._sqs.delete_message_batch(QueueUrl=self._queue, Entries=entries)
