"""An opened restore point, for the commands that look into it from this machine.

Nothing is mounted, no worker is launched: blocks come from the repository as they are needed, through its opener role.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from console.cli.common import context, opened
from console.cli.exits import CommandError, Exit, Problem

if TYPE_CHECKING:
    from agent.files.opening import Found

Point = Annotated[str, typer.Argument(metavar="RESTORE-POINT", help="A restore point's id.")]
Volumes = Annotated[
    list[str] | None, typer.Option("--volume", metavar="VOLUME", help="Only this volume's. May be given several times.")
]


@contextmanager
def image(point: str, volumes: list[str] | None) -> Iterator[list[Found]]:
    """Open a restore point's file systems. Whatever goes wrong there becomes a `CommandError`."""
    from console.images import TROUBLES, open_image
    from orchestrator.bootstrap import make_identities
    from orchestrator.ledger import points, registry

    found = context()
    with opened(found) as ledger:
        with ledger.read() as tx:
            known = points.get(tx, point)
            repository = registry.repository(tx, known.repository)
        found.enter()
        identities = make_identities(found.settings, ledger)
        try:
            yield open_image(identities, repository, known, volumes or ())
        except TROUBLES as error:
            raise CommandError(
                Exit.NOT_FOUND if type(error).__name__ in ("NotThere", "Missing") else Exit.REFUSED,
                Problem(field=point, reason=str(error), remedy=error.remedy or ""),
                title="not found" if type(error).__name__ in ("NotThere", "Missing") else "this cannot be read",
            ) from None
