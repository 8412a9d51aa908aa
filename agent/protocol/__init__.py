"""What the control plane and an agent say to each other, version 1.

Terms:

- **Boot document**: JSON inside the worker's user data. The same for every worker of a launch batch; holds no secret
  and names no resource.
- **Order**: an object in the control bucket, `orders/<session>/<role id>:<instance id>.json`. The last part is the
  worker's own `aws:userid`, so one policy statement limits each worker to its own orders.
- **Stop**: an object with the order's key and the ending `.stop` in place of `.json`. Its content does not matter.
- **Report**: an SQS message of the agent: `ready`, `progress` (also the heartbeat) or `result`, numbered by it.
- **Result object**: the result report written beside the order, ending `.result.json`. Either one ends the job.

Only the standard library is used, so both sides and the embedded cloud can import it. No message ever carries a
credential, a session token or an external id.
"""

from __future__ import annotations

from agent.protocol.archive import ArchiveJob
from agent.protocol.backup import BackupJob, BackupVolume
from agent.protocol.boot import BOOT_LIMIT, Boot, parse_user_data, user_data
from agent.protocol.browsing import Ask, answer_key, ask_key, ask_prefix
from agent.protocol.files import Output, PointFiles, RestoreFilesJob, SnapshotFiles
from agent.protocol.health import HealthCheckJob
from agent.protocol.index import IndexJob, MountTarget
from agent.protocol.message import PROTOCOL_VERSION, Message, ProtocolError, format_time, parse_time
from agent.protocol.orders import JOB_MESSAGES, JobName, Order, order_key, order_prefix, result_key, stop_key
from agent.protocol.places import DataAccess, RepositoryRef, ResourceRef
from agent.protocol.reports import JobResult, Outcome, Progress, Report
from agent.protocol.restore import RestoreVolume, RestoreVolumeJob
from agent.protocol.retention import RetentionJob

__all__ = [
    "BOOT_LIMIT",
    "JOB_MESSAGES",
    "PROTOCOL_VERSION",
    "ArchiveJob",
    "Ask",
    "BackupJob",
    "BackupVolume",
    "Boot",
    "DataAccess",
    "HealthCheckJob",
    "IndexJob",
    "JobName",
    "JobResult",
    "Message",
    "MountTarget",
    "Order",
    "Outcome",
    "Output",
    "PointFiles",
    "Progress",
    "ProtocolError",
    "Report",
    "RepositoryRef",
    "ResourceRef",
    "RestoreFilesJob",
    "RestoreVolume",
    "RestoreVolumeJob",
    "RetentionJob",
    "SnapshotFiles",
    "answer_key",
    "ask_key",
    "ask_prefix",
    "format_time",
    "order_key",
    "order_prefix",
    "parse_time",
    "parse_user_data",
    "result_key",
    "stop_key",
    "user_data",
]
