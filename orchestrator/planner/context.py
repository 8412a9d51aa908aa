"""What planning knows before it reads anything, and whose roles it uses."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.errors import Refused
from orchestrator.model.account import Account, Registry, Repository
from orchestrator.model.catalogue import Attached, Operation, Purpose, Row
from orchestrator.model.plan import Access
from orchestrator.model.request import SessionRequest
from orchestrator.model.status import DeploymentMode
from orchestrator.operations import CATALOGUE
from orchestrator.planner.claim import Claim
from orchestrator.planner.place import Place


@dataclass(frozen=True, kw_only=True)
class Context:
    """What planning knows: the request, its mode, the registry, and the install's own values.

    `policy` is whose run it is, if anybody's, `claims` what all policies of the operation want. `places` holds what was
    read of each account and Region that workers are to stand in; whoever reads fills it.
    """

    request: SessionRequest
    mode: DeploymentMode
    registry: Registry
    install: str
    home_account: str
    worker_image: str | None = None
    control_region: str | None = None
    policy: str | None = None
    claims: tuple[Claim, ...] = ()
    places: dict[tuple[str, str], Place] = field(default_factory=dict, repr=False, compare=False)

    @property
    def operation(self) -> Operation:
        """The catalogue's entry."""
        return CATALOGUE[self.request.operation]

    def row(self, resource: str) -> Row:
        """Return the catalogue's row for a resource."""
        return self.operation.row(resource)

    def account(self, account_id: str) -> Account:
        """Return a registered account. Raises `Refused`."""
        found = next((one for one in self.registry.accounts if one.id == account_id), None)
        if found is None:
            raise Refused(
                "account is not registered",
                field="account",
                value=account_id,
                remedy="Register it with daywork account apply -f accounts.yml",
            )
        return found

    def known_account(self, name: str) -> str:
        """Return the id of an account by its id or name; an unknown name stays as it is."""
        return next((one.id for one in self.registry.accounts if name == one.name), name)

    def backup_account(self) -> Account:
        """Return the account that workers are deployed into in backup mode. Raises `Refused`."""
        for one in self.registry.accounts:
            if one.backup_account or (one.id == self.home_account and not self._any_backup_account()):
                return one
        raise Refused(
            "no account is the backup account",
            field="accounts",
            remedy="Set backupAccount: true on one account of the registry",
        )

    def _any_backup_account(self) -> bool:
        return any(one.backup_account for one in self.registry.accounts)

    def repository(self) -> Repository:
        """Return the repository of the session. Raises `Refused`."""
        wanted = self.request.repository
        found = [one for one in self.registry.repositories if wanted is None or one.name == wanted]
        if len(found) != 1:
            known = ", ".join(one.name for one in self.registry.repositories) or "none"
            raise Refused(
                "name one of the registered repositories",
                field="repository",
                value=wanted,
                remedy=f"Registered are: {known}",
            )
        return found[0]


def operation_access(context: Context, account_id: str, region: str, row: Row | None = None) -> Access:
    """Return the access of the operation's own role. Raises `Refused` naming the role that is missing.

    What works on the repository alone does so with the worker deployment role, where the repository is; the account and
    Region of the request say nothing then.
    """
    row = row or context.operation.rows[0]
    if row.own is Purpose.DEPLOYMENT:
        backup = context.backup_account()
        return Access(account=backup.id, region=context.repository().region, role=deployment_role(context, backup))
    account = context.account(account_id)
    override = context.request.roles.operation
    if override is not None and override.split(":")[4] == account_id:
        return Access(account=account_id, region=region, role=override)
    return Access(account=account_id, region=region, role=role_of(account, row.own))


def looking_access(context: Context, account_id: str, region: str) -> Access:
    """Return who looks for an account's resources by their tags. Raises `Refused` naming the role that is missing.

    It is the operation's own role; for what works on the repository alone, whoever backs the sources up.
    """
    row = context.operation.rows[0]
    if row.own is not Purpose.DEPLOYMENT:
        return operation_access(context, account_id, region, row)
    role = role_of(context.account(account_id), Purpose.BACKUP)
    return Access(account=account_id, region=region, role=role)


def can_look(context: Context, account: Account) -> bool:
    """Whether an account has the role that looks for its resources."""
    try:
        looking_access(context, account.id, account.regions[0])
    except Refused:
        return False
    return True


def worker_role_of(context: Context, account_id: str, row: Row | None = None) -> str:
    """Return the pre-configured role that a worker has in production mode. Raises `Refused`.

    The restore of files from a snapshot has one role for both: it deploys, and the worker has it as well.
    """
    row = row or context.operation.rows[0]
    if row.deployment(DeploymentMode.PRODUCTION).attached is Attached.FILES:
        return str(operation_access(context, account_id, "", row).role)
    override = context.request.roles.worker
    if override is not None and override.split(":")[4] == account_id:
        return override
    return role_of(context.account(account_id), "worker")


def deployment_role(context: Context, account: Account) -> str | None:
    """Return the role that deploys workers in backup mode; None is the control plane's own, in its own account."""
    if account.roles.worker_deployment is None and account.id == context.home_account:
        return None
    return role_of(account, Purpose.DEPLOYMENT)


def role_of(account: Account, purpose: Purpose | str) -> str:
    """Return a registered role, the general one of its kind if there is no special one. Raises `Refused`."""
    named = account.roles.named()
    names = [str(purpose), str(purpose.general)] if isinstance(purpose, Purpose) else [purpose]
    found = next((named[name] for name in names if name in named), None)
    if found is None:
        wanted = " or ".join(dict.fromkeys(names))
        raise Refused(
            f"account {account.name} has no {wanted} role",
            field=f"roles.{names[0]}",
            remedy=f"Make the role and add it to account {account.id} in the registry",
        )
    return found


def repository_role(context: Context, worker_account: str) -> str | None:
    """Return the role by which a worker reaches the repository; None: it is in the worker's own account.

    Raises `Refused` when the one that is needed is not registered.
    """
    repository = context.repository()
    if repository.account == worker_account:
        return None
    if context.operation.rows[0].deletes:
        if repository.keeper is None:
            raise Refused(
                f"repository {repository.name} lives in account {repository.account} and has no role that may delete",
                field="repositories.keeper",
                remedy="Add the repository keeper role to the registry (daywork role document)",
            )
        return repository.keeper
    if repository.role is None:
        raise Refused(
            f"repository {repository.name} lives in account {repository.account} and has no role for other accounts",
            field="repositories.role",
            remedy="Add the repository role to the registry",
        )
    return repository.role
