"""The containers: the same processes as `daywork up`, commands that exist, nothing secret, nothing open."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from console.cli.commands import root
from console.stack.layout import Layout
from console.stack.plan import Plan
from console.stack.programs import control_plane

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """The services of docker-compose.yml."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    return found


def test_the_control_plane_is_that_of_up(services: dict[str, Any]) -> None:
    """The same commands under the same names."""
    plan = Plan(broker_port=1, broker_password="", cloud_port=2, flower_port=3)
    of_up = {one.name: list(one.command[3:]) for one in control_plane(Layout(Path("/state")), plan)}

    assert {name: services[name]["command"][1:] for name in of_up} == of_up
    assert set(services) - set(of_up) == {"pod", "valkey", "cloud", "prepare"}


def test_every_command_exists_with_its_options(services: dict[str, Any]) -> None:
    """Read by the command line itself, without being run."""
    commands = [one["command"] for one in services.values() if one["command"][0] == "daywork"]

    assert len(commands) >= 6
    for words in commands:
        command, arguments, context = root(), words[1:], None
        while hasattr(command, "resolve_command"):
            context = command.make_context("daywork", list(arguments), parent=context, resilient_parsing=True)
            name, command, arguments = command.resolve_command(context, arguments)
            assert command is not None, words
        command.make_context(name, arguments, parent=context)


def test_the_clouds_options_exist(services: dict[str, Any]) -> None:
    """It is a program of its own."""
    words = services["cloud"]["command"]
    told = subprocess.run(
        [sys.executable, *words[1:4], "--help"], capture_output=True, text=True, check=True, cwd=ROOT, timeout=60
    ).stdout

    assert words[:4] == ["python", "-m", "localcloud", "serve"]
    assert all(word in told for word in words if word.startswith("--"))


def test_nothing_secret_stands_in_it_and_nothing_is_published_beyond_this_machine(services: dict[str, Any]) -> None:
    """A password comes from the environment, and the file says what is missing when it does not."""
    for service in services.values():
        for name, value in service.get("environment", {}).items():
            if re.search("AUTH|PASSWORD|SECRET|TOKEN|KEY", name):
                assert re.fullmatch(r"\$\{\w+:\?[^}]+\}", value)
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_the_image_is_made_of_what_is_there() -> None:
    """Every file that is copied into it exists and is not kept out of the build."""
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}

    copied = [word for line in re.findall(r"^COPY (.+)$", dockerfile, re.MULTILINE) for word in line.split()[:-1]]

    assert copied
    for name in copied:
        assert (ROOT / name).exists()
        assert name in let_in
