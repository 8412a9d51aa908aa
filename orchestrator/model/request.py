"""The session request, version 1 (CONTRACT section 3): what a producer may say, strictly typed.

Reading a request touches nothing: no ledger, no cloud. Unknown fields are refused by name, all mistakes at once.
"""

from __future__ import annotations

import hashlib
import json
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo, model_validator
from pydantic.alias_generators import to_camel

from orchestrator.model.reading import read_strict
from orchestrator.model.status import DeploymentMode

Account = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Region = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
AnyRegion = Annotated[str, StringConstraints(pattern=r"^(\*|[a-z]{2}(-[a-z]+)+-\d)$")]
RoleArn = Annotated[str, StringConstraints(pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+$")]
KeyArn = Annotated[str, StringConstraints(pattern=r"^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[\w-]+$")]
Identifier = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f]+$")]


#: Every account, every Region.
ANY = "*"

#: The context in which a request is read back from the ledger, where its resources are rows of their own.
STORED = MappingProxyType({"stored": True})


class Strict(BaseModel):
    """Base of everything that comes from outside: camel-case names, unknown fields refused, values immutable."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, str_strip_whitespace=True
    )


class ResourceSelector(Strict):
    """One resource: an account by id or registered name, a Region, the resource's own id."""

    account: Account
    region: Region
    id: Identifier


class TagSelector(Strict):
    """All resources of an account and Region that carry every one of these tags.

    `*` as account is every registered one that has the operation's role, as Region every one the account is registered
    for; in a tag's value `*` and `?` stand for any text, as in EC2's filters.
    """

    account: Account
    region: AnyRegion
    tags: dict[str, str] = Field(min_length=1)


class Exclusion(Strict):
    """Resources that are left out, whoever names or selects them: one by its id, or all that carry these tags.

    Without account or Region it holds for all of them.
    """

    account: Account = ANY
    region: AnyRegion = ANY
    id: Identifier | None = None
    tags: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_one_or_the_other(self) -> Self:
        if (self.id is None) == (not self.tags):
            raise ValueError("name an id or tags, one of the two")
        return self


class RequestRoles(Strict):
    """Roles that replace the registry's; each must belong to a registered account."""

    operation: RoleArn | None = None
    worker: RoleArn | None = None


class Retry(Strict):
    """Automatic retry of failed resources inside the session: attempts in all, delay in seconds between them."""

    attempts: int = Field(default=1, ge=1, le=10)
    delay: int = Field(default=60, ge=0, le=86_400)


class Undertaking(Strict):
    """What is to be done, and to which resources: the part that requests and policies share."""

    operation: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    mode: DeploymentMode | None = None
    resources: tuple[ResourceSelector, ...] = ()
    select: tuple[TagSelector, ...] = ()
    exclude: tuple[Exclusion, ...] = ()
    roles: RequestRoles = RequestRoles()
    repository: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    retry: Retry = Retry()

    @model_validator(mode="after")
    def _selects_something(self, info: ValidationInfo) -> Self:
        if info.context is STORED:
            return self
        if not self.resources and not self.select:
            raise ValueError("resources or select must name at least one resource")
        seen: set[tuple[str, str, str]] = set()
        for resource in self.resources:
            key = (resource.account, resource.region, resource.id)
            if key in seen:
                raise ValueError(f"resource {'/'.join(key)} is named twice")
            seen.add(key)
        return self


class SessionRequest(Undertaking):
    """A request to run one operation over resources. `source` and `id` are the idempotency key."""

    schema_version: Literal[1] = 1
    source: Identifier
    id: Identifier
    reply_to: str | None = None

    def digest(self) -> str:
        """Return a SHA-256 of the request's meaning: equal for the same request, however it was written."""
        document = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        if not self.exclude:
            del document["exclude"]  # it came later: what was submitted before keeps its digest
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def read_request(document: Any) -> SessionRequest:
    """Read a request from JSON values. Raises `Refused` with every mistake, the first one's field in front."""
    return read_strict(SessionRequest, document, what="the request")
