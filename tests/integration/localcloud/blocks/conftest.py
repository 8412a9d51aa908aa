"""One embedded cloud for each test module, whose snapshots and volumes are ready at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from support.cloud import FAST, LocalCloud, local_cloud


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """An embedded cloud."""
    settings = replace(FAST, snapshot=timedelta(0), volume=timedelta(0))
    with local_cloud(tmp_path_factory.mktemp("cloud"), settings) as made:
        yield made


@pytest.fixture
def account(cloud: LocalCloud) -> str:
    """An account of the test's own."""
    return cloud.account()


@pytest.fixture
def ebs(cloud: LocalCloud, account: str) -> Any:
    """The account's administrator at the EBS direct API."""
    return cloud.admin("ebs", account)


@pytest.fixture
def ec2(cloud: LocalCloud, account: str) -> Any:
    """The account's administrator at EC2."""
    return cloud.admin("ec2", account)
