"""`python -m console`: the `daywork` command, also where its entry point is not installed."""

from console.cli import main

main()
