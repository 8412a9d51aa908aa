"""The pre-flight plan: what a session would do, told before it is started. Reads only; nothing is made anywhere.

`forecast(services, request)` walks the way of the session's first step through the same functions
(`orchestrator.planning`), keeps the plans in memory, and looks at what a session finds out on its way: whether keys may
be used (`rights`), whether there is room for all workers (`room`), how long EC2 lets their launch take (`estimate`).
"""

from __future__ import annotations

from orchestrator.preflight.forecast import Finding, Forecast, PlaceForecast, ResourceForecast, Severity
from orchestrator.preflight.look import forecast
from orchestrator.preflight.record import record

__all__ = ["Finding", "Forecast", "PlaceForecast", "ResourceForecast", "Severity", "forecast", "record"]
