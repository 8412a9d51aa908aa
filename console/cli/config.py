"""`daywork config`: the settings as this command finds them, with their secrets hidden."""

from __future__ import annotations

import typer

from console.cli.common import Output, context
from console.output import Format, cell, document, emit, table

app = typer.Typer(no_args_is_help=True, help="Look at the settings.")

#: What of the control plane's AWS variables may be shown; none of them is a secret, and the rest is nobody's business.
_SHOWN = ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SHARED_CREDENTIALS_FILE")


@app.command()
def show(*, output: Output = Format.TABLE) -> None:
    """Show every setting, where it comes from, and the AWS variables that belong to it."""
    import os

    found = context()
    values = found.settings.shown()
    values["database_url"] = values["database_url"] or found.settings.ledger_url
    origins = {name: _origin(name, os.environ, found.settings.model_fields_set) for name in values}
    aws = {name: value for name, value in sorted(found.environment.items()) if name in _SHOWN}
    if output is Format.JSON:
        emit(document(settings=values, origins=origins, environment=aws))
        return
    table(
        ("setting", "value", "from"),
        [
            *[
                (f"DAYWORK_{name.upper()}", "" if value == "None" else value, cell(origins[name], "bright_black"))
                for name, value in values.items()
            ],
            *[(name, value, cell("state directory", "bright_black")) for name, value in aws.items()],
        ],
    )


def _origin(name: str, environment: object, given: set[str]) -> str:
    if f"DAYWORK_{name.upper()}" in environment:  # type: ignore[operator]  # os.environ is a mapping
        return "environment"
    return "file" if name in given else "default"
