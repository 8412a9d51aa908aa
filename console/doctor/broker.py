"""Looking at the broker: whether it answers, loses or evicts messages, is patched, and who takes work from it."""

from __future__ import annotations

from typing import Any

from config.celeryconfig import QUEUES
from config.settings import Settings
from console.doctor.findings import Finding, Findings, failed, ok, skipped, warning

_PART = "broker"
_SECONDS = 3

#: The first releases without the hole in Lua through which whoever may write can run code (CVE-2025-49844).
_PATCHED = {
    "redis": {(6, 2): 20, (7, 2): 11, (7, 4): 6, (8, 0): 4, (8, 2): 2},
    "valkey": {(7, 2): 11, (8, 0): 6, (8, 1): 4},
}


def look(settings: Settings) -> Findings:
    """Look at the server, then at who takes messages from it."""
    if not settings.broker_url.startswith(("redis", "valkey", "unix")):
        yield _connects(settings)
        return
    import redis

    try:
        with redis.Redis.from_url(
            settings.broker_url, socket_connect_timeout=_SECONDS, socket_timeout=_SECONDS
        ) as client:
            found: dict[str, Any] = client.info()
            lengths = {queue: int(client.llen(queue)) for queue in QUEUES}
    except (redis.RedisError, ValueError) as error:
        yield failed(
            _PART,
            f"the broker does not answer: {type(error).__name__}",
            f"See that it runs and takes our password: {settings.shown()['broker_url']}",
        )
        yield skipped("celery", "the broker does not answer")
        return
    yield from _server(found)
    yield from _workers(settings, lengths)


def _connects(settings: Settings) -> Finding:
    from kombu import Connection

    try:
        with Connection(settings.broker_url, connect_timeout=_SECONDS) as connection:
            connection.ensure_connection(max_retries=1, interval_start=1)
    except Exception as error:  # noqa: BLE001 - every transport has errors of its own
        return failed(
            _PART, f"the broker does not answer: {type(error).__name__}", "See that it runs and takes our password"
        )
    return ok(_PART, "the broker answers")


def _server(found: dict[str, Any]) -> Findings:
    name = "valkey" if "valkey_version" in found else "redis"
    version = str(found.get("valkey_version") or found.get("redis_version", ""))
    yield ok(_PART, f"{name} {version} answers")
    if not is_patched(name, version):
        yield warning(
            _PART,
            f"{name} {version} has a hole in its scripting (CVE-2025-49844), unless your distribution has closed it",
            "Update the server",
        )
    policy = str(found.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction":
        yield failed(
            _PART,
            f"when its memory is full the broker throws messages away (maxmemory-policy {policy})",
            "Set maxmemory-policy to noeviction",
        )
    if not found.get("aof_enabled"):
        yield warning(
            _PART,
            "a restart of the broker loses its messages; sessions then go on only after a while",
            "Set appendonly to yes",
        )


def is_patched(name: str, version: str) -> bool:
    """Whether a server's release has CVE-2025-49844 closed; an unreadable version is believed."""
    parts = version.split(".")
    if len(parts) < 3 or not all(part.isdigit() for part in parts[:3]):  # noqa: PLR2004 - major, minor, patch
        return True
    major, minor, patch = (int(part) for part in parts[:3])
    known = _PATCHED[name]
    if (major, minor) in known:
        return patch >= known[major, minor]
    return (major, minor) > max(known)


def _workers(settings: Settings, lengths: dict[str, int]) -> Findings:
    from tasks.app import make_app

    app = make_app(settings)
    try:
        answers = app.control.ping(timeout=1.0)
    finally:
        app.close()
    names = sorted(name for answer in answers or [] for name in answer)
    waiting = ", ".join(f"{number:,} in {queue}" for queue, number in lengths.items() if number)
    waits = f"; waiting: {waiting}" if waiting else ""
    if names:
        yield ok(
            "celery", f"{len(names)} Celery worker{'s' if len(names) > 1 else ''} answering: {', '.join(names)}{waits}"
        )
    else:
        yield warning(
            "celery",
            f"no Celery worker answers, so no session moves{waits}",
            "Start them: daywork up on one machine, daywork run celery-worker elsewhere",
        )
