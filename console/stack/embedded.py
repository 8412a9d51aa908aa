"""The embedded cloud of a running stack: its accounts' administrators, and filling it."""

from __future__ import annotations

import json
from typing import Any, Final

from console.cli.exits import CommandError, Exit, Problem
from console.stack.layout import Layout
from localcloud.seed import CloudAddress, seed
from localcloud.seed.address import CloudError
from localcloud.seed.names import HOME_ACCOUNT, REGION

_DIGITS: Final = 12


def address(layout: Layout) -> CloudAddress:
    """Return where the embedded cloud of a stack is. Raises `CommandError` when none runs."""
    try:
        url = json.loads(layout.environment.read_text())["AWS_ENDPOINT_URL"]
        found = CloudAddress.of(url, layout.cloud)
        found.send("GET", "health", b"")
    except (OSError, ValueError, KeyError, CloudError):
        raise CommandError(
            Exit.UNREACHABLE,
            Problem(
                field="--state-dir",
                value=str(layout.root),
                reason="no stack with an embedded cloud runs here",
                remedy="Start one with `daywork up --detach`",
            ),
        ) from None
    return found


def administrator(layout: Layout, account: str | None) -> dict[str, str]:
    """Return the AWS variables of an account's administrator. Raises `CommandError`."""
    cloud = address(layout)
    wanted = account or HOME_ACCOUNT
    if not (wanted.isascii() and wanted.isdigit() and len(wanted) == _DIGITS):
        wanted = _by_name(wanted)
    try:
        key = cloud.post("accounts", {"account": wanted})
    except CloudError as error:
        raise CommandError(Exit.UNREACHABLE, Problem(reason=str(error))) from None
    return {
        "AWS_ENDPOINT_URL": cloud.url,
        "AWS_ACCESS_KEY_ID": key["accessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["secretAccessKey"],
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def fill(layout: Layout, *, accounts: int, instances: int, size_gib: int) -> dict[str, Any]:
    """Fill the cloud, register its accounts, and return what is there now. Raises `CommandError`."""
    from console.stack import context
    from localcloud.seed.filesystem import ToolMissing
    from orchestrator.ledger import registry
    from orchestrator.model.account import Registry

    cloud = address(layout)
    found = context.load()
    layout.external_ids.mkdir(mode=0o700, exist_ok=True)
    try:
        made = seed(
            cloud,
            found.settings.install_id,
            external_ids=layout.external_ids,
            accounts=accounts,
            instances=instances,
            size_gib=size_gib,
        )
    except ToolMissing as error:
        raise CommandError(Exit.REFUSED, Problem(reason=str(error)), title="something is missing") from None
    except CloudError as error:
        raise CommandError(Exit.UNREACHABLE, Problem(reason=str(error))) from None
    finally:
        cloud.close()
    ledger = found.ledger()
    try:
        with ledger.write() as tx:
            registry.apply(tx, Registry.model_validate(made.registry))
    finally:
        ledger.close()
    return made.to_dict()


def _by_name(name: str) -> str:
    from console.stack import context
    from orchestrator.ledger import registry

    ledger = context.load().ledger()
    try:
        with ledger.read() as tx:
            return registry.account(tx, name).id
    finally:
        ledger.close()
