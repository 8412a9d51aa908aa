"""Where files are written: nothing leaves the target, whatever names and links an image holds."""

# ruff: noqa: PTH115 - names here are bytes, which pathlib does not take

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.images import unpacked

from agent.files.archive import Archive
from agent.files.errors import Broken
from agent.files.extracting import Chosen, Extraction, Taken
from agent.files.system import Entry, Flaw, Kind, Span
from agent.files.tree import Tree


def entry(name: bytes, kind: Kind = "file", **more: object) -> Entry:
    """Return an entry; what is not said is ordinary."""
    plain: dict[str, object] = {
        "name": name, "kind": kind, "size": 0, "mode": 0o755, "uid": os.geteuid(), "gid": os.getegid(),
        "modified": 10**18, "accessed": 10**18, "identity": hash(name),
    }  # fmt: skip
    return Entry(**(plain | more))  # type: ignore[arg-type]


@dataclass
class Evil:
    """A file system that says whatever it was told to say: directories by path."""

    directories: dict[bytes, Sequence[Entry | Flaw]]
    contents: dict[bytes, bytes] = field(default_factory=dict)
    kind: str = "evil"
    label: str = ""
    notes: tuple[str, ...] = ()

    def root(self) -> Entry:
        """The root."""
        return entry(b"", "directory", handle=b"")

    def children(self, directory: Entry) -> Iterator[Entry | Flaw]:
        """What was said to be in it."""
        yield from self.directories.get(directory.handle, ())

    def spans(self, file: Entry) -> Iterator[Span]:
        """All of it is data."""
        if file.size:
            yield Span(0, file.size, is_hole=False)

    def read(self, file: Entry, offset: int, length: int) -> bytes:
        """What was said to be in it; damaged when that is shorter."""
        data = self.contents.get(file.name, b"")[offset : offset + length]
        if len(data) < length:
            raise Broken(f"{file.name!r} is damaged")
        return data

    def attributes(self, entry: Entry) -> dict[str, bytes]:  # noqa: ARG002 - the interface
        """None."""
        return {}


def take(system: Evil, target: Tree | Archive) -> Taken:
    """Take everything out."""
    return Extraction(target).take([Chosen(system, b"/", system.root(), b"")])


def test_names_that_lead_out_are_refused(tmp_path: Path) -> None:
    """Dots, slashes and nothing at all are no names; the rest comes out."""
    names = (b"..", b".", b"", b"a/../../b", b"/etc/cron.d/x", b"nul\0")
    system = Evil({b"": [*(entry(name) for name in names), entry(b"good")]})
    outside = set(tmp_path.iterdir())

    taken = take(system, Tree(tmp_path / "to"))
    stream = io.BytesIO()
    archived = take(system, Archive(stream.write))

    assert (taken.count, archived.count) == (len(names), len(names))
    assert [one.name for one in (tmp_path / "to").iterdir()] == ["good"]
    assert set(tmp_path.iterdir()) - outside == {tmp_path / "to"}
    assert unpacked(stream.getvalue()).keys() == {b"/good"}


def test_a_link_is_never_written_through(tmp_path: Path) -> None:
    """An image that holds a link and, of the same name, a directory or a file with the attacker's content."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "passwd").write_text("mine")
    system = Evil(
        {
            b"": [
                entry(b"a", "link", target=os.fsencode(outside)),
                entry(b"a", "directory", handle=b"a", identity=2),
                entry(b"b", "link", target=os.fsencode(outside / "passwd")),
                entry(b"b", size=5),
                entry(b"c", "link", target=b"../outside"),
            ],
            b"a": [entry(b"passwd", size=5)],
        },
        {b"passwd": b"yours", b"b": b"yours"},
    )

    taken = take(system, Tree(tmp_path / "to"))

    assert (outside / "passwd").read_text() == "mine"
    assert list(outside.iterdir()) == [outside / "passwd"]
    assert taken.count == 3
    assert (tmp_path / "to" / "c").is_symlink()


def test_what_is_there_already_is_not_overwritten(tmp_path: Path) -> None:
    """Neither its content nor the mode of a directory that was there before."""
    target = tmp_path / "to"
    (target / "kept").mkdir(parents=True)
    (target / "kept").chmod(0o711)
    (target / "kept" / "file").write_text("mine")
    system = Evil(
        {
            b"": [entry(b"kept", "directory", handle=b"kept", mode=0o700)],
            b"kept": [entry(b"file", size=5), entry(b"new", size=5)],
        },
        {b"file": b"yours", b"new": b"yours"},
    )

    taken = take(system, Tree(target))

    assert (target / "kept" / "file").read_text() == "mine"
    assert (target / "kept" / "new").read_text() == "yours"
    assert (target / "kept").stat().st_mode & 0o777 == 0o711
    assert "Choose a directory that is empty" not in taken.problems[0]
    assert "/kept/file" in taken.problems[0]


def test_a_damaged_file_is_named_and_leaves_no_false_content(tmp_path: Path) -> None:
    """In a tree there is no file; a large one in an archive is zeros from there on, and that is said."""
    size = 9 * 2**20
    good = b"x" * 2**20
    system = Evil({b"": [entry(b"small", size=10), entry(b"large", size=size)]}, {b"large": good})

    taken = take(system, Tree(tmp_path / "to"))
    stream = io.BytesIO()
    archived = take(system, Archive(stream.write))

    assert taken.count == 2
    assert list((tmp_path / "to").iterdir()) == []
    found = unpacked(stream.getvalue())
    assert found.keys() == {b"/large"}
    assert found[b"/large"][1] == good + bytes(size - len(good))
    assert f"zeros from byte {len(good)} on" in archived.problems[1]


def test_privileges_are_not_given_to_somebody_else(tmp_path: Path) -> None:
    """Whoever cannot set the owner does not set the bits that mean something with that owner only, nor devices."""
    system = Evil(
        {b"": [entry(b"suid", mode=0o6755), entry(b"disk", "block", device=(8, 0)), entry(b"socket", "socket")]}
    )

    taken = take(system, Tree(tmp_path / "to", is_root=False))

    assert (tmp_path / "to" / "suid").stat().st_mode & 0o7777 == 0o755
    assert [problem.split(":")[0] for problem in taken.problems] == ["/disk", "/socket"]


def test_a_directory_that_contains_itself_ends(tmp_path: Path) -> None:
    """A circle in a damaged file system is told and not followed."""
    again = entry(b"again", "directory", handle=b"a", identity=7)
    system = Evil({b"": [entry(b"a", "directory", handle=b"a", identity=7)], b"a": [again]})

    taken = take(system, Tree(tmp_path / "to"))

    assert "contains itself" in taken.problems[0]


def test_tar_reads_the_archive_as_it_was_meant(tmp_path: Path) -> None:
    """GNU tar: names of any bytes, long ones, holes that stay holes, nanoseconds, negative times, large numbers."""
    holes = [Span(0, 2**20, is_hole=True), Span(2**20, 3, is_hole=False), Span(2**20 + 3, 2**20, is_hole=True)]
    stream = io.BytesIO()
    archive = Archive(stream.write)
    odd = entry(b"d", size=3, modified=-1_500_000_000, uid=3_000_000)
    archive.file(b"a-\xff\xfe", odd, {"user.note": b"\0\xff"}, [Span(0, 3, is_hole=False)], iter([b"abc"]))
    sparse = entry(b"s", size=2**21 + 3, modified=1_780_300_800_123_456_789)
    archive.file(b"deep/" * 40 + b"sparse", sparse, {}, holes, iter([b"mid"]))
    archive.special(b"link", entry(b"link", "link", target=b"\xff" * 150), {})
    archive.finish()
    (tmp_path / "a.tar").write_bytes(stream.getvalue())

    done = subprocess.run(
        ["tar", "-xf", "a.tar", "--no-same-owner"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
        env={"PATH": "/usr/bin:/bin"},
    )

    assert done.returncode == 0, done.stderr
    base = os.fsencode(tmp_path)
    assert os.lstat(base + b"/a-\xff\xfe").st_mtime_ns == -1_500_000_000
    found = os.lstat(base + b"/" + b"deep/" * 40 + b"sparse")
    assert (found.st_size, found.st_mtime_ns) == (2**21 + 3, 1_780_300_800_123_456_789)
    assert found.st_blocks * 512 < 2**20
    assert os.readlink(base + b"/link") == b"\xff" * 150


def test_a_target_that_cannot_be_made_is_said_at_once(tmp_path: Path) -> None:
    """Before anything is read: it is an error of the whole, not of each file."""
    (tmp_path / "file").write_text("")

    with pytest.raises(NotADirectoryError):
        Tree(tmp_path / "file" / "to")
