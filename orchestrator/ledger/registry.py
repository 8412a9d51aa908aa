"""The account registry and repositories, as applied; every change makes a new version."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from orchestrator.errors import NotFound
from orchestrator.ledger import schema
from orchestrator.ledger.store import Transaction
from orchestrator.model.account import Account, Registry, Repository


@dataclass(frozen=True, kw_only=True)
class Version:
    """The registry as it was once applied; `changes` names what was added or changed then."""

    version: int
    applied_at: datetime
    applied_by: str | None
    changes: list[dict[str, Any]]


def apply(tx: Transaction, document: Registry, *, by: str | None = None) -> int | None:
    """Add or replace the accounts and repositories that a document names; others stay.

    Returns the number of the registry's new version, None when nothing has changed. `by` is who did it.
    """
    _lock(tx)
    _make_names_free(tx, document)
    changes: list[dict[str, Any]] = []
    for account in document.accounts:
        changes += _put(tx, schema.accounts, schema.accounts.c.id, account.id, account, name=account.name)
    for repository in document.repositories:
        changes += _put(tx, schema.repositories, schema.repositories.c.name, repository.name, repository)
    return _write_version(tx, changes, by) if changes else None


def _lock(tx: Transaction) -> None:
    """Let one apply at a time write a version, so that each holds what all before it did: all lock the first one."""
    table = schema.registry_versions
    tx.execute(sa.select(table.c.version).where(table.c.version == 1).with_for_update())


def _make_names_free(tx: Transaction, document: Registry) -> None:
    """Take their names from accounts that get new ones: two may swap theirs."""
    table = schema.accounts
    names = {account.id: account.name for account in document.accounts}
    for row in tx.rows(sa.select(table.c.id, table.c.name).where(table.c.id.in_(names))):
        if row.name != names[row.id]:
            tx.execute(sa.update(table).where(table.c.id == row.id).values(name=f"~{row.id}"))


def _put(
    tx: Transaction, table: sa.Table, key: sa.Column[Any], value: str, document: Account | Repository, **more: Any
) -> list[dict[str, Any]]:
    """Write one entry; returns what changed, in a list of none or one."""
    body = document.model_dump(mode="json", by_alias=True, exclude_none=True)
    change = {"kind": table.name, "id": value, "name": document.name}
    if tx.insert_missing(table, {key.name: value, "document": body, "version": 1, "applied_at": tx.now, **more}):
        return [{**change, "change": "added"}]
    row = tx.execute(sa.select(table.c.version, table.c.document).where(key == value).with_for_update()).one()
    if row.document == body:
        return []
    tx.execute(
        sa.update(table).where(key == value).values(document=body, version=row.version + 1, applied_at=tx.now, **more)
    )
    fields = sorted(name for name in row.document.keys() | body.keys() if row.document.get(name) != body.get(name))
    return [{**change, "change": "changed", "fields": fields}]


def _write_version(tx: Transaction, changes: list[dict[str, Any]], by: str | None) -> int:
    table = schema.registry_versions
    number = int(tx.execute(sa.select(sa.func.coalesce(sa.func.max(table.c.version), 0))).scalar_one()) + 1
    row = {
        "document": load(tx).model_dump(mode="json", by_alias=True, exclude_none=True),
        "changes": changes,
        "applied_at": tx.now,
        "applied_by": None if by is None else by[:128],
    }
    while not tx.insert_missing(table, {"version": number, **row}):
        number += 1
    return number


def history(tx: Transaction, limit: int = 50) -> list[Version]:
    """List the registry's versions, the newest first."""
    table = schema.registry_versions
    return [
        Version(version=row.version, applied_at=row.applied_at, applied_by=row.applied_by, changes=row.changes)
        for row in tx.rows(
            sa.select(table.c.version, table.c.applied_at, table.c.applied_by, table.c.changes)
            .order_by(table.c.version.desc())
            .limit(limit)
        )
    ]


def version(tx: Transaction) -> int | None:
    """Return the number of the registry's present version; None before the first."""
    found = tx.execute(sa.select(sa.func.max(schema.registry_versions.c.version))).scalar_one()
    return None if found is None else int(found)


def as_of(tx: Transaction, number: int) -> Registry:
    """Return the registry as it was in a version. Raises `NotFound`."""
    table = schema.registry_versions
    row = tx.row(sa.select(table.c.document).where(table.c.version == number))
    if row is None:
        raise NotFound(
            "the registry has no such version",
            field="version",
            value=number,
            remedy="See daywork account history for those there are",
        )
    return Registry.model_validate(row.document)


def load(tx: Transaction) -> Registry:
    """Return the whole registry."""
    accounts = tx.rows(sa.select(schema.accounts.c.document).order_by(schema.accounts.c.id))
    repositories = tx.rows(sa.select(schema.repositories.c.document).order_by(schema.repositories.c.name))
    return Registry(
        accounts=tuple(Account.model_validate(row.document) for row in accounts),
        repositories=tuple(Repository.model_validate(row.document) for row in repositories),
    )


def locked(tx: Transaction, account_id: str) -> Account | None:
    """Return an account and keep others from doing so until the end of the transaction: they count against its limits.

    None when it is not registered (any more).
    """
    table = schema.accounts
    row = tx.row(sa.select(table.c.document).where(table.c.id == account_id).with_for_update())
    return None if row is None else Account.model_validate(row.document)


def account(tx: Transaction, name: str, *, field: str = "account") -> Account:
    """Return an account by id or name. Raises `NotFound` that names the field."""
    table = schema.accounts
    row = tx.row(sa.select(table.c.document).where(sa.or_(table.c.id == name, table.c.name == name)))
    if row is None:
        raise NotFound(
            "account is not registered",
            field=field,
            value=name,
            remedy="Register it with daywork account apply -f accounts.yml",
        )
    return Account.model_validate(row.document)


def repository(tx: Transaction, name: str | None) -> Repository:
    """Return a repository by name; None means the only one there is. Raises `NotFound`."""
    table = schema.repositories
    query = sa.select(table.c.document)
    rows = tx.rows(query.where(table.c.name == name) if name is not None else query)
    if len(rows) != 1:
        raise NotFound(
            "repository is not registered" if name is not None else "name one of the registered repositories",
            field="repository",
            value=name,
            remedy="Register it with daywork account apply -f accounts.yml",
        )
    return Repository.model_validate(rows[0].document)
