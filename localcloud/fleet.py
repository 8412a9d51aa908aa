"""The fleet: a real agent process for each running instance whose user data holds a boot document.

An instance that becomes `running` gets its agent; one that ends loses it at once (SIGKILL, the whole process group).
When an agent exits, for whatever reason, its instance shuts down, as a real worker does whose program is over. The
agents are children of a fork server (`fleet_fork`); nothing of them outlives the cloud.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import IO, Any, Final

from agent.protocol import parse_user_data
from localcloud import metadata, wire
from localcloud.call import Reply
from localcloud.decode import Request
from localcloud.fleet_console import Consoles
from localcloud.lifecycle import InstanceRef

_log = logging.getLogger(__name__)

#: What agents run unless a test says otherwise.
PROGRAM: Final = "agent.__main__:main"
#: Agents that may be between the wish to start and the fork at a time; more would only fill the pipe.
_MOST_STARTING: Final = 16
#: Seconds that the fork server gets to kill everything when the cloud stops.
_PATIENCE: Final = 10
_PASSED_ON: Final = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR")


@dataclass
class Agent:
    """An agent process. `state` is `waiting`, `starting`, `running` or `ending`."""

    ref: InstanceRef
    state: str = "waiting"
    pid: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the agent as the cloud's page shows it."""
        return {
            "account": self.ref.account,
            "region": self.ref.region,
            "instance": self.ref.id,
            "pid": self.pid,
            "state": self.state,
        }


class Fleet:
    """Keeps agents and instances in step (an `InstanceObserver`). Thread-safe.

    `address` returns the cloud's own address, `shut_down` is told of instances whose agent has exited, and `program`
    is the `module:function` that agents run. Agents are told of `file_systems`, the directory that holds those of EFS.
    """

    def __init__(
        self,
        directory: Path,
        *,
        address: Callable[[], str],
        shut_down: Callable[[InstanceRef], None],
        program: str = PROGRAM,
        file_systems: Path | None = None,
    ) -> None:
        self.consoles = Consoles(directory)
        self._log_file = directory / "fleet.log"
        self._address = address
        self._shut_down = shut_down
        self._program = program
        self._mounted = {} if file_systems is None else {"DAYWORK_FILE_SYSTEMS": str(file_systems)}
        self._lock = threading.RLock()
        self._agents: dict[str, Agent] = {}
        self._waiting: deque[str] = deque()
        self._numbers = count(1)
        self._server: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._stopped = False

    def warm_up(self) -> None:
        """Start the fork server now, so that the first agent does not wait for it. Raises OSError."""
        with self._lock:
            if self._server is None:
                self._spawn()

    # --- what the lifecycle tells ---

    def running(self, ref: InstanceRef, instance: Any) -> None:
        """Start an agent if the instance's user data asks for one."""
        if not _wants_agent(instance):
            return
        with self._lock:
            if self._stopped:
                return
            key = f"{ref.id}/{next(self._numbers)}"
            self._agents[key] = Agent(ref)
            self._waiting.append(key)
            self._start_waiting()

    def ending(self, ref: InstanceRef) -> None:
        """Kill the instance's agent, or see to it that it never starts."""
        with self._lock:
            for key, agent in list(self._agents.items()):
                if agent.ref != ref:
                    continue
                if agent.state == "waiting":
                    self._waiting.remove(key)
                    del self._agents[key]
                else:
                    agent.state = "ending"
                    self._wish({"do": "kill", "key": key, "signal": int(signal.SIGKILL)})

    # --- what people and tests ask ---

    def agents(self) -> list[Agent]:
        """Return the agents there are, in the order of their instances' start."""
        with self._lock:
            return [Agent(agent.ref, agent.state, agent.pid) for agent in self._agents.values()]

    def kill(self, instance_id: str, number: int = signal.SIGKILL) -> bool:
        """Send a signal to an instance's agent and all its children. Returns whether there is an agent."""
        with self._lock:
            found = [key for key, agent in self._agents.items() if agent.ref.id == instance_id and agent.pid]
            for key in found:
                self._wish({"do": "kill", "key": key, "signal": int(number)})
            return bool(found)

    def stop(self) -> None:
        """Kill all agents and wait for their end. Their instances stay as they are. May be called again."""
        with self._lock:
            self._stopped = True
            server, reader = self._server, self._reader
        if server is None:
            return
        _close(server.stdin)
        try:
            server.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        if reader is not None:
            reader.join()

    # --- the fork server ---

    def _start_waiting(self) -> None:
        starting = sum(agent.state == "starting" for agent in self._agents.values())
        while self._waiting and starting < _MOST_STARTING:
            key = self._waiting.popleft()
            agent = self._agents[key]
            wish = {
                "do": "start",
                "key": key,
                "environment": self._environment(agent.ref),
                "console": str(self.consoles.path(agent.ref.id)),
            }
            try:
                self._wish(wish)
            except OSError:
                _log.exception("the fork server cannot be started")
                del self._agents[key]
                self._end_instance(agent.ref)
                continue
            agent.state = "starting"
            starting += 1

    def _environment(self, ref: InstanceRef) -> dict[str, str]:
        """Return all that an agent finds in its environment: where its cloud is, and never a credential."""
        url = self._address()
        return {
            **_passed_on(os.environ),
            **self._mounted,
            "AWS_ENDPOINT_URL": url,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"{url}{metadata.PREFIX}{ref.account}/{ref.region}/{ref.id}/",
        }

    def _wish(self, wish: dict[str, Any]) -> None:
        """Send a wish. What a fork server that has just died does not hear, the end of its agents settles."""
        server = self._server or self._spawn()
        if server.stdin is None:
            return
        try:
            server.stdin.write(json.dumps(wish).encode() + b"\n")
            server.stdin.flush()
        except (BrokenPipeError, ValueError):
            _log.warning("the fork server did not hear: %s", wish["do"])

    def _spawn(self) -> subprocess.Popen[bytes]:
        self.consoles.prepare()
        root = str(Path(__file__).parents[1])
        environment = _passed_on(os.environ)
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, environment.get("PYTHONPATH")]))
        # Libraries that make threads when they are imported must not: a fork keeps only one.
        environment["OPENBLAS_NUM_THREADS"] = "1"
        with self._log_file.open("ab") as log:
            server = subprocess.Popen(
                [sys.executable, "-P", "-m", "localcloud.fleet_fork", self._program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        self._server = server
        self._reader = threading.Thread(target=self._listen, args=(server,), name="localcloud-fleet", daemon=True)
        self._reader.start()
        return server

    def _listen(self, server: subprocess.Popen[bytes]) -> None:
        """Hear what the fork server says until it ends."""
        events: IO[bytes] | None = server.stdout
        for line in events or ():
            event = json.loads(line)
            if event["event"] == "started":
                self._started(event["key"], event["pid"])
            else:
                self._ended(event["key"], event["status"])
        _close(server.stdout)
        self._lost(server)

    def _started(self, key: str, pid: int) -> None:
        with self._lock:
            agent = self._agents[key]
            agent.pid = pid
            if agent.state == "starting":
                agent.state = "running"
            if not self._stopped:
                self._start_waiting()

    def _ended(self, key: str, status: int) -> None:
        with self._lock:
            agent = self._agents.pop(key)
            if self._stopped:
                return
            self._start_waiting()
        _log.info("agent of %s ended with status %d", agent.ref.id, status)
        self._end_instance(agent.ref)

    def _lost(self, server: subprocess.Popen[bytes]) -> None:
        """The fork server is gone, and its agents with it: the kernel sees to that."""
        with self._lock:
            if self._stopped:
                return
            _log.error("the fork server ended with status %s; its log is %s", server.wait(), self._log_file)
            _close(server.stdin)
            self._server = None
            gone = [key for key, agent in self._agents.items() if agent.state != "waiting"]
            agents = [self._agents.pop(key) for key in gone]
            self._start_waiting()
        for agent in agents:
            self._end_instance(agent.ref)

    def _end_instance(self, ref: InstanceRef) -> None:
        try:
            self._shut_down(ref)
        except Exception:  # noqa: BLE001 - the other agents' ends must still be heard
            _log.exception("instance %s could not be shut down", ref.id)

    # --- the cloud's page ---

    def page(self, request: Request, rest: str) -> Reply:
        """Answer `GET /_sim/fleet` and `POST /_sim/fleet/kill`."""
        if (request.method, rest) == ("GET", ""):
            return wire.document({"agents": [agent.to_dict() for agent in self.agents()]})
        if (request.method, rest) != ("POST", "kill"):
            return wire.document({"error": "use GET /_sim/fleet or POST /_sim/fleet/kill"}, 404)
        try:
            wanted = json.loads(request.body or b"null")
            instance, number = str(wanted["instance"]), signal.Signals(wanted.get("signal", signal.SIGKILL))
        except (ValueError, TypeError, KeyError, AttributeError):
            return wire.document({"error": 'the body must be {"instance": "i-...", "signal": 9}'}, 400)
        if not self.kill(instance, number):
            return wire.document({"error": f"instance {instance!r} has no agent"}, 404)
        return wire.document({"instance": instance, "signal": int(number)})


def _wants_agent(instance: Any) -> bool:
    if not instance.user_data:
        return False
    try:
        parse_user_data(metadata.user_data(instance))
    except ValueError:
        return False
    return True


def _passed_on(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the part of an environment that a program needs to run at all."""
    return {name: value for name, value in environment.items() if name in _PASSED_ON or name.startswith("PYTHON")}


def _close(pipe: IO[bytes] | None) -> None:
    """Close one end of a pipe, also when the other end has gone and left something unread."""
    if pipe is not None:
        with contextlib.suppress(BrokenPipeError):
            pipe.close()
