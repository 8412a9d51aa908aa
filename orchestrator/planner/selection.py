"""Which resources a request or a policy means: by id, by tags, over accounts and Regions, less what it excludes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.model.account import Account
from orchestrator.model.request import ANY, Exclusion, ResourceSelector, TagSelector
from orchestrator.planner.context import Context, can_look
from orchestrator.tags import carries


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A resource as selections see it; `tags` are empty where it has none or nobody has read them."""

    account: str
    region: str
    resource_id: str
    tags: Mapping[str, str] = field(default_factory=dict)


def spread(context: Context) -> list[TagSelector]:
    """Return the request's selectors, each for one account and Region, in order.

    With `*`, accounts without the role that looks are passed over: nothing of theirs is to be processed. An account
    that is named stays, so that what it lacks is told.
    """
    return [one for selector in context.request.select for one in _spread(context, selector)]


def _spread(context: Context, selector: TagSelector) -> Iterator[TagSelector]:
    if selector.account == ANY:
        accounts: Sequence[Account] = [one for one in context.registry.accounts if can_look(context, one)]
    else:
        name = context.known_account(selector.account)
        accounts = [one for one in context.registry.accounts if one.id == name]
        if not accounts:
            yield selector
            return
    for account in accounts:
        regions = account.regions if selector.region == ANY else (selector.region,)
        for region in regions:
            if region in account.regions or selector.account != ANY:
                yield selector.model_copy(update={"account": account.id, "region": region})


def exclusions(context: Context, account: str, region: str) -> list[Exclusion]:
    """Return the request's exclusions that hold in an account and Region."""
    return [
        one
        for one in context.request.exclude
        if context.known_account(one.account) in (ANY, account) and one.region in (ANY, region)
    ]


def excluded_by(context: Context, subject: Subject) -> Exclusion | None:
    """Return the exclusion that leaves a resource out, if there is one."""
    return next(
        (one for one in exclusions(context, subject.account, subject.region) if _leaves_out(one, subject)), None
    )


def is_meant(
    context: Context,
    subject: Subject,
    *,
    resources: Sequence[ResourceSelector],
    select: Sequence[TagSelector],
    exclude: Sequence[Exclusion],
) -> bool:
    """Whether a selection covers a resource, judged by what is known of it."""

    def is_there(account: str, region: str) -> bool:
        return context.known_account(account) in (ANY, subject.account) and region in (ANY, subject.region)

    named = any(is_there(one.account, one.region) and one.id == subject.resource_id for one in resources)
    found = any(is_there(one.account, one.region) and carries(subject.tags, one.tags) for one in select)
    left_out = any(is_there(one.account, one.region) and _leaves_out(one, subject) for one in exclude)
    return (named or found) and not left_out


def _leaves_out(one: Exclusion, subject: Subject) -> bool:
    return one.id == subject.resource_id if one.id is not None else carries(subject.tags, one.tags)


def worded(one: Exclusion) -> str:
    """Name an exclusion for a person."""
    return f"id {one.id}" if one.id is not None else ", ".join(f"{key}={value}" for key, value in one.tags.items())
