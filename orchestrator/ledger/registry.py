"""The account registry and repositories, as applied; every change makes a new version."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from orchestrator.errors import NotFound
from orchestrator.ledger import schema
from orchestrator.ledger.store import Transaction
from orchestrator.model.account import Account, Registry, Repository


def apply(tx: Transaction, document: Registry) -> None:
    """Add or replace the accounts and repositories that a document names; others stay."""
    for account in document.accounts:
        _put(tx, schema.accounts, schema.accounts.c.id, account.id, account, name=account.name)
    for repository in document.repositories:
        _put(tx, schema.repositories, schema.repositories.c.name, repository.name, repository)


def _put(
    tx: Transaction, table: sa.Table, key: sa.Column[Any], value: str, document: Account | Repository, **more: Any
) -> None:
    body = document.model_dump(mode="json", by_alias=True, exclude_none=True)
    if tx.insert_missing(table, {key.name: value, "document": body, "version": 1, "applied_at": tx.now, **more}):
        return
    row = tx.execute(sa.select(table.c.version, table.c.document).where(key == value).with_for_update()).one()
    if row.document != body:
        tx.execute(
            sa.update(table)
            .where(key == value)
            .values(document=body, version=row.version + 1, applied_at=tx.now, **more)
        )


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
