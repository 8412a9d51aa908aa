"""Asking a worker that browses an image: requests and answers beside its order."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import ClientError

from agent.protocol import Ask, answer_key, ask_key, ask_prefix
from orchestrator.aws.errors import translated
from orchestrator.errors import Missing

#: Seconds between two looks for an answer.
_LOOK: Final = 0.3


class NoAnswer(Exception):
    """The worker did not answer in time; it may still."""


@dataclass(frozen=True)
class Browser:
    """One worker of a session, spoken to with the control plane's own identity through its S3 client."""

    s3: Any
    bucket: str
    session: str
    user_id: str

    def ask(self, ask: Ask, seconds: float) -> dict[str, Any]:
        """Ask, and wait so long for the answer. Raises `NoAnswer`, `CloudError`."""
        number = self._write(ask)
        until = time.monotonic() + seconds
        key = answer_key(self.session, self.user_id, number)
        while True:
            try:
                with translated("read an answer"):
                    body = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
            except Missing:
                if time.monotonic() >= until:
                    raise NoAnswer(f"the worker has not answered request {number} within {seconds:g} s") from None
                time.sleep(_LOOK)
                continue
            answer: dict[str, Any] = json.loads(body)
            return answer

    def _write(self, ask: Ask) -> int:
        """Write the request under the next number, whoever else asks at the same time; return it."""
        number = self._last() + 1
        while True:
            try:
                self.s3.put_object(
                    Bucket=self.bucket,
                    Key=ask_key(self.session, self.user_id, number),
                    Body=ask.to_json().encode(),
                    ContentType="application/json",
                    IfNoneMatch="*",
                )
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") not in (
                    "PreconditionFailed",
                    "ConditionalRequestConflict",
                ):
                    with translated("ask a worker"):
                        raise
                number += 1
                continue
            return number

    def _last(self) -> int:
        prefix = ask_prefix(self.session, self.user_id)
        with translated("list requests"):
            pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
            names = [one["Key"].removeprefix(prefix) for page in pages for one in page.get("Contents", [])]
        return max(
            (int(name.removesuffix(".json")) for name in names if name.removesuffix(".json").isdigit()), default=0
        )
