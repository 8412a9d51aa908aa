"""`daywork schema`: JSON Schemas for other programs and for editors."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from console.output import emit

app = typer.Typer(no_args_is_help=True, help="Print the schemas of what this program reads.")


class Of(StrEnum):
    """What a schema is of."""

    REQUEST = "request"
    REGISTRY = "registry"
    POLICY = "policy"


@app.command()
def export(
    of: Annotated[
        Of, typer.Argument(help="The session request, or the document of account apply or policy apply.")
    ] = Of.REQUEST,
) -> None:
    """Print a JSON Schema (draft 2020-12)."""
    from console import schemas

    made = {Of.REQUEST: schemas.request_schema, Of.REGISTRY: schemas.registry_schema, Of.POLICY: schemas.policy_schema}
    emit(made[of]())
