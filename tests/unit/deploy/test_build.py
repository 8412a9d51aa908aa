"""The one file that a worker downloads: what is in it, and that it needs nothing of the control plane."""

from __future__ import annotations

import ast
import hashlib
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import botocore
import pytest
from support.archive import WORKER, build_script

from agent.version import VERSION

ROOT = WORKER.parents[1]
ALONE = """
import importlib, pkgutil, sys
sys.path[:0] = sys.argv[1:]
import agent
for found in pkgutil.walk_packages(agent.__path__, "agent."):
    if found.name != "agent.__main__":
        importlib.import_module(found.name)
from agent.__main__ import main
others = ["orchestrator", "tasks", "config", "console", "localcloud"]
assert [name for name in others if importlib.util.find_spec(name)] == [], "the test must look at the agent alone"
print(agent.__file__)
main(["--version"])
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The agent, built."""
    made = tmp_path_factory.mktemp("dist") / "agent.pyz"
    build_script().build(made)
    return made


def test_equal_sources_give_equal_bytes(archive: Path, tmp_path: Path) -> None:
    """Building twice, also at another time and place, gives the same file and the digest that is said."""
    again = tmp_path / "elsewhere" / "agent.pyz"

    digest = build_script().build(again)

    assert again.read_bytes() == archive.read_bytes()
    assert digest == hashlib.sha256(archive.read_bytes()).hexdigest()


def test_holds_the_agent_and_nothing_else(archive: Path) -> None:
    """Every module of agent/, an entry, no control plane."""
    sources = {file.relative_to(ROOT).as_posix() for file in (ROOT / "agent").rglob("*.py")}

    assert set(zipfile.ZipFile(archive).namelist()) == {"__main__.py", *sources}


def test_answers_its_version(archive: Path) -> None:
    """The file can be run as it is."""
    said = subprocess.run([sys.executable, "-I", archive, "--version"], capture_output=True, text=True, check=True)

    assert said.stdout == f"daywork-agent {VERSION}\n"


def test_every_module_can_be_imported_without_the_control_plane(archive: Path) -> None:
    """The agent alone on the path, with its libraries: nothing of ours is missing."""
    libraries = Path(botocore.__file__).parents[1]

    said = subprocess.run(
        [sys.executable, "-I", "-S", "-c", ALONE, archive, libraries], capture_output=True, text=True, check=False
    )

    assert said.stderr == ""
    assert said.stdout.splitlines() == [f"{archive}/agent/__init__.py", f"daywork-agent {VERSION}"]


def test_libraries_that_are_built_in_are_found(tmp_path: Path) -> None:
    """Wheels inside the file are unpacked when it starts, before the agent is imported."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    with zipfile.ZipFile(wheels / "urllib3-0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("urllib3/__init__.py", "raise SystemExit('the library that was built in')")
    made = tmp_path / "agent.pyz"
    build_script().build(made, wheels)

    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    said = subprocess.run([sys.executable, "-I", made], capture_output=True, text=True, check=False, env=environment)

    assert said.stderr.strip() == "the library that was built in"


def test_a_directory_without_wheels_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file without libraries must be wanted, not happen."""
    with pytest.raises(SystemExit):
        build_script().main(["--wheels", str(tmp_path), "--output", str(tmp_path / "agent.pyz")])

    assert "there is no wheel" in capsys.readouterr().err


def test_says_where_the_file_is_and_its_digest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the settings `agent_url` and `agent_sha256` need."""
    made = tmp_path / "agent.pyz"

    build_script().main(["--output", str(made)])

    digest = hashlib.sha256(made.read_bytes()).hexdigest()
    assert capsys.readouterr().out == f"{made}\nsha256 {digest}\n"


# --- libraries ---


def test_the_agents_libraries_are_listed() -> None:
    """Whatever agent/ imports is of Python, of the agent, or in deploy/worker/requirements.in."""
    listed = {line for line in (WORKER / "requirements.in").read_text().splitlines() if not line.startswith("#")}

    imported = {name for file in (ROOT / "agent").rglob("*.py") for name in _imports(file)}

    packages = packages_distributions()
    libraries = {packages[name][0].lower() for name in imported - set(sys.stdlib_module_names) - {"agent"}}
    assert libraries == listed


def _imports(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def test_the_agents_libraries_are_those_of_the_whole_product() -> None:
    """What is tested here is what runs there: the same versions, with the same hashes."""
    ours, theirs = _locked(ROOT / "requirements.lock"), _locked(WORKER / "requirements.lock")

    assert theirs
    assert {name: ours.get(name) for name in theirs} == theirs


def _locked(file: Path) -> dict[str, frozenset[str]]:
    """Read a lock file: `name==version` to its hashes."""
    found: dict[str, set[str]] = {}
    name = ""
    for line in file.read_text().splitlines():
        if match := re.match(r"[\w.-]+==[\w.]+", line):
            name = match[0]
            found[name] = set()
        elif match := re.search(r"--hash=(\S+)", line):
            found[name].add(match[1])
    return {name: frozenset(hashes) for name, hashes in found.items()}


def test_the_agents_version_is_the_products() -> None:
    """One number for all."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        assert tomllib.load(file)["project"]["version"] == VERSION
