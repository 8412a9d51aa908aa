"""Damaged file systems: whatever bytes are wrong, what cannot be read is named, and nothing else happens."""

from __future__ import annotations

from random import Random

import pytest
from support.images import Blocks, area, stored

from agent.files.errors import FilesError
from agent.files.opening import open_all
from agent.files.system import FileSystem
from agent.files.walking import walk

MOST = 20_000


def damaged(name: str, seed: int) -> Blocks:
    """Return a kept image with some bytes of its first, busiest blocks changed."""
    source, random = stored(name).source, Random(f"{name}-{seed}")  # noqa: S311 - the same bytes each time
    held = sorted(source.held)
    for block in random.choices(held[:60], k=random.choice((1, 3, 20))):
        for _ in range(random.choice((1, 4, 64))):
            source.write(block * 4096 + random.randrange(4096), bytes([random.choice((0, 255, random.randrange(256)))]))
    return source


def look_at(system: FileSystem) -> tuple[int, list[str]]:
    """Walk through everything and read some of it; return how much there was, and what was said to be wrong."""
    count, said = 0, []
    for _, entry in walk(system, system.root(), b"/", lambda path, reason: said.append(f"{path!r}: {reason}")):
        count += 1
        if count > MOST:
            break
        try:
            if count % 37 == 0 and entry.kind == "file":
                for span in system.spans(entry):
                    system.read(entry, span.offset, min(span.length, 2**20))
        except FilesError as error:
            said.append(str(error))
    return count, said


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", ["xfs", "ntfs", "fat16", "fat32"])
def test_a_damaged_file_system_is_read_as_far_as_it_goes(name: str, seed: int) -> None:
    """It ends, and every complaint says where."""
    (found,) = open_all([area(damaged(name, seed))])

    if found.system is None:
        assert found.reason
        return
    try:
        count, said = look_at(found.system)
    except FilesError as error:
        count, said = 0, [str(error)]

    assert count <= MOST + 1
    assert all(one.strip() for one in said)
    assert all("vol-1" in one or "name" in one or "itself" in one for one in said), said[:3]


def test_a_disk_that_is_cut_off_still_gives_what_is_there() -> None:
    """A volume shorter than its file system says."""
    image = stored("fat16")
    short = Blocks({index: block for index, block in image.source.held.items() if index < 600}, 600 * 4096)

    (found,) = open_all([area(short)])

    assert found.system is not None or found.reason
    if found.system is not None:
        count, said = look_at(found.system)
        assert count or said
