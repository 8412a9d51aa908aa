"""The agent's build script, which is no part of any package."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

WORKER = Path(__file__).parents[2] / "deploy" / "worker"


def build_script() -> ModuleType:
    """Return deploy/worker/build.py as a module."""
    spec = importlib.util.spec_from_file_location("daywork_worker_build", WORKER / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
