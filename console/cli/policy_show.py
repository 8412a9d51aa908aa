"""`daywork policy list`, `show` and `next`: what there is, how it goes, when it runs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from console.cli.common import Output, opened
from console.output import Format, cell, document, emit, fields, note, table
from console.text import moment, words

_CRON = "cron"


def completed_policies(incomplete: str) -> list[str]:
    """Return the names of policies for the shell to complete; nothing at all when anything is wrong."""
    try:
        from orchestrator.ledger import schedules

        with opened() as ledger, ledger.read() as tx:
            found = schedules.everyone(tx)
    except Exception:  # noqa: BLE001 - a shell that completes has no place for an error
        return []
    return [one.name for one in found if one.name.startswith(incomplete)]


def list_policies(*, output: Output = Format.TABLE) -> None:
    """List policies, when they run next and how they ran last."""
    from orchestrator.ledger import pausing, schedules
    from orchestrator.scheduler import records

    with opened() as ledger, ledger.read() as tx:
        pause = pausing.paused(tx)
        found = [records.policy_summary(tx, one) for one in schedules.everyone(tx)]
    if output is Format.JSON:
        emit(document(paused=None if pause is None else str(pause), policies=found))
        return
    if pause is not None:
        note(f"No session starts: {pause}.")
    if not found:
        note("There is no policy. daywork policy apply -f policy.yml makes one.")
        return
    table(
        ("policy", "operation", "schedule", "state", "runs next", "last session", "ended", "note"),
        [
            (
                one["name"],
                one["operation"],
                _schedule(one["schedule"]),
                cell(_state(one)),
                moment(one["nextRun"]),
                (one["lastSession"] or {}).get("id"),
                cell(words((one["lastSession"] or {}).get("status", ""))),
                one["note"],
            )
            for one in found
        ],
    )


def show(
    policy: Annotated[
        str, typer.Argument(metavar="POLICY", help="A policy's name.", autocompletion=completed_policies)
    ],
    *,
    output: Output = Format.TABLE,
) -> None:
    """Show a policy: its document, its versions, its coming runs, and what became of its ticks."""
    import yaml

    from orchestrator.scheduler import records

    with opened() as ledger, ledger.read() as tx:
        record = records.policy_record(tx, policy)
    if output is Format.JSON:
        emit(record)
        return
    last = record["lastSession"]
    fields(
        [
            ("policy", record["name"]),
            ("operation", record["operation"]),
            ("state", cell(_state(record))),
            ("schedule", _schedule(record["schedule"])),
            ("runs next", ", ".join(moment(one) for one in record["next"]) or None),
            ("waiting runs", ", ".join(moment(one) for one in record["owed"]) or None),
            ("last session", None if last is None else f"{last['id']} ({words(last['status'])})"),
            ("note", record["note"]),
            ("paused", record["paused"]),
            ("version", _version(record["versions"][0])),
            ("earlier", ", ".join(_version(one) for one in record["versions"][1:]) or None),
            ("not yet carried out", ", ".join(record["notYetCarriedOut"]) or None),
        ]
    )
    typer.echo()
    written = {"name": record["name"], **record["document"]}
    typer.echo(yaml.safe_dump(written, sort_keys=False, allow_unicode=False).rstrip())


def next_runs(
    policy: Annotated[
        str | None,
        typer.Argument(metavar="POLICY", help="Only this policy's.", autocompletion=completed_policies),
    ] = None,
    *,
    number: Annotated[int, typer.Option("--count", "-n", min=1, max=1000, help="How many runs.")] = 10,
    output: Output = Format.TABLE,
) -> None:
    """List the coming runs of policies that are switched on, the soonest first; times are UTC."""
    from agent.protocol import format_time
    from orchestrator.ledger import pausing
    from orchestrator.scheduler import asking

    with opened() as ledger:
        found = asking.upcoming(ledger, count=number, name=policy)
        with ledger.read() as tx:
            pause = pausing.paused(tx)
    if output is Format.JSON:
        runs = [{"policy": name, "at": format_time(at)} for name, at in found]
        emit(document(paused=None if pause is None else str(pause), runs=runs))
        return
    if pause is not None:
        note(f"No session starts: {pause}.")
    if not found:
        note("Nothing runs by itself.")
        return
    table(("at", "policy"), [(moment(at), name) for name, at in found])


def _schedule(schedule: dict[str, Any] | None) -> str:
    return "by hand only" if schedule is None else f"{schedule[_CRON]} {schedule['timezone']}"


def _state(one: dict[str, Any]) -> str:
    if one["running"]:
        return "running"
    return "enabled" if one["enabled"] else "disabled"


def _version(one: dict[str, Any]) -> str:
    by = f" by {one['appliedBy']}" if one["appliedBy"] else ""
    return f"{one['version']} (applied {moment(one['appliedAt'])}{by})"
