"""Starting and stopping an embedded cloud, in a thread or as a process of its own."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from localcloud.authority import Authority
from localcloud.blocks.service import Blocks
from localcloud.call import Plugin
from localcloud.calllog import CallLog
from localcloud.control import Control
from localcloud.documents import Documents
from localcloud.faults import Faults
from localcloud.file_systems import FileSystems
from localcloud.fleet import PROGRAM, Fleet
from localcloud.http import Server
from localcloud.identity import Identities
from localcloud.instances import Instances
from localcloud.lifecycle import InstanceObserver, InstanceRef, Lifecycle
from localcloud.metadata import Metadata
from localcloud.overlay import Overlay
from localcloud.profiles import Profiles
from localcloud.quotas import Quotas
from localcloud.retrievals import Retrievals
from localcloud.settings import Settings
from localcloud.simulation import Simulation
from localcloud.sts import SecurityTokens
from localcloud.throttle import Throttle
from localcloud.tokens import Tokens

_running = threading.Lock()


class Cloud:
    """The parts of one embedded cloud, wired. moto's state is the process's, so there is one cloud at a time."""

    def __init__(self, directory: Path, settings: Settings, plugins: Sequence[Plugin] = ()) -> None:
        self.directory = directory
        self.settings = settings
        self.identities = Identities()
        self.authority = Authority(settings)
        self.faults = Faults()
        self.throttle = Throttle(on=settings.throttle)
        self.calls = CallLog(settings.call_log)
        self.lifecycle = Lifecycle(settings)
        self.metadata = Metadata(self.identities)
        self.control = Control(
            directory,
            settings,
            faults=self.faults,
            calls=self.calls,
            throttle=self.throttle,
            usage=self.authority.usage,
        )
        self.blocks = Blocks(directory / "blocks", settings)
        self.control.add_page("volumes", self.blocks.pages.serve)
        self.file_systems = FileSystems(directory / "file-systems")
        self.control.add_page("file-systems", self.file_systems.page)
        self.quotas = Quotas(self.throttle)
        self.control.add_page("quotas", self.quotas.serve)
        self.lifecycle.observe(self.metadata)
        self._plugins = list(plugins)

    def add_plugin(self, plugin: Plugin) -> None:
        """Add a part that answers calls; must come before the server is started."""
        self._plugins.append(plugin)

    def observe(self, observer: InstanceObserver) -> None:
        """Tell `observer` of instances that run or end."""
        self.lifecycle.observe(observer)

    def instance_shutdown(self, account: str, region: str, instance_id: str) -> None:
        """An instance's own system shut down (the agent ended itself): terminate or stop it, as it was launched to."""
        self.lifecycle.shut_down(InstanceRef(account, region, instance_id))

    def overlay(self) -> Overlay:
        """Return the WSGI application in front of a fresh moto."""
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        return Overlay(
            DomainDispatcherApplication(create_backend_app),
            settings=self.settings,
            identities=self.identities,
            authority=self.authority,
            tokens=Tokens(),
            faults=self.faults,
            throttle=self.throttle,
            calls=self.calls,
            control=self.control,
            metadata=self.metadata,
            plugins=[
                SecurityTokens(self.identities, self.authority),
                Documents(),
                Simulation(),
                Profiles(),
                self.quotas,
                Instances(self.settings, self.lifecycle),
                self.blocks,
                Retrievals(self.settings),
                self.file_systems,
                *self._plugins,
            ],
        )


class CloudServer:
    """An embedded cloud listening on 127.0.0.1. Use as a context manager, or `start` and `stop`.

    `port` 0 takes a free one; `url` is known after `start`. Only one can run in a process. `agents` is the program
    (`module:function`) that runs on instances with a boot document; None: they stay empty.
    """

    def __init__(
        self,
        directory: Path,
        port: int = 0,
        settings: Settings | None = None,
        plugins: Sequence[Plugin] = (),
        *,
        agents: str | None = PROGRAM,
    ) -> None:
        self.cloud = Cloud(Path(directory), settings or Settings(), plugins)
        self.fleet: Fleet | None = None
        if agents is not None:
            self.fleet = Fleet(
                Path(directory),
                address=lambda: self.url,
                shut_down=self.cloud.lifecycle.shut_down,
                program=agents,
                file_systems=self.cloud.file_systems.directory,
            )
            self.cloud.observe(self.fleet)
            self.cloud.add_plugin(self.fleet.consoles)
            self.cloud.control.add_page("fleet", self.fleet.page)
        self._port = port
        self._server: Server | None = None
        self._overlay: Overlay | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The endpoint's address, `http://127.0.0.1:PORT`."""
        if self._server is None:
            raise RuntimeError("the embedded cloud has not been started")
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def admin_token(self) -> str:
        """What the header X-Sim-Token must hold."""
        return (self.cloud.directory / "admin-token").read_text()

    def start(self) -> Self:
        """Start serving, with an empty cloud. Raises RuntimeError when one runs in this process already."""
        if not _running.acquire(blocking=False):
            raise RuntimeError("an embedded cloud already runs in this process; stop it first")
        try:
            self._listen()
        except BaseException:
            _running.release()
            raise
        return self

    def _listen(self) -> None:
        from localcloud import moto_behaviour, moto_speed, retrievals

        moto_behaviour.install()
        moto_speed.install()
        retrievals.install()
        # Before moto is emptied: its images have snapshots, which get their bytes when they are made.
        self.cloud.blocks.start()
        _empty_moto()
        self.cloud.control.prepare()
        self._overlay = self.cloud.overlay()
        self._server = Server(self._port, self._overlay)
        self.cloud.lifecycle.start()
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="localcloud-server", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop serving and forget the cloud. May be called again."""
        if self._server is None or self._thread is None or self._overlay is None:
            return
        self._overlay.stop()
        if self.fleet is not None:
            self.fleet.stop()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.cloud.lifecycle.stop()
        self.cloud.blocks.stop()
        _empty_moto()
        self._thread = None
        _running.release()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _empty_moto() -> None:
    from moto.core.base_backend import BackendDict

    BackendDict.reset()
