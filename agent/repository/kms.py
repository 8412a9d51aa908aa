"""Wrapping data keys with a KMS key, as the repository's role."""

from __future__ import annotations

import base64
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from agent.aws import Access
from agent.aws_json import JsonService, ServiceError
from agent.repository.errors import Unusable
from agent.repository.keys import Context

_ARN_PARTS: Final = 6


class Kms:
    """`KeyService` on AWS KMS. Needs `kms:GenerateDataKey` and `kms:Decrypt` on the key."""

    def __init__(self, access: Access, kms_key: str) -> None:
        """Take the key's ARN; KMS is asked in the ARN's Region."""
        parts = kms_key.split(":")
        region = parts[3] if len(parts) >= _ARN_PARTS else access.region
        self._key = kms_key
        self._service = JsonService(access, "kms", "TrentService", region=region)

    @property
    def name(self) -> str:
        """The key's ARN."""
        return self._key

    def generate(self, context: Context) -> tuple[bytes, bytes]:
        """Return a new data key in clear and wrapped. Raises `Unusable`."""
        asked = {"KeyId": self._key, "KeySpec": "AES_256", "EncryptionContext": dict(context)}
        try:
            answer = self._service.call("GenerateDataKey", asked)
        except (ServiceError, ClientError, BotoCoreError) as error:
            raise _unusable(self._key, error) from None
        return base64.b64decode(answer["Plaintext"]), base64.b64decode(answer["CiphertextBlob"])

    def unwrap(self, wrapped: bytes, *, name: str, context: Context) -> bytes:
        """Return a data key in clear. Raises `Unusable`."""
        blob = base64.b64encode(wrapped).decode()
        asked = {"CiphertextBlob": blob, "KeyId": name, "EncryptionContext": dict(context)}
        try:
            answer = self._service.call("Decrypt", asked)
        except (ServiceError, ClientError, BotoCoreError) as error:
            raise _unusable(name, error) from None
        return base64.b64decode(answer["Plaintext"])


def _unusable(name: str, error: Exception) -> Unusable:
    if isinstance(error, ServiceError):
        code = error.code
    else:
        code = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
    return Unusable(
        f"the repository's key {name} cannot be used: {code}",
        "Enable the key and let the repository's role use kms:GenerateDataKey and kms:Decrypt on it",
    )
