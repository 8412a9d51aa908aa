"""The version of this agent, as it says it in reports and to `--version`."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"
