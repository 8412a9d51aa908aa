"""Getting a state directory ready, as a process of its own: the ledger's schema, what the cloud must hold, settings.

Run by the supervisor at every start of the embedded cloud, which begins empty. The plan comes on stdin, because it
holds a password; one JSON line with what whoever started the stack should know goes to stdout.
"""

from __future__ import annotations

import json
import os
import sys
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from config.settings import Settings, SettingsError, make_settings
from console.stack.layout import Layout
from console.stack.plan import Plan
from console.stack.record import write_private

if TYPE_CHECKING:
    from localcloud.seed import CloudAddress, Foundation

#: How long the cloud may take to answer for the first time.
_PATIENCE: Final = 60.0

#: The account that the control plane is at home in, and the Region of everything of its own.
HOME_ACCOUNT: Final = "111111111111"
REGION: Final = "eu-west-1"


class NotPrepared(RuntimeError):
    """Settings are wrong, the cloud does not answer, or the ledger cannot be used; the message says which and why."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """Where broker and embedded cloud listen, and where Flower shall.

    `ledger_url` is the database that the stack runs for its ledger, empty for the file in the state directory, None to
    leave it as the settings have it.
    """

    broker_url: str
    cloud_url: str
    flower_port: int
    ledger_url: str | None = None


def main() -> int:
    """Prepare the state directory named in the arguments. Mistakes are told on stderr, in one line."""
    plan = Plan.from_json(sys.stdin.read())
    around = Surroundings(
        broker_url=plan.broker_url,
        cloud_url=plan.cloud_url,
        flower_port=plan.flower_port,
        ledger_url=plan.ledger_url,
    )
    try:
        unfinished = prepare(Layout(Path(sys.argv[1])), around)
    except NotPrepared as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(json.dumps({"unfinished": unfinished}) + "\n")
    return 0


def prepare(layout: Layout, around: Surroundings) -> int:
    """Make what is missing in cloud and ledger and write the settings; returns how many sessions have not ended.

    Raises `NotPrepared`.
    """
    try:
        kept = kept_settings(layout)
        install = checked(layout, kept).install_id
        made = _foundation(_when_it_answers(around, layout), install)
        settings = make_settings({**_SMALL, **kept, **_given(layout, around, made)})
    except (SettingsError, TimeoutError) as error:
        raise NotPrepared(str(error)) from None
    if around.ledger_url:
        _make_database(around.ledger_url)
    unfinished = _bring_ledger_up_to_date(settings)
    _write_credentials(layout, made)
    write_private(layout.environment, json.dumps(_environment(layout, around), indent=2) + "\n")
    write_private(layout.settings, _toml(settings))
    return unfinished


def checked(layout: Layout, kept: Mapping[str, object]) -> Settings:
    """Return the settings as far as they are known before anything runs. Raises `SettingsError`."""
    unknown = {"broker_url": "redis://", "control_bucket": "-", "report_queue": "-"}
    return make_settings({**kept, **unknown, "state_dir": layout.root, "cloud": "embedded"})


def kept_settings(layout: Layout) -> dict[str, object]:
    """Return what an earlier run wrote, or its owner changed there, and no variable overrides.

    Raises `SettingsError`.
    """
    try:
        values = tomllib.loads(layout.settings.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{layout.settings}: {error}. Correct it or remove it") from None
    return {name: value for name, value in values.items() if f"DAYWORK_{name.upper()}" not in os.environ}


#: What suits a small cloud with a person in front of it, unless the settings file says otherwise: bars that move, and
#: no minutes of waiting for what may be listed late, because here everything is listed at once.
_SMALL: Final[dict[str, object]] = {"report_seconds": 2.0, "visible_seconds": 20.0}


def _given(layout: Layout, around: Surroundings, made: Foundation) -> dict[str, object]:
    """Return the settings that the stack itself decides."""
    ledger = {} if around.ledger_url is None else {"database_url": around.ledger_url}
    return {
        **ledger,
        "install_id": made.install,
        "state_dir": layout.root,
        "cloud": "embedded",
        "broker_url": around.broker_url,
        "control_bucket": made.control_bucket,
        "control_region": made.region,
        "report_queue": made.report_queue,
        "home_account": made.home_account,
        "worker_image": made.worker_image,
        "flower_port": around.flower_port,
    }


def _when_it_answers(around: Surroundings, layout: Layout) -> CloudAddress:
    from console.stack.programs import http_answers
    from localcloud.seed import CloudAddress

    end = time.monotonic() + _PATIENCE
    while not http_answers(around.cloud_url, "/_sim/health"):
        if time.monotonic() > end:
            raise TimeoutError(f"the embedded cloud did not answer within {_PATIENCE:.0f} s")
        time.sleep(0.05)
    return CloudAddress.of(around.cloud_url, layout.cloud)


def _foundation(cloud: CloudAddress, install: str) -> Foundation:
    from localcloud.seed import foundation

    try:
        return foundation(cloud, install, home_account=HOME_ACCOUNT, region=REGION)
    finally:
        cloud.close()


def _write_credentials(layout: Layout, made: Foundation) -> None:
    lines = ("[default]", f"aws_access_key_id = {made.access_key}", f"aws_secret_access_key = {made.secret_key}", "")
    write_private(layout.credentials, "\n".join(lines))
    write_private(layout.aws_config, "")


def _environment(layout: Layout, around: Surroundings) -> Mapping[str, str]:
    return {
        "AWS_ENDPOINT_URL": around.cloud_url,
        "AWS_SHARED_CREDENTIALS_FILE": str(layout.credentials),
        # the caller's own configuration may name other endpoints and profiles
        "AWS_CONFIG_FILE": str(layout.aws_config),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
    }


def _make_database(url: str) -> None:
    """Make the database of a PostgreSQL server that is about to answer, if it is not there yet.

    Raises `NotPrepared`.
    """
    import sqlalchemy as sa

    wanted = sa.make_url(url)
    engine = sa.create_engine(
        wanted.set(database="postgres"),
        isolation_level="AUTOCOMMIT",
        poolclass=sa.NullPool,
        connect_args={"connect_timeout": 5},
    )
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            with engine.connect() as connection:
                known = sa.text("SELECT 1 FROM pg_database WHERE datname = :name")
                if connection.execute(known, {"name": wanted.database}).first() is None:
                    connection.execute(sa.text(f'CREATE DATABASE "{wanted.database}"'))
                return
        except sa.exc.OperationalError as error:
            if time.monotonic() > end:
                raise NotPrepared(f"the ledger's server does not let us in: {error.orig}") from None
            time.sleep(0.1)


def _bring_ledger_up_to_date(settings: Settings) -> int:
    """Bring the ledger to this version's schema; return how many of its sessions have not ended.

    Raises `NotPrepared`.
    """
    from sqlalchemy.exc import SQLAlchemyError

    from orchestrator.bootstrap import make_ledger
    from orchestrator.errors import LedgerUnavailable
    from orchestrator.ledger import sessions
    from orchestrator.ledger.migrate import upgrade
    from orchestrator.model.status import SessionStatus

    unfinished = [status for status in SessionStatus if not status.is_final]
    ledger = make_ledger(settings)
    try:
        upgrade(ledger.engine)
        with ledger.read() as tx:
            return len(sessions.recent(tx, statuses=unfinished, limit=10_000))
    except (SQLAlchemyError, LedgerUnavailable) as error:
        reason = str(getattr(error, "orig", None) or error)
        raise NotPrepared(
            f"the ledger {settings.shown()['database_url'] or 'in ' + str(settings.state_dir)} cannot be used: {reason}"
        ) from None
    finally:
        ledger.close()


def _toml(settings: Settings) -> str:
    head = "# Written by `daywork up`. What you change here stays, except what the stack decides itself.\n"
    names = sorted(settings.model_fields_set)
    lines = [f"{name} = {_value(getattr(settings, name))}" for name in names if getattr(settings, name) is not None]
    return head + "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if hasattr(value, "get_secret_value"):
        value = value.get_secret_value()
    # JSON's strings, numbers and booleans are TOML's
    return json.dumps(value if isinstance(value, bool | int | float) else str(value), ensure_ascii=False)


if __name__ == "__main__":
    raise SystemExit(main())
