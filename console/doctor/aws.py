"""Looking at AWS: who we are there, bucket and queue, and whether every registered role lets us in."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from botocore.exceptions import BotoCoreError

from agent.protocol import format_time
from config.settings import Settings
from console.doctor.findings import Finding, Findings, failed, note, ok, skipped
from orchestrator.backups import copies, taken_at
from orchestrator.bootstrap import external_ids, make_backups, make_basics, make_install
from orchestrator.errors import CloudError, DayworkError
from orchestrator.ledger.store import Ledger
from orchestrator.model.account import Account, Registry
from orchestrator.model.plan import Access
from orchestrator.ports import Cloud

_PART = "aws"

#: Roles that the control plane assumes itself. Workers assume the data role, EC2 holds the worker role.
_ASSUMED = ("workerDeployment", "backup", "restore", "files")
_AT_ONCE = 8

_REMEDIES = {
    "aws": "Give this process AWS credentials: AWS_PROFILE, an instance profile, or AWS_* variables",
    "embedded": "Start the embedded cloud with everything else: daywork up",
}


def look(ledger: Ledger, settings: Settings, known: Registry | None) -> Findings:
    """Look at the identity first: without one nothing else can be asked."""
    basics = make_basics(settings, ledger)
    try:
        account = basics.account()
    except (CloudError, BotoCoreError) as error:
        yield _no("the control plane has no usable identity in AWS", error, remedy=_REMEDIES[settings.cloud])
        yield skipped(_PART, "bucket, queue and roles need an identity")
        return
    if settings.home_account and account != settings.home_account:
        yield failed(
            _PART,
            f"the control plane's credentials belong to account {account}, the settings say {settings.home_account}",
            "Correct DAYWORK_HOME_ACCOUNT or the credentials",
        )
    else:
        yield ok(_PART, f"the control plane is known in account {account}")
    try:
        basics.look_into_bucket()
    except (CloudError, BotoCoreError) as error:
        yield _no(f"the control bucket {settings.control_bucket} cannot be used", error)
    else:
        yield ok(_PART, f"the control bucket {settings.control_bucket} can be read")
        yield from _copies(ledger, settings)
    try:
        waiting = basics.queue_length()
    except (CloudError, BotoCoreError) as error:
        yield _no("the report queue cannot be used", error)
    else:
        yield ok(_PART, f"the report queue answers; about {waiting:,} reports wait in it")
    if known is None:
        yield skipped(_PART, "roles stand in the registry, which cannot be read")
        return
    yield from _roles(ledger, settings, known)


def _copies(ledger: Ledger, settings: Settings) -> Findings:
    try:
        kept = copies(make_backups(settings, ledger))
    except (CloudError, BotoCoreError) as error:
        yield _no("the copies of the ledger cannot be listed", error)
        return
    taken = taken_at(kept[0].name) if kept else None
    if taken is None:
        yield note(
            _PART,
            "there is no copy of the ledger yet",
            f"The Celery workers take one every {settings.backup_seconds:.0f} s; `daywork ledger backup` takes one now",
        )
    else:
        yield ok(_PART, f"the ledger's newest copy is of {format_time(taken)}; {len(kept)} are kept")


def _roles(ledger: Ledger, settings: Settings, known: Registry) -> Findings:
    from orchestrator.aws.cloud import AwsCloud

    cloud = AwsCloud(install=make_install(settings), external_id=external_ids(ledger))
    wanted = [
        (account, name, arn)
        for account in known.accounts
        for name, arn in account.roles.named().items()
        if name in _ASSUMED
    ]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        problems = list(pool.map(lambda one: _role(cloud, *one), wanted))
    yield from (one for one in problems if one is not None)
    good = sum(one is None for one in problems)
    if good:
        yield ok("roles", f"{good} of {len(wanted)} roles let us in")


def _role(cloud: Cloud, account: Account, name: str, arn: str) -> Finding | None:
    try:
        cloud.check(Access(account=account.id, region=account.regions[0], role=arn))
    except (DayworkError, BotoCoreError) as error:
        return _no(f"the {name} role of {account.name} cannot be assumed", error, part="roles")
    return None


def _no(what: str, error: Exception, *, part: str = _PART, remedy: str = "") -> Finding:
    if isinstance(error, CloudError):
        return failed(part, f"{what}: {error.reason}", remedy or error.remedy or "See the right or the thing it names")
    return failed(part, f"{what}: {type(error).__name__}", remedy or _REMEDIES["aws"])
