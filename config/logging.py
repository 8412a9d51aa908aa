"""Logging: one line an event, with what is bound to the context; secrets never."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

#: What an access key id, a secret access key and a session token look like (AWS's documented forms).
_SECRETS = re.compile(
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|(?<![A-Za-z0-9/+=])[A-Za-z0-9/+=]{40}(?![A-Za-z0-9/+=])|\bFwoG[\w/+=]{50,}"
)
_SECRET_KEYS = re.compile(r"secret|token|password|external_?id|credential", re.IGNORECASE)
_TOKENS_THAT_ARE_NONE = frozenset({"client_token"})

#: These log credentials or request bodies at DEBUG.
_CHATTY = ("botocore", "boto3", "urllib3", "s3transfer", "kombu", "amqp")


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Hide whatever looks like a secret, by key and by form."""
    for key, value in event.items():
        if _SECRET_KEYS.search(key) and key not in _TOKENS_THAT_ARE_NONE:
            event[key] = "***"
        elif isinstance(value, str):
            event[key] = _SECRETS.sub("***", value)
    return event


def set_up(style: Literal["json", "console"] = "console", *, level: int = logging.INFO) -> None:
    """Set up logging of this process, to stderr."""
    renderer: Any = (
        structlog.processors.JSONRenderer() if style == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
