"""`daywork unprotected`: instances that no policy covers, or whose last good restore point is too old."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.cli.common import Output, context, span
from console.cli.exits import Exit
from console.output import Format, cell, document, emit, note, table
from console.text import count, duration, moment

if TYPE_CHECKING:
    from orchestrator.unprotected import Unprotected


def unprotected(
    accounts: Annotated[
        list[str] | None, typer.Argument(metavar="[ACCOUNT]...", help="Accounts by id or name; all without any.")
    ] = None,
    *,
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="DURATION", help="A good restore point older than 26h, 2d, ...")
    ] = "26h",
    output: Output = Format.TABLE,
) -> None:
    """Find instances of the registered accounts that nothing backs up, or not lately. Reads alone.

    Ends with 3 when there are some, with 8 when not everywhere could be looked, else with 0.
    """
    from orchestrator.ledger import registry
    from orchestrator.unprotected import unprotected as look

    oldest = timedelta(seconds=span(older_than, "--older-than"))
    services = context().services()
    with services.ledger.read() as tx:
        names = {one.id: one.name for one in registry.load(tx).accounts}
        wanted = [registry.account(tx, name).id for name in accounts or ()]
    answer = look(services, oldest, wanted)
    if output is Format.JSON:
        emit(
            document(
                seen=answer.seen,
                unprotected=[_document(one) for one in answer.found],
                failures=list(answer.failures),
            )
        )
    else:
        for failure in answer.failures:
            note(f"Could not look: {failure}")
        if answer.found:
            _print(answer.found, names, services.clock.now())
        note(f"{count(answer.seen, 'instance')} seen, {len(answer.found):,} not protected.")
    if answer.failures:
        raise typer.Exit(Exit.REFUSED)
    if answer.found:
        raise typer.Exit(Exit.WARNING)


def _print(found: tuple[Unprotected, ...], names: dict[str, str], now: Any) -> None:
    table(
        ("account", "region", "instance", "name", "policies", "last good point", "age", "why"),
        [
            (
                names.get(one.account, one.account),
                one.region,
                one.resource_id,
                cell(one.name),
                ", ".join(one.policies),
                moment(one.newest_at),
                "" if one.newest_at is None else duration(now - one.newest_at),
                one.reason,
            )
            for one in found
        ],
    )


def _document(one: Unprotected) -> dict[str, Any]:
    from agent.protocol import format_time

    return {
        "account": one.account,
        "region": one.region,
        "id": one.resource_id,
        "name": one.name,
        "reason": one.reason,
        "policies": list(one.policies),
        "restorePoint": one.restore_point,
        "newestAt": None if one.newest_at is None else format_time(one.newest_at),
    }
