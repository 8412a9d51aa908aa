"""All looks in their order, each as soon as it is done."""

from __future__ import annotations

from console.doctor import aws, broker, ledger
from console.doctor.findings import Findings, ok, skipped
from console.stack.context import Context
from orchestrator.ledger.store import Ledger


def examine(found: Context, opened: Ledger | None, *, offline: bool = False) -> Findings:
    """Look at everything. `opened` is None when there is no ledger at all; `offline` asks AWS nothing."""
    settings = found.settings
    found.enter()
    yield ok("settings", f"install {settings.install_id}, {settings.cloud} cloud, {settings.control_region}")
    known = None
    if opened is not None:
        yield from ledger.look(opened, settings)
        known = ledger.registered(opened)
        if known is not None:
            yield from ledger.look_at_registry(known, settings)
    yield from broker.look(settings)
    if offline:
        yield skipped("aws", "not asked (--offline)")
    elif opened is None:
        yield skipped("aws", "the registry is in the ledger")
    else:
        yield from aws.look(opened, settings, known)
