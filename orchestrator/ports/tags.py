"""Tags of what stands in the cloud."""

from __future__ import annotations

from collections.abc import Mapping

Tags = Mapping[str, str]
