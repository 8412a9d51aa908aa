"""`daywork plan`: what a session of a request would do, what it would wait for, and what would be refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from console.cli.common import Output, context, opened
from console.cli.exits import CommandError, Exit, problems_of
from console.cli.request import Flags, requested
from console.cli.request_flags import File, Mode, OperationName, Options, RepositoryName, Resources, Select
from console.output import Format, cell, document, emit, fields, note, table

if TYPE_CHECKING:
    from rich.text import Text

    from orchestrator.ports import Room
    from orchestrator.preflight import Finding, Forecast, PlaceForecast, ResourceForecast

#: A colour for each severity, the worst first.
_COLOURS = {
    "refused": "red",
    "skipped": "bright_black",
    "doubtful": "yellow",
    "waits": "yellow",
    "note": "bright_black",
}
#: Resources named beside a finding; the JSON document names all of them.
_NAMED = 5


def plan(
    *,
    file: File = None,
    operation: OperationName = None,
    resource: Resources = None,
    select: Select = None,
    mode: Mode = None,
    repository: RepositoryName = None,
    option: Options = None,
    output: Output = Format.TABLE,
) -> None:
    """Show what a session of this request would do, without starting it. Reads only: nothing is made anywhere.

    Takes a request as `session start` does. Ends with 8 when anything of it would be refused.
    """
    from orchestrator import preflight
    from orchestrator.errors import Refused

    flags = Flags(
        operation=operation,
        resources=resource or [],
        selectors=select or [],
        mode=mode,
        repository=repository,
        options=option or [],
        source=None,
        id=None,
    )
    request = requested(None if file is None else str(file), flags)
    found = context()
    with opened(found):
        try:
            forecast = preflight.forecast(found.services(), request)
        except Refused as error:
            raise CommandError(Exit.REFUSED, *problems_of(error)) from None
    if output is Format.JSON:
        emit(document(**preflight.record(forecast)))
    else:
        _show(forecast)
    if forecast.is_refused:
        raise typer.Exit(Exit.REFUSED)


def _show(forecast: Forecast) -> None:
    session = forecast.session
    role = None if session is None else session.temporary_role
    fields(
        [
            ("operation", forecast.operation),
            ("mode", forecast.mode),
            ("repository", None if session is None else session.repository),
            ("temporary role", None if role is None else f"one under {role.path} in account {role.account}"),
        ]
    )
    _resources(forecast.resources)
    _places(forecast.places)
    _findings(forecast)
    if not forecast.is_available:
        note("This version plans the operation and cannot carry its job out yet: a session of it is refused.")


def _resources(resources: list[ResourceForecast]) -> None:
    typer.echo()
    rows = []
    for one in resources:
        worker = None if one.plan is None else one.plan.worker
        rows.append(
            (
                _name(one),
                cell(one.status, _COLOURS.get(one.status, "green")),
                "" if worker is None else f"{worker.access.account}/{worker.access.region}",
                "" if worker is None else ", ".join(worker.configuration.subnets),
                "" if worker is None else ", ".join(worker.instance_types),
                "" if worker is None else _short(worker.access.role),
                "" if worker is None else _short(worker.role, "temporary"),
                "" if one.plan is None else _short(one.plan.data_role, "-"),
            )
        )
    table(("resource", "status", "worker in", "subnets", "types", "deploying", "attached", "data role"), rows)


def _places(places: list[PlaceForecast]) -> None:
    if not places:
        return
    typer.echo()
    table(
        ("account", "region", "workers", "vcpus", "vcpus left", "addresses", "roles left", "launch"),
        [
            (
                one.access.account,
                one.access.region,
                str(one.workers),
                str(one.vcpus),
                _left(one.room_for_vcpus),
                str(one.free_addresses),
                _left(one.room_for_roles),
                f"{one.launch.total_seconds():g} s, {one.launch_calls} call{'s' if one.launch_calls > 1 else ''}",
            )
            for one in places
        ],
        right=("workers", "vcpus", "vcpus left", "addresses", "roles left"),
    )


def _findings(forecast: Forecast) -> None:
    """Print each finding once, with the resources that it is about."""
    about: dict[Finding, list[str]] = {}
    for one in forecast.resources:
        for finding in one.findings:
            about.setdefault(finding, []).append(_name(one))
    for place in forecast.places:
        for finding in place.findings:
            about.setdefault(finding, []).append(f"{place.access.account}/{place.access.region}")
    if not about:
        return
    order = list(_COLOURS)
    typer.echo()
    table(
        ("finding", "of", "what", "do"),
        [
            (cell(finding.severity, _COLOURS[finding.severity]), _names(names), finding.reason, finding.remedy)
            for finding, names in sorted(about.items(), key=lambda pair: order.index(pair[0].severity))
        ],
    )


def _name(one: ResourceForecast) -> str:
    return f"{one.account}/{one.region}/{one.resource_id}"


def _names(names: list[str]) -> Text:
    more = len(names) - _NAMED
    return cell(", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else ""))


def _short(role: str | None, other: str = "the control plane's own") -> str:
    return other if role is None else role.rsplit("/", 1)[-1]


def _left(room: Room | None) -> str:
    return "" if room is None else f"{room.left} of {room.most}"
