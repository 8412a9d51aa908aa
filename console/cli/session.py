"""`daywork session`: what there is, how it stands, what it said. `start` and `watching` are modules beside this one."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from console.cli.common import Output, SessionId, opened
from console.cli.session_browse import browse, extract
from console.cli.start import retry, start, stop
from console.cli.watching import watch
from console.output import Format, cell, document, emit, emit_line, fields, table
from console.text import amount, count, duration, moment, plain, size, words

app = typer.Typer(no_args_is_help=True, help="Start, watch and stop sessions.")
app.command("start")(start)
app.command("browse")(browse)
app.command("extract")(extract)

_SHOWN = 50


@app.command("list")
def list_sessions(
    *,
    status: Annotated[
        list[str] | None, typer.Option("--status", help="Only sessions of this status; repeatable.")
    ] = None,
    policy: Annotated[
        str | None, typer.Option("--policy", metavar="POLICY", help="Only sessions of this policy.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many, the newest first.")] = 20,
    output: Output = Format.TABLE,
) -> None:
    """List sessions, the newest first."""
    from console.cli.exits import Problem, usage
    from orchestrator import records
    from orchestrator.ledger import sessions
    from orchestrator.model.status import SessionStatus

    wanted: list[SessionStatus] = []
    for one in status or []:
        if one not in set(SessionStatus):
            known = ", ".join(SessionStatus)
            raise usage(
                Problem(field="--status", value=one, reason="no session has this status", remedy=f"Use one of {known}")
            )
        wanted.append(SessionStatus(one))
    with opened() as ledger, ledger.read() as tx:
        chosen = sessions.recent(tx, statuses=wanted, policy=policy, limit=limit)
        found = [records.session_summary(tx, one) for one in chosen]
    if output is Format.JSON:
        emit(document(sessions=found))
        return
    if not found:
        _nothing("No sessions yet. daywork session start begins one.")
    table(
        ("session", "operation", "mode", "status", "done", "resources", "data", "started", "took"),
        [
            (
                one["id"],
                one["operation"],
                one["mode"],
                cell(words(one["status"])),
                _ended(one),
                one["resourceCount"],
                _data(one["progress"]),
                moment(one["startedAt"]),
                _took(one),
            )
            for one in found
        ],
        right=("done", "resources", "data", "took"),
    )


@app.command()
def show(
    session: SessionId,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Every resource, however many.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Show a session's record: resources, workers, results, receipt."""
    from console.live.summary import receipt_line
    from console.output import console, put
    from orchestrator import records
    from orchestrator.ledger import registry

    with opened() as ledger, ledger.read() as tx:
        record = records.session_record(tx, session)
        names = {account.id: account.name for account in registry.load(tx).accounts}
    if output is Format.JSON:
        emit(record)
        return
    fields(
        [
            ("session", record["id"]),
            ("operation", f"{record['operation']} ({record['mode']} mode)"),
            ("status", cell(words(record["status"]))),
            ("reason", record.get("reason")),
            ("request", f"{record['source']} / {record['requestId']}"),
            ("policy", record["policy"]),
            ("retry of", record["retryOf"]),
            ("created", moment(record["createdAt"])),
            ("started", moment(record["startedAt"]) or None),
            ("ended", moment(record["endedAt"]) or None),
            ("took", _took(record) or None),
            ("data", _data(record["progress"]) or None),
            ("speed", _speed(record)),
        ]
    )
    order = {"failed": 0, "warning": 1, "stopped": 2}
    resources = sorted(record["resources"], key=lambda one: order.get(one["status"], 3))
    shown = resources if everything else resources[:_SHOWN]
    if shown:
        typer.echo()
        table(
            ("account", "region", "resource", "status", "attempts", "worker", "type", "result"),
            [_resource_row(one, names) for one in shown],
            right=("attempts",),
        )
    if len(resources) > len(shown):
        typer.echo(f"and {len(resources) - len(shown)} more; --all shows them")
    for one in shown:
        _tell_attempts(one, names)
        _tell_trouble(one, names)
    typer.echo()
    put(console(), receipt_line(record["receipt"]))


@app.command()
def log(
    session: SessionId,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the session has ended.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Print what a session has written down, line by line."""
    import time

    from agent.protocol import format_time
    from orchestrator.ledger import glance, journal, sessions

    found: list[dict[str, Any]] = []
    last = 0
    with opened() as ledger:
        with ledger.read() as tx:
            sessions.get(tx, session)
        while True:
            with ledger.read() as tx:
                has_ended = glance.glance(tx, session, rows=0).status.is_final
                lines = journal.read(tx, session, after=last)
                named = {one for line in lines if (one := line.ordinal) is not None}
                ids = {row.ordinal: row.resource_id for row in glance.named(tx, session, sorted(named))}
            for line in lines:
                last = line.id
                name = None if line.ordinal is None else ids.get(line.ordinal)
                entry = {
                    "id": line.id,
                    "at": format_time(line.at),
                    "level": line.level,
                    "resource": name,
                    "text": line.text,
                }
                if output is Format.TABLE:
                    _print_line(entry)
                elif follow:
                    emit_line(document(**entry))
                else:
                    found.append(entry)
            if not lines and (has_ended or not follow):
                break
            if not lines:
                time.sleep(0.5)
    if output is Format.JSON and not follow:
        emit(document(sessionId=session, lines=found))


@app.command()
def receipt(session: SessionId, *, output: Output = Format.TABLE) -> None:
    """Print what a session made, removed, kept and left behind."""
    from console.live.summary import receipt_line
    from console.output import console, put
    from orchestrator import records
    from orchestrator.ledger import sessions

    with opened() as ledger, ledger.read() as tx:
        sessions.get(tx, session)
        found = records.receipt(tx, session)
    if output is Format.JSON:
        emit(document(sessionId=session, receipt=found))
        return
    gone = {(one["kind"], one["id"]): one["at"] for one in found["removed"]}
    kept = {(one["kind"], one["id"]) for one in found["kept"]}
    rows = []
    for one in [*found["created"], *[left for left in found["remaining"] if left not in found["created"]]]:
        key = (one["kind"], one["id"])
        state = "removed" if key in gone else "kept" if key in kept else "remaining"
        colour = {"remaining": "red", "kept": "cyan"}.get(state, "bright_black")
        rows.append(
            (
                one["kind"],
                one["id"],
                one["account"],
                one["region"],
                moment(one["at"]),
                cell(state, colour),
                moment(gone.get(key)),
            )
        )
    if rows:
        table(("what", "id", "account", "region", "made", "now", "removed"), rows)
        typer.echo()
    put(console(), receipt_line(found))


app.command("watch")(watch)
app.command("stop")(stop)
app.command("retry")(retry)


def _nothing(text: str) -> None:
    from console.output import note

    note(text)
    raise typer.Exit


def _ended(one: dict[str, Any]) -> int:
    return sum(one["counts"].values())


def _data(progress: dict[str, Any]) -> str:
    if not progress["total"]:
        return ""
    if progress["done"] >= progress["total"]:
        return amount(progress["done"], 0, progress["unit"])
    return amount(progress["done"], progress["total"], progress["unit"])


def _speed(record: dict[str, Any]) -> str | None:
    """Say how fast the running jobs are together, and when the last of them will be done at that rate."""
    running = [one["progress"] for one in record["resources"] if "ratePerSecond" in one["progress"]]
    rate = sum(one["ratePerSecond"] for one in running)
    if not rate:
        return None
    fast = f"{size(rate)}/s" if all(one["unit"] == "bytes" for one in running) else f"{rate:,.1f}/s"
    rest = [one["secondsLeft"] for one in running]
    if not rest or None in rest:
        return fast
    return f"{fast}, about {duration(max(rest))} left"


def _took(one: dict[str, Any]) -> str:
    from datetime import UTC, datetime

    if not one["startedAt"]:
        return ""
    until = datetime.fromisoformat(one["endedAt"]) if one["endedAt"] else datetime.now(UTC)
    return duration(until - datetime.fromisoformat(one["startedAt"]))


def _resource_row(one: dict[str, Any], names: dict[str, str]) -> tuple[object, ...]:
    worker = one["worker"] or {}
    return (
        names.get(one["account"], one["account"]),
        one["region"],
        one["id"],
        cell(words(one["status"])),
        one["attempts"],
        worker.get("instanceId"),
        worker.get("instanceType"),
        _result(one),
    )


def _result(one: dict[str, Any]) -> str:
    """Say the most useful thing about a result: the restore point, or what was made."""
    result = one["result"] or {}
    if instance := result.get("instanceId"):
        return str(instance)
    if result.get("drill"):
        return f"drill: {count(int(result.get('blocksCompared', 0)), 'block')} compared"
    volumes = result.get("volumes")
    made = [str(each["newVolumeId"]) for each in volumes or () if isinstance(each, dict) and "newVolumeId" in each]
    if made:
        return ", ".join(made)
    point = result.get("restorePoint")
    return f"{point} ({result.get('kind', 'full')})" if point else ""


def _tell_attempts(one: dict[str, Any], names: dict[str, str]) -> None:
    """Say how earlier attempts ended, also of a resource that came to a good end."""
    for attempt in one["earlier"]:
        when = f" at {moment(attempt['endedAt'])}" if "endedAt" in attempt else ""
        where = f" on {plain(attempt['instanceId'])}" if "instanceId" in attempt else ""
        why = plain(attempt.get("reason", "no reason given"))
        typer.echo(f"\n{_place(one, names)}: attempt {attempt['attempt']} failed{when}{where}: {why}")
    if one["earlier"] and one["status"] == "pending" and "nextAt" in one["earlier"][-1]:
        typer.echo(f"  next attempt at {moment(one['earlier'][-1]['nextAt'])}")


def _place(one: dict[str, Any], names: dict[str, str]) -> str:
    return f"{plain(names.get(one['account'], one['account']))}/{one['region']}/{plain(one['id'])}"


def _tell_trouble(one: dict[str, Any], names: dict[str, str]) -> None:
    if not one["reason"] or one["status"] == "success":
        return
    typer.echo(f"\n{_place(one, names)}: {plain(one['reason'])}")
    if one["remedy"]:
        typer.echo(f"  do  {plain(one['remedy'])}")


def _print_line(entry: dict[str, Any]) -> None:
    from rich.text import Text

    from console.output import console

    colour = {"warning": "yellow", "error": "red"}.get(entry["level"], "")
    line = Text(f"{moment(entry['at'])}  ", style="bright_black")
    if entry["resource"]:
        line.append(f"{plain(entry['resource'])}  ", style="bold")
    console().print(line.append(plain(entry["text"]), style=colour), soft_wrap=True)
