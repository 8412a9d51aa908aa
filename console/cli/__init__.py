"""The `daywork` command.

Reading order: `commands` (every command in one table), `entry` (how one is run and how it ends), `exits` (exit codes
and errors), `common` (what most commands need), then a module for each noun. What a module needs beyond typer it
imports inside its functions: `--help` is quick, and a command that reads the ledger never waits for boto3 or Celery.
"""

from __future__ import annotations


def main() -> None:
    """Run the command that the process was started with, and end the process with its exit code."""
    import sys

    from console.cli.entry import run

    sys.exit(run(sys.argv[1:]))
