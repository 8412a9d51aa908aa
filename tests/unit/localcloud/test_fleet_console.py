"""Console files of the fleet."""

from __future__ import annotations

import os
from pathlib import Path

from localcloud.fleet_console import Consoles


def test_the_oldest_consoles_are_forgotten_when_a_fleet_starts(tmp_path: Path) -> None:
    """Five hundred files stay, the newest; what is not a console is not touched."""
    consoles = Consoles(tmp_path)
    consoles.prepare()
    for number in range(503):
        file = consoles.path(f"i-{number:017x}")
        file.write_text("ended")
        os.utime(file, (number, number))
    (tmp_path / "console" / "notes.txt").write_text("mine")

    consoles.prepare()

    kept = sorted(file.name for file in (tmp_path / "console").glob("i-*"))
    assert len(kept) == 500
    assert kept[0] == f"i-{3:017x}.log"
    assert (tmp_path / "console" / "notes.txt").exists()


def test_an_instances_console_is_named_by_its_id(tmp_path: Path) -> None:
    """Whoever looks for it finds it."""
    assert Consoles(tmp_path).path("i-0a1b2c3d4e5f60718") == tmp_path / "console" / "i-0a1b2c3d4e5f60718.log"
