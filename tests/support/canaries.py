"""Looks for secrets where none may be: arguments, environments, broker, ledger, logs, consoles, Flower's pages.

Known secrets are looked for as they are: the control plane's key, the administrators' token, external ids, the broker's
password. Those that nobody outside a process ever sees - credentials of assumed roles - are looked for by their form.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import re
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from itertools import chain
from pathlib import Path
from typing import Any, Final

import redis
import zstandard
from sqlalchemy.engine import make_url

from config.settings import Settings
from orchestrator.ledger import dump
from support.stack import Stack

#: A key id of assumed credentials, and a session token (of this cloud, and of AWS).
_FORMS: Final = {
    "temporary key id": re.compile(rb"\bASIA[A-Z0-9]{16}\b"),
    "session token": re.compile(rb"(?<![\w+/-])(?:[\w-]{200,}|FwoG[\w+/=]{50,})"),
}


def leaks(stack: Stack, *, flower: bool = True, tasks_of_each: int | None = None) -> list[str]:
    """Return what was found where; empty when nothing leaks.

    Flower has a page for each task; `tasks_of_each` looks at no more of each name and state, beside the list of all.
    """
    settings = settings_of(stack)
    secrets = known_secrets(stack, settings)
    found = []
    pages = _flower(stack, tasks_of_each) if flower else ()
    for place, content in chain(places(stack, settings), pages):
        opened = _opened(content)
        found += [f"{name} in {place}" for name, secret in secrets.items() if secret in content or secret in opened]
        found += [f"{name} in {place}" for name, form in _FORMS.items() if form.search(opened)]
    return found


def known_secrets(stack: Stack, settings: Settings) -> Mapping[str, bytes]:
    """Return every secret of a stack that can be read from its state directory."""
    directory = stack.directory
    credentials = (directory / "credentials").read_text()
    secrets = {
        "control plane's secret key": credentials.split("aws_secret_access_key = ")[1].strip(),
        "administrators' token": (directory / "cloud" / "admin-token").read_text().strip(),
        "broker's password": settings.broker_url.split(":")[2].split("@")[0],
    }
    if isinstance(password := make_url(settings.ledger_url).password, str):
        secrets["ledger's password"] = password
    for path in (directory / "external-ids").glob("*"):
        secrets[f"external id of {path.name}"] = path.read_text().strip()
    if any(len(secret) < 16 for secret in secrets.values()):
        raise AssertionError("a secret is too short to be looked for")
    return {name: secret.encode() for name, secret in secrets.items()}


def places(stack: Stack, settings: Settings) -> Iterator[tuple[str, bytes]]:
    """Yield every place in which no secret may stand, with its content; Flower's pages come beside them."""
    for pid in processes(stack):
        for name in ("cmdline", "environ"):
            yield f"{name} of process {pid}", _of_process(pid, name)
    directory = stack.directory
    for pattern in ("ledger.sqlite3*", "stack.json", "env.json", "logs/*", "cloud/console/*", "valkey/appendonlydir/*"):
        for path in sorted(directory.glob(pattern)):
            yield str(path.relative_to(directory)), path.read_bytes()
    if not settings.ledger_url.startswith("sqlite"):
        yield "the ledger's rows", _rows(stack)
    yield from _broker(settings)


def _rows(stack: Stack) -> bytes:
    file = io.BytesIO()
    dump.write(stack.ledger, file, install="canaries")
    return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(file.getvalue())).read()


def processes(stack: Stack) -> list[int]:
    """Return the ids of a stack's processes and of everything that stems from them."""
    found = [int(one["pid"]) for one in stack.record["processes"]]
    for pid in found:
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                found += [child for child in map(int, task.read_text().split()) if child not in found]
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found


def _of_process(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def _broker(settings: Settings) -> Iterator[tuple[str, bytes]]:
    client = redis.Redis.from_url(settings.broker_url)
    try:
        for key in client.scan_iter():
            yield f"broker key {key!r}", _value(client, key)
    finally:
        client.close()


def _value(client: Any, key: bytes) -> bytes:
    kind = client.type(key)
    read = {
        b"string": lambda: [client.get(key) or b""],
        b"list": lambda: client.lrange(key, 0, -1),
        b"set": lambda: client.smembers(key),
        b"zset": lambda: client.zrange(key, 0, -1),
        b"hash": lambda: [part for pair in client.hgetall(key).items() for part in pair],
    }
    return b"\n".join(read[kind]()) if kind in read else b""


def _opened(content: bytes) -> bytes:
    """Return a text with the bodies of Celery's messages as they were before base64."""

    def decode(match: re.Match[bytes]) -> bytes:
        try:
            text = base64.b64decode(match.group(0), validate=True)
            text.decode()
        except (binascii.Error, UnicodeDecodeError):
            return match.group(0)
        return text

    return re.sub(rb"[A-Za-z0-9+/]{40,}={0,2}", decode, content)


def _flower(stack: Stack, tasks_of_each: int | None) -> Iterator[tuple[str, bytes]]:
    base = stack.record["addresses"]["flower"]
    tasks = flower_tasks(stack)
    workers = {str(one["worker"]) for one in tasks if one.get("worker")}
    pages = ["/", "/workers?json=1", "/tasks", "/broker", "/metrics"]
    seen: Counter[tuple[str, str]] = Counter()
    for one in tasks:
        seen[one["name"], one["state"]] += 1
        if tasks_of_each is None or seen[one["name"], one["state"]] <= tasks_of_each:
            pages.append(f"/task/{one['uuid']}")
    pages += [f"/worker/{name}" for name in sorted(workers)]
    yield "Flower's list of tasks", json.dumps(tasks).encode()
    for page in pages:
        try:
            shown = fetch(base + page)
        except urllib.error.HTTPError as error:
            # Flower has no page of a Celery worker that was killed, and started again under another name.
            if error.code != HTTPStatus.NOT_FOUND:
                raise
            shown = error.read()
        yield f"Flower's page {page}", _without_forms_own_token(shown)


def flower_tasks(stack: Stack) -> list[dict[str, Any]]:
    """Return the tasks as Flower's page lists them."""
    url = f"{stack.record['addresses']['flower']}/tasks/datatable"
    query = "?draw=1&start=0&length=10000&order[0][column]=0&order[0][dir]=asc&columns[0][data]=name&search[value]="
    found: list[dict[str, Any]] = json.loads(fetch(url + query))["data"]
    return found


def fetch(url: str) -> bytes:
    """Return a page of this machine."""
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - a loopback address of the stack
        return bytes(answer.read())


def _without_forms_own_token(page: bytes) -> bytes:
    return re.sub(rb'name="_xsrf" value="[^"]*"', b"", page)


def settings_of(stack: Stack) -> Settings:
    """Return a stack's settings."""
    from config.settings import load_settings

    return load_settings(default=stack.directory / "daywork.toml")
