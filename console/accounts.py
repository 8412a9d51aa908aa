"""What applying a registry document would change, and whether the whole registry would make sense afterwards."""

from __future__ import annotations

import re
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from orchestrator.errors import Refused
from orchestrator.model.account import LONGEST_VALUE, Account, Registry, Repository
from orchestrator.operations import CATALOGUE

ADDED, CHANGED, UNCHANGED = "added", "changed", "unchanged"

#: The operation's own roles trust the control plane; a worker role trusts EC2 alone. One role cannot be both.
_OWN_ROLES = ("workerDeployment", "backup", "backupEfs", "backupRds", "restore", "restoreRds", "data")

#: What a variable of a worker tag may grow to: ids of sessions, names of policies and installs.
_GROWN = MappingProxyType(
    {"%sessionId%": "s" * 28, "%policyId%": "p" * 64, "%policyName%": "p" * 64, "%installId%": "i" * 32}
)
_VARIABLE = re.compile(r"%\w+%")


@dataclass(frozen=True, kw_only=True)
class Change:
    """What becomes of one account or repository."""

    kind: str
    name: str
    what: str
    fields: tuple[str, ...] = ()


def merged(before: Registry, document: Registry) -> Registry:
    """Return the registry as it will be: what the document names replaces what is there, the rest stays.

    `Registry`'s own checks are not run: see `mistakes`.
    """
    accounts = {one.id: one for one in before.accounts} | {one.id: one for one in document.accounts}
    repositories = {one.name: one for one in before.repositories} | {one.name: one for one in document.repositories}
    return Registry.model_construct(accounts=tuple(accounts.values()), repositories=tuple(repositories.values()))


def changes(before: Registry, document: Registry) -> list[Change]:
    """Compare a document with what is registered."""
    known_accounts = {one.id: one for one in before.accounts}
    known_repositories = {one.name: one for one in before.repositories}
    return [
        *(_change("account", one.name, known_accounts.get(one.id), one) for one in document.accounts),
        *(_change("repository", one.name, known_repositories.get(one.name), one) for one in document.repositories),
    ]


def _change(kind: str, name: str, before: Account | Repository | None, after: Account | Repository) -> Change:
    if before is None:
        return Change(kind=kind, name=name, what=ADDED)
    old, new = (one.model_dump(mode="json", by_alias=True, exclude_none=True) for one in (before, after))
    different = tuple(sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key)))
    return Change(kind=kind, name=name, what=CHANGED if different else UNCHANGED, fields=different)


def mistakes(before: Registry, document: Registry) -> list[Refused]:
    """Return everything about a document that cannot be right, each with the field's path in it."""
    after = merged(before, document)
    return [
        *_backup_account(after, document),
        *_names(after, document),
        *(one for number, account in enumerate(document.accounts) for one in _account(account, f"accounts[{number}]")),
        *(
            one
            for number, repository in enumerate(document.repositories)
            for one in _repository(repository, f"repositories[{number}]", {account.id for account in after.accounts})
        ),
    ]


def _backup_account(after: Registry, document: Registry) -> Iterator[Refused]:
    marked = [one for one in after.accounts if one.backup_account]
    for number, account in enumerate(document.accounts):
        others = [one.name for one in marked if one.id != account.id]
        if account.backup_account and others:
            yield Refused(
                f"{others[0]} is the backup account already, and there is one at most",
                field=f"accounts[{number}].backupAccount",
                value=True,
                remedy=f"Apply {others[0]} with backupAccount: false in the same document",
            )


def _names(after: Registry, document: Registry) -> Iterator[Refused]:
    for number, account in enumerate(document.accounts):
        same = [one.id for one in after.accounts if one.name == account.name and one.id != account.id]
        if same:
            yield Refused(
                f"account {same[0]} has this name already",
                field=f"accounts[{number}].name",
                value=account.name,
                remedy="Give each account a name of its own",
            )


def _account(account: Account, path: str) -> Iterator[Refused]:
    roles = account.roles.named()
    worker = roles.get("worker")
    for name in _OWN_ROLES:
        if worker is not None and roles.get(name) == worker:
            yield Refused(
                f"the worker role is the {name} role too; a worker role trusts EC2 alone, that one is assumed",
                field=f"{path}.roles.worker",
                value=worker,
                remedy="Make a worker role of its own, with an instance profile",
            )
    counted = Counter((one.region, str(one.vpc)) for one in account.worker_configurations)
    for number, one in enumerate(account.worker_configurations):
        field = f"{path}.workerConfigurations[{number}].region"
        if one.region not in account.regions:
            yield Refused(
                "the account is not registered for this Region",
                field=field,
                value=one.region,
                remedy=f"Add it to {path}.regions or remove the configuration",
            )
        if counted[one.region, str(one.vpc)] > 1:
            yield Refused(
                "this Region has several worker configurations for the same VPC",
                field=field,
                value=one.region,
                remedy="Keep one, or name in each the vpc that it is for",
            )
    yield from _profiles(account, path)
    for region, number in Counter(account.regions).items():
        if number > 1:
            yield Refused("this Region is named twice", field=f"{path}.regions", value=region, remedy="Name it once")


def _profiles(account: Account, path: str) -> Iterator[Refused]:
    counted = Counter(one.region for one in account.worker_profiles)
    for number, one in enumerate(account.worker_profiles):
        field = f"{path}.workerProfiles[{number}]"
        if counted[one.region] > 1:
            yield Refused(
                f"there are several worker profiles for {one.region or 'all Regions'}",
                field=f"{field}.region" if one.region else field,
                value=one.region,
                remedy="Keep one",
            )
        if one.region is not None and one.region not in account.regions:
            yield Refused(
                "the account is not registered for this Region",
                field=f"{field}.region",
                value=one.region,
                remedy=f"Add it to {path}.regions or remove the profiles",
            )
        for name in one.operations:
            if name not in CATALOGUE:
                yield Refused(
                    "there is no such operation",
                    field=f"{field}.operations.{name}",
                    value=name,
                    remedy=f"Known operations: {', '.join(CATALOGUE)}",
                )


def _repository(repository: Repository, path: str, accounts: set[str]) -> Iterator[Refused]:
    if repository.account not in accounts:
        yield Refused(
            "the repository's account is not registered",
            field=f"{path}.account",
            value=repository.account,
            remedy="Register the account in the same document",
        )
    if repository.role is not None and repository.role.split(":")[4] != repository.account:
        yield Refused(
            "the repository role belongs to another account than the repository",
            field=f"{path}.role",
            value=repository.role,
            remedy=f"Name a role of account {repository.account}",
        )
    if repository.keeper is not None and repository.keeper.split(":")[4] != repository.account:
        yield Refused(
            "the repository keeper role belongs to another account than the repository",
            field=f"{path}.keeper",
            value=repository.keeper,
            remedy=f"Name a role of account {repository.account}",
        )
    for name, role in (("reader", repository.reader), ("opener", repository.opener)):
        if role is not None and role.split(":")[4] not in accounts:
            yield Refused(
                f"the account of the {name} role is not registered",
                field=f"{path}.{name}",
                value=role,
                remedy="Register the account in the same document",
            )


def warnings(before: Registry, document: Registry) -> list[str]:
    """Return what is allowed and will surprise somebody later."""
    after = merged(before, document)
    found: list[str] = []
    for account in document.accounts:
        roles = account.roles.named()
        own = [name for name in ("backup", "restore") if name in roles]
        if account.backup_account and "workerDeployment" not in roles:
            found.append(f"{account.name}: no workerDeployment role, so no session can run in backup mode")
        if own and not account.backup_account and "data" not in roles:
            found.append(f"{account.name}: no data role, so {' and '.join(own)} cannot run in backup mode")
        if own and "worker" not in roles and not account.backup_account:
            found.append(f"{account.name}: no worker role, so {' and '.join(own)} cannot run in production mode")
        if roles and account.external_id is None and not account.backup_account:
            found.append(f"{account.name}: no externalId; its roles should ask for one")
        found += _external_id(account)
        found += _tags(account)
    backup = next((one for one in after.accounts if one.backup_account), None)
    for repository in document.repositories:
        if repository.role is None and backup is not None and repository.account != backup.id:
            found.append(f"{repository.name}: lives in account {repository.account} and has no role for other accounts")
    return found


def _tags(account: Account) -> Iterator[str]:
    for key, value in account.tags.items():
        if unknown := [one for one in _VARIABLE.findall(value) if one not in _GROWN]:
            yield f"{account.name}: tag {key}: {unknown[0]} is no variable and stays as it is"
        grown = _VARIABLE.sub(lambda found: _GROWN.get(found[0], found[0]), value)
        if len(grown) > LONGEST_VALUE:
            yield f"{account.name}: tag {key} may grow to {len(grown)} characters; AWS takes {LONGEST_VALUE}"


def _external_id(account: Account) -> Iterator[str]:
    if account.external_id is None or account.external_id.file is None:
        return
    path = Path(account.external_id.file)
    try:
        mode = path.stat().st_mode
    except OSError:
        yield f"{account.name}: the file of its external id cannot be read on this machine: {path}"
        return
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield f"{account.name}: others can read the file of its external id; chmod 600 {path}"


def shown(account: Account) -> dict[str, Any]:
    """Return an account for people: of its external id only whether there is one."""
    values = account.model_dump(mode="json", by_alias=True, exclude_none=True)
    values["externalId"] = "none" if account.external_id is None else "set"
    return values


def document_of(registry: Registry) -> dict[str, Any]:
    """Return a whole registry for people, as `shown` does."""
    repositories = [one.model_dump(mode="json", by_alias=True, exclude_none=True) for one in registry.repositories]
    return {"accounts": [shown(one) for one in registry.accounts], "repositories": repositories}
