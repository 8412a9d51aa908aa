"""AWS's own descriptions of its services, read once in a process; what is read before a fork all children share."""

from __future__ import annotations

import functools
from typing import Final

import botocore.session
from botocore.loaders import Loader

#: What sessions call.
_SERVICES: Final = ("ec2", "ebs", "iam", "sts", "s3", "sqs")


@functools.cache
def models() -> Loader:
    """Return the process's one reader of service descriptions: a reader for each role takes a third of a second."""
    return Loader()


def warm_up() -> None:
    """Read the descriptions of what sessions call. Nothing is connected to."""
    session = botocore.session.Session()
    session.register_component("data_loader", models())
    for service in _SERVICES:
        session.create_client(
            service,
            region_name="us-east-1",
            aws_access_key_id="none",
            aws_secret_access_key="none",  # noqa: S106 - never sent
        )
