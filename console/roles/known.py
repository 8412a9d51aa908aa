"""What this installation knows of the names in role documents; a placeholder stands for everything else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from config.settings import Settings
from orchestrator.errors import Refused
from orchestrator.model.account import Account, Registry
from orchestrator.rights.facts import Facts, Kept, of_registry, role_arn
from orchestrator.rights.parameters import PARAMETERS, placeholder
from orchestrator.rights.purposes import Purpose


def unknown(purpose: Purpose) -> Facts:
    """Return facts of placeholders alone, for the account that a purpose's role stands in."""
    home, production = placeholder("BackupAccountId"), placeholder("ProductionAccountId")
    kept = Kept(
        account=placeholder("RepositoryAccountId"),
        bucket=placeholder("RepositoryBucket"),
        prefix="",
        key=placeholder("RepositoryKeyArn"),
        role=placeholder("RepositoryRoleArn"),
    )
    account = {"backup": home, "repository": kept.account, "production": placeholder("AccountId")}[purpose.stands_in]
    assumed = [role_arn(home, "DayworkWorkerDeployment")]
    assumed += [role_arn(production, name) for name in ("DayworkBackup", "DayworkRestore", "DayworkFiles")]
    return Facts(
        install=placeholder("InstallId"),
        home=home,
        account=account,
        control_plane=placeholder("ControlPlaneArn"),
        control_bucket=placeholder("ControlBucket"),
        report_queue=f"arn:aws:sqs:{placeholder('ControlRegion')}:{home}:{placeholder('ReportQueue')}",
        repository=kept,
        external_id=placeholder("ExternalId"),
        boundary=placeholder("BoundaryArn"),
        session=placeholder("SessionId"),
        workers=((production, role_arn(production, "DayworkWorker")),),
        assumed=tuple(assumed),
        reached=(placeholder("DataRoleArn"),),
    )


def known(settings: Settings, registry: Registry, account: Account | None, purpose: Purpose) -> Facts:
    """Return facts of an installation. `account` is the one that the role stands in, if it was named.

    Raises `Refused` when the account is not one that such a role stands in.
    """
    blank = unknown(purpose)
    backup = next((one for one in registry.accounts if one.backup_account), None)
    home = backup.id if backup is not None else settings.home_account or blank.home
    queue = urlsplit(settings.report_queue).path.rpartition("/")[2]
    arn = f"arn:aws:sqs:{settings.control_region}:{home}:{queue}"
    repository = registry.repositories[0] if registry.repositories else None
    place = {"backup": home, "repository": repository.account if repository else blank.account}.get(purpose.stands_in)
    if account is not None and place is not None and account.id != place:
        raise Refused(
            f"the {purpose.name} role stands in the {purpose.stands_in} account",
            field="--account",
            value=account.id,
            remedy=f"Leave --account out or name {place}",
        )
    found = account or next((one for one in registry.accounts if one.id == place), None)
    if found is None or repository is None:
        return replace(
            blank,
            install=settings.install_id,
            home=home,
            account=place or blank.account,
            control_bucket=settings.control_bucket,
            report_queue=arn,
            boundary=settings.permissions_boundary,
        )
    facts = of_registry(
        registry,
        found,
        install=settings.install_id,
        home=home,
        control_plane=blank.control_plane,
        control_bucket=settings.control_bucket,
        report_queue=arn,
        boundary=settings.permissions_boundary,
        repository=repository,
        external_id=placeholder("ExternalId"),
    )
    return replace(facts, session=blank.session)


def settings_of(pairs: list[str]) -> Mapping[str, str]:
    """Read `Name=value` pairs for placeholders. Raises `Refused`."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, is_pair, value = pair.partition("=")
        parameter = PARAMETERS.get(name)
        if not is_pair or not value or parameter is None:
            raise Refused(
                "no value for a name that documents know",
                field="--set",
                value=name,
                remedy=f"Write NAME=VALUE with one of {', '.join(PARAMETERS)}",
            )
        if parameter.is_secret:
            raise Refused(
                f"{name} is a secret and stays a placeholder",
                field="--set",
                value=name,
                remedy="Fill it in where the role is made",
            )
        found[name] = value
    return found
