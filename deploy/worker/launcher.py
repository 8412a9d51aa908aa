"""Entry of agent.pyz: makes sure of Python, brings along the libraries that were built in, lives as the agent.

This file must be readable by any Python 3, so that an old one can be told so.
"""

# ruff: noqa: INP001 - becomes the archive's __main__.py

import os
import sys
import tempfile
import zipfile

OLDEST = (3, 11)
LIBRARIES = "wheels/"


def bring_libraries(archive):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - see above
    """Unpack the wheels inside the archive, if there are any, and let imports find them."""
    with zipfile.ZipFile(archive) as whole:
        wheels = [name for name in whole.namelist() if name.startswith(LIBRARIES)]
        if not wheels:
            return
        place = tempfile.mkdtemp(prefix="daywork-agent-")
        for name in wheels:
            with whole.open(name) as wheel, zipfile.ZipFile(wheel) as library:
                library.extractall(place)
    sys.path.insert(1, place)


def launch():  # type: ignore[no-untyped-def]  # noqa: ANN201 - see above
    """Run the agent; never returns."""
    if sys.version_info < OLDEST:
        sys.exit("the agent needs Python 3.11 or newer; this is " + sys.version.split()[0])
    bring_libraries(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - see above
    from agent.__main__ import run

    run()


if __name__ == "__main__":
    launch()
