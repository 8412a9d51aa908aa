"""One embedded cloud for each test module."""

from __future__ import annotations

from support.cloud import cloud as cloud  # noqa: PLC0414 - a fixture is made known by its name
