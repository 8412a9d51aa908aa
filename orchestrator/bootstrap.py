"""The only place that wires: settings in, services out."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from config.settings import Settings
from orchestrator.dispatch import ForgivingDispatch
from orchestrator.errors import WrongRequest
from orchestrator.ledger import registry
from orchestrator.ledger.store import Ledger, make_engine
from orchestrator.ports import BackupStore, Dispatch, Orders, Reports
from orchestrator.scheduler.following import follow
from orchestrator.services import Deadlines, Install, Retention, Services

if TYPE_CHECKING:
    from orchestrator.aws.basics import AwsBasics
    from orchestrator.aws.credentials import Identities


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return the time, UTC."""
        return datetime.now(UTC)


def make_ledger(settings: Settings) -> Ledger:
    """Open the ledger; once in every process, after its fork."""
    return Ledger(make_engine(settings.ledger_url), SystemClock())


def make_install(settings: Settings) -> Install:
    """Return what is equal for all sessions."""
    start = ""
    if settings.agent_url:
        start = (Path(__file__).parent.parent / "deploy" / "worker" / "start.sh").read_text()
        start = start.replace("@AGENT_URL@", settings.agent_url).replace("@AGENT_SHA256@", settings.agent_sha256)
    return Install(
        id=settings.install_id,
        control_bucket=settings.control_bucket,
        control_region=settings.control_region,
        report_queue=settings.report_queue,
        home_account=settings.home_account,
        boundary=settings.permissions_boundary,
        agent_start=start,
        worker_image=settings.worker_image,
        session_workers=settings.session_workers,
        retrieval_days=settings.retrieval_days,
        archive_pack=settings.archive_pack_mib * 1024 * 1024,
        gather=timedelta(seconds=settings.gather_seconds),
        retention=Retention(
            grace=timedelta(seconds=settings.garbage_seconds), rest=timedelta(seconds=settings.collection_seconds)
        ),
        deadlines=Deadlines(
            retrieval=timedelta(seconds=settings.retrieval_seconds),
            browse=timedelta(seconds=settings.browse_seconds),
            source=timedelta(seconds=settings.source_seconds),
            queue=timedelta(seconds=settings.queue_seconds),
            launch=timedelta(seconds=settings.launch_seconds),
            boot=timedelta(seconds=settings.boot_seconds),
            heartbeat=timedelta(seconds=settings.heartbeat_seconds),
            job=timedelta(seconds=settings.job_seconds),
            stop=timedelta(seconds=settings.stop_seconds),
            removal=timedelta(seconds=settings.removal_seconds),
            visible=timedelta(seconds=settings.visible_seconds),
        ),
        heartbeat=timedelta(seconds=settings.report_seconds),
        silence=timedelta(seconds=settings.silence_seconds),
    )


def external_ids(ledger: Ledger) -> Callable[[str], str | None]:
    """Return the function that reads an account's external id from where its registry record says."""

    def read(account: str) -> str | None:
        with ledger.read() as tx:
            found = registry.account(tx, account)
        if found.external_id is None:
            return None
        if found.external_id.env is not None:
            value = os.environ.get(found.external_id.env)
            if value is None:
                raise WrongRequest(
                    f"the external id of account {found.name} is not set",
                    remedy=f"Set the environment variable {found.external_id.env} of the Celery workers",
                )
            return value
        path = Path(found.external_id.file or "")
        try:
            return path.read_text().strip()
        except OSError as error:
            raise WrongRequest(
                f"the external id of account {found.name} cannot be read", remedy=f"Make {path} readable"
            ) from error

    return read


def warm_up() -> None:
    """Import and read what services need, before a process forks: done in each child it takes a second of each."""
    from orchestrator.aws import cloud, models

    del cloud
    models.warm_up()


def make_services(settings: Settings, make_dispatch: Callable[[Ledger], Dispatch]) -> Services:
    """Wire the real thing."""
    # boto3 takes most of a second: a command that only reads the ledger imports this module without it
    from orchestrator.aws.cloud import AwsCloud
    from orchestrator.limiter import RedisLimiter

    ledger = make_ledger(settings)
    install = make_install(settings)
    limiter = RedisLimiter(settings.result_url or settings.broker_url, install.id)
    return Services(
        ledger=ledger,
        cloud=AwsCloud(install=install, external_id=external_ids(ledger), limiter=limiter),
        limiter=limiter,
        dispatch=ForgivingDispatch(make_dispatch(ledger)),
        clock=ledger.clock,
        install=install,
        follow=follow,
    )


def make_basics(settings: Settings, ledger: Ledger) -> AwsBasics:
    """Return what `daywork doctor` asks of AWS."""
    from orchestrator.aws.basics import AwsBasics

    return AwsBasics(make_identities(settings, ledger), make_install(settings))


def make_identities(settings: Settings, ledger: Ledger) -> Identities:
    """Return the roles of the control plane."""
    from orchestrator.aws.credentials import Identities

    return Identities(install=settings.install_id, region=settings.control_region, external_id=external_ids(ledger))


def make_backups(settings: Settings, ledger: Ledger) -> BackupStore:
    """Return where copies of the ledger are kept."""
    from orchestrator.aws.cloud import AwsCloud

    return AwsCloud(install=make_install(settings), external_id=external_ids(ledger)).backups()


def make_orders(settings: Settings, ledger: Ledger) -> Orders:
    """Return the orders in the control bucket, for whoever wants nothing else of the cloud."""
    from orchestrator.aws.cloud import AwsCloud

    return AwsCloud(install=make_install(settings), external_id=external_ids(ledger)).orders()


def make_reports(settings: Settings, ledger: Ledger) -> Reports:
    """Return the report queue, for the listener."""
    from orchestrator.aws.credentials import Identities
    from orchestrator.aws.reports import AwsReports

    install = make_install(settings)
    identities = Identities(install=install.id, region=install.control_region, external_id=external_ids(ledger))
    return AwsReports(identities, install)
