"""Names in documents that nobody has filled in yet: of one installation's values, those that are not known here.

A placeholder is a text between two characters that stand in no AWS name, so that each form of output can write it in
its own way. External ids are always placeholders: their value is a secret of two parties.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

_OPEN, _CLOSE = "\ue000", "\ue001"
_PLACEHOLDER: Final = re.compile(f"{_OPEN}([A-Za-z]+){_CLOSE}")


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """What a placeholder stands for."""

    name: str
    help: str
    is_secret: bool = False


_PARAMETERS = (
    Parameter(name="InstallId", help="The installation's name (DAYWORK_INSTALL_ID)"),
    Parameter(name="AccountId", help="The account that the role stands in"),
    Parameter(name="BackupAccountId", help="The backup account"),
    Parameter(name="ControlPlaneArn", help="ARN of the control plane's own role or user"),
    Parameter(name="ExternalId", help="The external id agreed on with this account", is_secret=True),
    Parameter(name="ControlBucket", help="The control bucket (DAYWORK_CONTROL_BUCKET)"),
    Parameter(name="ControlRegion", help="The Region of control bucket and report queue (DAYWORK_CONTROL_REGION)"),
    Parameter(name="ReportQueue", help="The name of the report queue"),
    Parameter(name="RepositoryAccountId", help="The account that holds the repository"),
    Parameter(name="RepositoryBucket", help="The repository's bucket"),
    Parameter(name="RepositoryKeyArn", help="ARN of the KMS key that wraps the repository's data keys"),
    Parameter(name="RepositoryRoleArn", help="ARN of the role by which workers of other accounts reach the repository"),
    Parameter(name="BoundaryArn", help="ARN of the permissions boundary of temporary roles"),
    Parameter(name="ProductionAccountId", help="A production account"),
    Parameter(name="DataRoleArn", help="ARN of a production account's data role"),
    Parameter(name="SessionId", help="A session, as the control plane fills it in"),
)
PARAMETERS: Final[Mapping[str, Parameter]] = MappingProxyType({one.name: one for one in _PARAMETERS})


def placeholder(name: str) -> str:
    """Return the placeholder of a parameter. Raises KeyError for an unknown one."""
    return f"{_OPEN}{PARAMETERS[name].name}{_CLOSE}"


def named_in(value: Any) -> list[Parameter]:
    """Return the parameters whose placeholders stand in a document, in the order of the table."""
    found = {match for text in _texts(value) for match in _PLACEHOLDER.findall(text)}
    return [one for one in _PARAMETERS if one.name in found]


def filled(value: Any, write: Callable[[Parameter], str], *, quote: Callable[[str], str] = str) -> Any:
    """Return a document with every placeholder written by `write`, and all other text by `quote`."""
    if isinstance(value, Mapping):
        return {key: filled(one, write, quote=quote) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [filled(one, write, quote=quote) for one in value]
    if not isinstance(value, str):
        return value
    parts = _PLACEHOLDER.split(value)
    return "".join(write(PARAMETERS[part]) if number % 2 else quote(part) for number, part in enumerate(parts))


def has_placeholder(text: str) -> bool:
    """Whether a text holds a placeholder."""
    return _PLACEHOLDER.search(text) is not None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, str):
        yield value
