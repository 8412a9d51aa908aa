"""The flags by which `session start` and `plan` are told a request."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from console.cli.common import completed_operations

File = Annotated[
    Path | None,
    typer.Option("--file", "-f", metavar="FILE", help="The request as YAML or JSON; - reads stdin.", allow_dash=True),
]
OperationName = Annotated[
    str | None,
    typer.Option(
        "--operation", metavar="OPERATION", help="What to do, as in ec2-backup.", autocompletion=completed_operations
    ),
]
Resources = Annotated[
    list[str] | None,
    typer.Option(
        "--resource", metavar="ACCOUNT/REGION/ID", help="What to work on; repeatable. An account by id or name."
    ),
]
Select = Annotated[
    list[str] | None,
    typer.Option("--select", metavar="ACCOUNT/REGION/TAG=VALUE", help="Everything with these tags; repeatable."),
]
Mode = Annotated[str | None, typer.Option("--mode", metavar="MODE", help="backup or production; else the usual one.")]
RepositoryName = Annotated[
    str | None, typer.Option("--repository", metavar="NAME", help="Where to; else the only one there is.")
]
Options = Annotated[
    list[str] | None,
    typer.Option("--option", metavar="NAME=VALUE", help="An option of the operation; repeatable."),
]
