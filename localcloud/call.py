"""One request to the embedded cloud, decoded, and what may be done with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from localcloud.identity import Identity


@dataclass(frozen=True)
class Principal:
    """Who signed a request. `user_id` is the `aws:userid` (`<role id>:<session name>` for an assumed role)."""

    account: str
    arn: str
    principal_arn: str
    user_id: str


@dataclass(kw_only=True)
class Call:
    """One signed request: `service` and `operation` as in IAM actions (`ec2`, `RunInstances`).

    `account` is whose backend the call acts on (of the signer, unless a resource policy allowed another one);
    `parameters` is the request as botocore's input shape for the operation (nested dicts and lists), where the body
    could be decoded; `path`, `query`, `headers` (lower-case names) and `body` are the raw request; a part that runs
    before moto may replace `body`. `protocol` is botocore's word for the wire format (`ec2`, `query`, `json`,
    `rest-json`, `rest-xml`). `identity` holds what the overlay knows of the signer beyond `principal`; it is never
    logged.
    """

    service: str
    operation: str
    account: str
    region: str
    principal: Principal | None
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    parameters: dict[str, Any] = field(default_factory=dict)
    protocol: str = "query"
    identity: Identity | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The call as faults and the call log name it: `ec2:RunInstances`."""
        return f"{self.service}:{self.operation}"


@dataclass(kw_only=True)
class Reply:
    """A whole HTTP response. `body` may be an iterable of chunks, so that a block can be sent from a file."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes | Iterable[bytes]


class Plugin(Protocol):
    """A part of the embedded cloud that answers calls itself or adds to moto's answers. Called from many threads."""

    def before(self, call: Call) -> Reply | None:
        """Answer the call instead of moto, or return None to let it through."""

    def after(self, call: Call, reply: Reply) -> Reply:
        """See (and maybe change) moto's answer. Called for successful and failed answers alike."""
