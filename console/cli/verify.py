"""`daywork restore-point verify`: a health check of one restore point, by a session like any other."""

from __future__ import annotations

from typing import Annotated

import typer

from console.cli.common import Output, opened, span
from console.cli.request import Flags, requested
from console.cli.start import Timeout, Wait, begin
from console.output import Format


def verify(
    point: Annotated[str, typer.Argument(metavar="RESTORE-POINT", help="A restore point's id.")],
    *,
    wait: Wait = False,
    timeout: Timeout = None,
    output: Output = Format.TABLE,
) -> None:
    """Read and verify everything that a restore point needs, on a worker. With --wait: exit code 0 when it is sound."""
    from orchestrator.ledger import points

    seconds = None if timeout is None else span(timeout)
    with opened() as ledger, ledger.read() as tx:
        found = points.get(tx, point)
    kind = "ec2" if found.resource_id.startswith("i-") else "rds"
    flags = Flags(
        operation=f"{kind}-health-check",
        resources=[f"{found.account}/{found.region}/{found.id}"],
        selectors=[],
        mode=None,
        repository=found.repository,
        options=[],
        source=None,
        id=None,
    )
    begin(requested(None, flags), wait=wait, seconds=seconds, output=output)
