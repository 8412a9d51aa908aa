"""Looking at the ledger: whether it answers and has this version's schema, and who is registered."""

from __future__ import annotations

from sqlalchemy.exc import SQLAlchemyError

from config.settings import Settings
from console.doctor.findings import Findings, failed, note, ok, warning
from orchestrator.errors import LedgerUnavailable
from orchestrator.ledger import migrate, pausing, registry, schedules
from orchestrator.ledger.store import Ledger
from orchestrator.model.account import Registry

_PART = "ledger"


def look(ledger: Ledger, settings: Settings) -> Findings:
    """Look at the database itself."""
    shown = settings.shown()["database_url"] or "SQLite in the state directory"
    try:
        there, wanted = migrate.revisions(ledger.engine)
    except SQLAlchemyError as error:
        yield failed(
            _PART,
            f"the ledger does not answer: {type(error).__name__}",
            f"See that the database runs and can be reached: {shown}",
        )
        return
    if there != wanted:
        yield failed(
            _PART,
            f"the ledger has {'no schema' if there is None else f'schema {there}'}, this version needs {wanted}",
            "Start the services of this version: the first one migrates it",
        )
        return
    yield ok(_PART, f"{ledger.engine.dialect.name} answers and has this version's schema")
    with ledger.read() as tx:
        pause = pausing.paused(tx)
        unreadable = [one.name for one in schedules.everyone(tx) if (one.note or "").startswith("cannot be followed")]
    if pause is not None:
        yield note(_PART, f"no session starts: {pause}", "daywork resume lets sessions start again")
    for name in unreadable:
        yield warning(_PART, f"policy {name} cannot be read by this version", f"See daywork policy show {name}")
    if ledger.engine.dialect.name == "sqlite" and settings.cloud == "aws":
        yield note(
            _PART, "the ledger is a file: all services must run on this machine", "Use PostgreSQL for more than one"
        )


def registered(ledger: Ledger) -> Registry | None:
    """Return the registry, or None when it cannot be read."""
    try:
        with ledger.read() as tx:
            return registry.load(tx)
    except (LedgerUnavailable, SQLAlchemyError):
        return None


def look_at_registry(known: Registry, settings: Settings) -> Findings:
    """Look at who is registered, and tell what losing a key would cost."""
    part = "registry"
    if not known.accounts:
        yield note(part, "no account is registered", "daywork account apply -f accounts.yml")
        return
    yield ok(part, f"accounts: {', '.join(one.name for one in known.accounts)}")
    backup = [one for one in known.accounts if one.backup_account]
    if not backup and not any(one.id == settings.home_account for one in known.accounts):
        yield warning(
            part,
            "no account is the backup account, so no session can run in backup mode",
            "Register it with backupAccount: true and its workerDeployment role",
        )
    if not known.repositories:
        yield warning(part, "no repository is registered", "Add one under repositories and apply the document again")
    for one in known.repositories:
        yield note(
            part,
            f"repository {one.name} can be read only with the KMS key {one.key.kms}",
            "Whoever deletes this key deletes every backup in it: protect it from deletion",
        )
