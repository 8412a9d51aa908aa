"""What an installation stands on in AWS, looked at without changing anything: for `daywork doctor`."""

from __future__ import annotations

from typing import Any

from orchestrator.aws.credentials import Identities
from orchestrator.aws.errors import translated
from orchestrator.services import Install


class AwsBasics:
    """The control plane's identity, its bucket, its report queue. Each method raises a `CloudError` with the remedy."""

    def __init__(self, identities: Identities, install: Install) -> None:
        """Take the identities and the install, which names bucket and queue."""
        self._identities = identities
        self._install = install

    def account(self) -> str:
        """Return the account that the control plane's own credentials belong to."""
        with translated("ask who the control plane is"):
            answer = self._client("sts").get_caller_identity()
        return str(answer["Account"])

    def look_into_bucket(self) -> None:
        """Make sure that the control bucket is there and its orders can be listed."""
        with translated(f"list the orders in {self._install.control_bucket}"):
            self._client("s3").list_objects_v2(Bucket=self._install.control_bucket, Prefix="orders/", MaxKeys=1)

    def queue_length(self) -> int:
        """Return about how many reports wait in the report queue."""
        with translated("look at the report queue"):
            answer = self._client("sqs").get_queue_attributes(
                QueueUrl=self._install.report_queue, AttributeNames=["ApproximateNumberOfMessages"]
            )
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])

    def _client(self, service: str) -> Any:
        return self._identities.client(service, None, self._install.control_region)
