"""What the steps ask of the world. Each promise stands beside its method; the adapters and the fakes keep it alike.

Rules that hold for every method that talks to a cloud:

- It raises only `CloudError`s (`orchestrator.errors`); AWS codes do not travel further up.
- `ensure_*` looks, makes, completes; `absent_*` treats "not there" as done. Both may be called again at any time, also
  after a call whose answer was lost.
- It retries nothing but throttling that AWS's own client retries; whoever calls decides about time.
- No method returns or logs a credential.
"""

from __future__ import annotations

from orchestrator.ports.account import Keys, KeyView, Limits, Networks, Room
from orchestrator.ports.agents import Orders, ReceivedReport, Reports
from orchestrator.ports.archives import ArchiveStore, PackState, PackView
from orchestrator.ports.backups import BackupStore, Kept
from orchestrator.ports.cloud import Cloud
from orchestrator.ports.compute import Compute, InstanceView, LaunchCall, NewVolume, SnapshotView, VolumeView
from orchestrator.ports.machines import Device, ImageView, Machines, MachineView, NewImage, NewMachine
from orchestrator.ports.roles import Roles, RoleView
from orchestrator.ports.running import Clock, Dispatch, Limiter
from orchestrator.ports.sources import Databases, DatabaseView, FileSystems, FileSystemView, MountTargetView
from orchestrator.ports.tags import Tags

__all__ = [
    "ArchiveStore",
    "BackupStore",
    "Clock",
    "Cloud",
    "Compute",
    "DatabaseView",
    "Databases",
    "Device",
    "Dispatch",
    "FileSystemView",
    "FileSystems",
    "ImageView",
    "InstanceView",
    "Kept",
    "KeyView",
    "Keys",
    "LaunchCall",
    "Limiter",
    "Limits",
    "MachineView",
    "Machines",
    "MountTargetView",
    "Networks",
    "NewImage",
    "NewMachine",
    "NewVolume",
    "Orders",
    "PackState",
    "PackView",
    "ReceivedReport",
    "Reports",
    "RoleView",
    "Roles",
    "Room",
    "SnapshotView",
    "Tags",
    "VolumeView",
]
