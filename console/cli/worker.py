"""`daywork worker`: the instances that live now, and whose they are."""

from __future__ import annotations

from typing import Annotated

import typer

from console.cli.common import Output, opened
from console.output import Format, cell, document, emit, note, table
from console.text import duration

app = typer.Typer(no_args_is_help=True, help="Look at the workers that live now.")


@app.command("list")
def list_workers(
    *,
    session: Annotated[str | None, typer.Option("--session", metavar="SESSION", help="Only this session's.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """List the workers that are not known to be terminated."""
    from agent.protocol import format_time
    from orchestrator.ledger import glance, sessions, workers

    with opened() as ledger, ledger.read() as tx:
        if session is not None:
            sessions.get(tx, session)
        found = workers.alive(tx, session)
        ids = {
            (one, row.ordinal): row.resource_id
            for one in {worker.session for worker in found}
            for row in glance.named(tx, one, [w.ordinal for w in found if w.session == one and w.ordinal is not None])
        }
        now = tx.now
    if output is Format.JSON:
        entries = [
            {
                "instanceId": one.instance_id,
                "state": one.state,
                "instanceType": one.instance_type,
                "availabilityZone": one.availability_zone,
                "account": one.account,
                "region": one.region,
                "sessionId": one.session,
                "resource": ids.get((one.session, -1 if one.ordinal is None else one.ordinal)),
                "launchedAt": format_time(one.launched_at),
                "readyAt": None if one.ready_at is None else format_time(one.ready_at),
                "heardAt": None if one.heard_at is None else format_time(one.heard_at),
            }
            for one in found
        ]
        emit(document(workers=entries))
        return
    if not found:
        note("No worker lives now.")
        return
    table(
        ("worker", "state", "type", "zone", "account", "session", "resource", "age", "heard"),
        [
            (
                one.instance_id,
                cell(one.state),
                one.instance_type,
                one.availability_zone,
                one.account,
                one.session,
                ids.get((one.session, -1 if one.ordinal is None else one.ordinal)),
                duration(now - one.launched_at),
                "not yet" if one.heard_at is None else f"{duration(now - one.heard_at)} ago",
            )
            for one in found
        ],
        right=("age",),
    )
