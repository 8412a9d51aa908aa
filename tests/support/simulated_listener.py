"""`python -m support.simulated_listener`: the product's listener, on the list that stands for the report queue."""

from __future__ import annotations

from console.listener import serve
from support.simulated import ListReports
from support.simulated_app import app


def main() -> None:
    """Take reports until killed."""
    serve(app.services, ListReports())


if __name__ == "__main__":
    main()
