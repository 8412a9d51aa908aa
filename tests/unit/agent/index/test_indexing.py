"""The job `efs-index` on real directories and a repository in memory: an index says what `os.walk` says."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import threading
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from support.indexing import FILE_SYSTEM, IndexBench, truth
from support.repositories import fails_at

from agent.files.walking import parse, shown
from agent.index.search import differences, expression, opening
from agent.jobs.context import JobFailed, JobStopped
from agent.repository.errors import Damaged
from agent.repository.lease import acquire

pytestmark = pytest.mark.unit

#: Names of any bytes but zero and slash.
NAMES = st.binary(min_size=1, max_size=20).filter(
    lambda one: b"\0" not in one and b"/" not in one and one not in (b".", b"..")
)
TREES: Any = st.recursive(
    st.integers(min_value=0, max_value=5000),
    lambda below: st.dictionaries(NAMES, below, max_size=5),
    max_leaves=25,
)


@pytest.fixture
def bench(tmp_path: Path) -> IndexBench:
    """An empty file system."""
    return IndexBench(tmp_path / "mounted")


def plant(place: bytes, tree: Any) -> None:
    """Make a tree: a number is a file of that size."""
    if isinstance(tree, int):
        with open(place, "wb") as file:  # noqa: PTH123 - names of any bytes
            file.truncate(tree)
        return
    os.makedirs(place, exist_ok=True)  # noqa: PTH103 - as above
    for name, below in tree.items():
        plant(place + b"/" + name, below)


def rows(bench: IndexBench, name: str = "ix-1") -> dict[str, dict[str, Any]]:
    """Return all that an index holds, by path."""
    columns = ("kind", "size", "modified", "changed", "owner", "group", "mode")
    return {one.path: {column: getattr(one, column) for column in columns} for one in bench.found(name)}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tree=st.dictionaries(NAMES, TREES, max_size=6), most=st.integers(min_value=1, max_value=20))
def test_an_index_holds_what_stands_there(tree: Any, most: int) -> None:
    """Every name of any bytes, with kind, size, times, owner and mode, whatever the size of the parts."""
    with tempfile.TemporaryDirectory() as place:
        bench = IndexBench(Path(place))
        plant(os.fsencode(bench.root), tree)

        result = bench.index(rows=most)

        known = truth(bench.root)
        assert rows(bench) == known
        assert len(bench.found()) == len(known)
        assert result.outcome == "success"
        assert result.detail["files"] == sum(one["kind"] == "file" for one in known.values())
        assert result.detail["sizeBytes"] == sum(one["size"] for one in known.values() if one["kind"] == "file")


@settings(max_examples=300, deadline=None)
@given(
    name=st.binary(max_size=8).filter(lambda one: b"\0" not in one),
    pattern=st.text("ab*?]!^-\\.\xe4\n", max_size=6).map(str.encode),
)
def test_patterns_match_as_those_of_a_shell(name: bytes, pattern: bytes) -> None:
    """A pattern of any bytes, as it is shown, finds what `fnmatch` finds; a byte that is no text counts as one."""
    text = shown(name)

    matched = re.fullmatch(expression(shown(pattern)), text, re.DOTALL) is not None

    assert parse(text) == name
    assert matched == fnmatchcase(*(one.decode("utf-8", "surrogateescape") for one in (name, pattern)))


def test_special_files_are_rows_and_links_are_not_followed(bench: IndexBench, tmp_path: Path) -> None:
    """A fifo, a link to a directory outside and one that leads nowhere: each is what it is."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").touch()
    os.mkfifo(bench.root / "fifo")
    (bench.root / "out").symlink_to(tmp_path / "outside")
    (bench.root / "round").symlink_to(".")
    (bench.root / "nowhere").symlink_to("/no/such/place")

    bench.index()

    assert {one.path: one.kind for one in bench.found()} == {
        "/fifo": "fifo", "/out": "link", "/round": "link", "/nowhere": "link",
    }  # fmt: skip


def test_a_path_is_begun_at_and_others_are_left_out(bench: IndexBench) -> None:
    """Paths in the index are those of the file system; excluded directories are not there at all."""
    plant(os.fsencode(bench.root), {b"a": {b"one": 1, b"skip": {b"x": 1}, b"skipped": 2}, b"b": {b"two": 2}})

    bench.index(path="/a/", exclude_paths=("/a/skip", "/b"))

    assert bench.paths() == {"/a/one", "/a/skipped"}
    assert bench.index_head().path == "/a/"


@pytest.mark.parametrize(
    ("path", "said"), [("/no", "No such file"), ("/file", "no directory"), ("/link/a", "no directory"), ("/../x", "..")]
)
def test_a_path_that_cannot_be_indexed_is_refused(bench: IndexBench, path: str, said: str) -> None:
    """Missing, no directory, through a link, out of the tree: the reason names it and no index is there."""
    (bench.root / "file").touch()
    (bench.root / "link").symlink_to(bench.root.parent)

    with pytest.raises(JobFailed, match=re.escape(said)):
        bench.index(path=path)

    assert bench.indexes() == []


def test_what_cannot_be_read_is_named_and_the_rest_is_indexed(
    bench: IndexBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A closed directory is a row; what is in it is not, and the result says so."""
    plant(os.fsencode(bench.root), {b"closed": {b"x": 1}, b"open": {b"y": 1}})
    scan = os.scandir

    def refuse(path: Any) -> Any:
        if isinstance(path, bytes) and path.endswith(b"/closed"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr("agent.index.walk.os.scandir", refuse)
    result = bench.index()

    assert result.outcome == "warning"
    assert "/closed: Permission denied" in (result.reason or "")
    assert bench.paths() == {"/closed", "/open", "/open/y"}


def test_what_vanishes_meanwhile_is_no_problem(bench: IndexBench) -> None:
    """A directory that is removed between its listing and its turn: counted, and nothing is wrong."""
    plant(os.fsencode(bench.root), {b"a": {b"x": 1}, b"b": {b"y": 1}})
    gone: list[int] = []

    def remove(done: int, total: int) -> None:
        gone.append(done)
        shutil.rmtree(bench.root / "a", ignore_errors=True)
        shutil.rmtree(bench.root / "b", ignore_errors=True)

    bench.progress = type("Told", (list,), {"append": lambda _self, pair: remove(*pair)})()

    result = bench.index(walkers=1)

    assert gone
    assert result.outcome == "success"
    assert result.detail["vanished"] == 2


def test_the_repository_shows_no_name(bench: IndexBench) -> None:
    """Neither keys nor objects hold a file's name in clear."""
    plant(os.fsencode(bench.root), {b"canary-name": {b"canary-file": 3}})

    bench.index()

    assert any(key.startswith("catalogue/") for key in bench.objects.written)
    for key in bench.objects.written:
        assert b"canary" not in bytes(bench.objects.get(key)) + key.encode()


def test_a_job_that_dies_leaves_no_index_and_is_done_again(bench: IndexBench) -> None:
    """The store fails before the head is written: no index. The same order once more: one index, once."""
    plant(os.fsencode(bench.root), {b"a": 1})

    bench.objects.before = fails_at("idx/")
    with pytest.raises(JobFailed):
        bench.index()
    bench.objects.before = lambda _what, _key: None
    assert bench.indexes() == []

    first = bench.index()
    again = bench.index()

    assert first == again
    assert bench.indexes() == ["ix-1"]


def test_a_stop_leaves_no_index(bench: IndexBench) -> None:
    """Stopped in the middle of the walk."""
    plant(os.fsencode(bench.root), {b"%d" % number: {b"x": 1} for number in range(50)})
    bench.progress = type("Stopping", (list,), {"append": lambda _self, _pair: bench.stop.set()})()

    with pytest.raises(JobStopped):
        bench.index(walkers=1)

    assert bench.indexes() == []


def test_two_workers_do_not_write_one_chain(bench: IndexBench) -> None:
    """Somebody else holds the lease and is not known to have ended: the job waits, and a stop ends that."""
    plant(os.fsencode(bench.root), {b"a": 1})
    bench.index("ix-0")
    repository = bench.repository
    held = acquire(repository.objects, repository.ring, bench.chain, owner="i-other", pause=lambda _seconds: None)
    timer = threading.Timer(0.2, bench.stop.set)
    timer.start()

    with pytest.raises(JobStopped):
        bench.index("ix-1")

    timer.join()
    held.release()
    bench.stop.clear()
    assert bench.index("ix-1").outcome == "success"


def test_the_lease_of_a_dead_worker_is_free(bench: IndexBench) -> None:
    """Whose instance is terminated holds nothing: the next attempt begins at once, over what it has left behind."""
    plant(os.fsencode(bench.root), {b"a": 1})
    bench.objects.before = fails_at("idx/")
    with pytest.raises(JobFailed):
        bench.index("ix-1")
    bench.objects.before = lambda _what, _key: None
    repository = bench.repository
    acquire(repository.objects, repository.ring, bench.chain, owner="i-dead", pause=lambda _seconds: None)

    result = bench.index("ix-1", ended_workers=("i-dead",))

    assert result.outcome == "success"
    assert bench.paths() == {"/a"}


def test_a_flipped_byte_in_a_part_is_found(bench: IndexBench) -> None:
    """A damaged part does not answer a search with something else."""
    plant(os.fsencode(bench.root), {b"a": 1})
    bench.index()
    (key,) = [key for key in bench.objects.written if key.startswith("catalogue/")]
    data = bytearray(bench.objects.get(key))
    data[len(data) // 2] ^= 1
    bench.objects.put(key, bytes(data))

    with pytest.raises(Damaged, match="catalogue"):
        bench.found()


def test_searches_find_what_they_ask_for(bench: IndexBench) -> None:
    """Names, whole paths, sizes, times, owners, kinds, and no difference of case when that is asked."""
    plant(os.fsencode(bench.root), {b"src": {b"main.py": 10, b"Main.PY": 20, b"b\\s": 1, b"\xff": 1}, b"big": 5000})
    os.utime(bench.root / "big", (1_000_000, 1_000_000))

    bench.index()

    assert bench.paths(pattern="*.py") == {"/src/main.py"}
    assert bench.paths(pattern="*.py", ignore_case=True) == {"/src/main.py", "/src/Main.PY"}
    assert bench.paths(pattern="/s*/m*") == {"/src/main.py"}
    assert bench.paths(pattern="/s*") == {"/src", "/src/main.py", "/src/Main.PY", "/src/b\\\\s", "/src/\\xff"}
    assert bench.paths(pattern="b\\\\s") == {"/src/b\\\\s"}
    assert bench.paths(pattern="?", kind="file") == {"/src/\\xff"}
    assert bench.paths(pattern="[!a]") == {"/src/\\xff"}
    assert bench.paths(at_least=20) == {"/src/Main.PY", "/big"}
    assert bench.paths(at_least=10, at_most=20) == {"/src/main.py", "/src/Main.PY"}
    assert bench.paths(until=2_000_000 * 10**6) == {"/big"}
    assert bench.paths(since=2_000_000 * 10**6, pattern="big") == set()
    assert len(bench.paths(owner=os.geteuid())) == 6
    assert bench.paths(owner=os.geteuid() + 1) == set()


def test_two_indexes_are_compared(bench: IndexBench) -> None:
    """What came, what went, what changed; directories whose content alone changed are not named."""
    plant(os.fsencode(bench.root), {b"d": {b"stays": 1, b"grows": 1, b"goes": 1}, b"mode": {}})
    bench.index("ix-1")
    (bench.root / "d" / "goes").unlink()
    (bench.root / "d" / "comes").touch()
    (bench.root / "d" / "grows").write_bytes(b"xx")
    (bench.root / "mode").chmod(0o711)
    bench.index("ix-2")

    found = differences(bench.index_head("ix-1"), bench.index_head("ix-2"), opening(bench.repository), limit=100)

    assert [(one.change, one.path) for one in found] == [
        ("changed", "/mode"), ("added", "/d/comes"), ("removed", "/d/goes"), ("changed", "/d/grows"),
    ]  # fmt: skip
    grown = found[-1]
    assert grown.before is not None
    assert grown.after is not None
    assert (grown.before.size, grown.after.size) == (1, 2)


def test_an_empty_file_system_has_an_index(bench: IndexBench) -> None:
    """Nothing is there, and that can be searched and compared too."""
    result = bench.index("ix-1")
    (bench.root / "new").touch()
    bench.index("ix-2")

    assert (result.outcome, result.detail["files"], result.detail["parts"]) == ("success", 0, 0)
    assert bench.found("ix-1") == []
    found = differences(bench.index_head("ix-1"), bench.index_head("ix-2"), opening(bench.repository), limit=100)
    assert [(one.change, one.path) for one in found] == [("added", "/new")]


def test_a_file_system_that_is_not_there_fails(bench: IndexBench) -> None:
    """Nothing behind the mount targets."""
    bench.root.rmdir()

    with pytest.raises(JobFailed, match=FILE_SYSTEM.id):
        bench.index()
