"""From a plan to the job that an agent is ordered to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from ulid import ULID

from agent.protocol import (
    BackupJob,
    BackupVolume,
    DataAccess,
    JobName,
    RepositoryRef,
    ResourceRef,
    RestoreVolume,
    RestoreVolumeJob,
    format_time,
)
from orchestrator.ledger import workers
from orchestrator.model.work import WorkKey
from orchestrator.planner import GIB
from orchestrator.services import Services
from orchestrator.steps.view import View, remember, repository

#: The job of each operation that an agent carries out.
JOBS: MappingProxyType[str, JobName] = MappingProxyType(
    {"ec2-backup": "ec2-backup", "ec2-restore-volume": "ec2-restore-volume"}
)


def job_of(services: Services, view: View) -> BackupJob | RestoreVolumeJob:
    """Return the resource's job; asking again returns the same one."""
    return _MAKERS[view.session.operation](services, view)


def _repository(services: Services, view: View) -> RepositoryRef:
    kept = repository(services, view)
    return RepositoryRef(url=kept.url, region=kept.region, kms_key=kept.key.kms, role_arn=view.plan.repository_role)


def _backup(services: Services, view: View) -> BackupJob:
    state = view.resource.state
    point = state.get("restorePoint")
    if point is None:
        point = f"rp-{ULID()}"
        with services.ledger.write() as tx:
            remember(tx, view, restorePoint=point)
    place = view.plan.operation
    return BackupJob(
        repository=_repository(services, view),
        data=DataAccess(region=place.region, role_arn=view.plan.data_role),
        resource=ResourceRef(account=place.account, region=place.region, id=view.resource.resource_id),
        restore_point=point,
        created_at=format_time(datetime.fromtimestamp(state["takenAt"], UTC)),
        volumes=tuple(
            BackupVolume(
                volume_id=volume.volume_id,
                snapshot_id=state["snapshots"][volume.volume_id],
                size_bytes=volume.size_gib * GIB,
                device=volume.device,
                attributes=volume.model_dump(mode="json", by_alias=True, exclude_none=True),
            )
            for volume in view.plan.volumes
        ),
        configuration=view.plan.details.get("configuration", {}),
        ended_workers=_ended(services, state),
    )


def _ended(services: Services, state: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the workers that may have left the repository's chain locked and are terminated.

    Another attempt begins when the worker of the one before is; whoever had the chain before gave it back when its own
    were, unless AWS would not end them.
    """
    ended = [one["instanceId"] for one in state.get("earlier", []) if "instanceId" in one]
    if (before := state.get("chainBefore")) is not None:
        session, _, ordinal = before.partition("/")
        with services.ledger.read() as tx:
            theirs = workers.of_unit(tx, WorkKey(session, int(ordinal)))
        ended += [one.instance_id for one in theirs if one.state == workers.TERMINATED]
    return tuple(ended)


def _restore_volume(services: Services, view: View) -> RestoreVolumeJob:
    details = view.plan.details
    return RestoreVolumeJob(
        repository=_repository(services, view),
        data=DataAccess(region=view.plan.operation.region, role_arn=view.plan.data_role),
        source=ResourceRef(**details["source"]),
        restore_point=details["point"],
        volumes=tuple(
            RestoreVolume(
                volume_id=volume.volume_id,
                snapshot_id=view.resource.state["snapshots"][volume.volume_id],
                size_bytes=volume.size_gib * GIB,
            )
            for volume in view.plan.volumes
        ),
    )


_MAKERS: MappingProxyType[str, Callable[[Services, View], BackupJob | RestoreVolumeJob]] = MappingProxyType(
    {"ec2-backup": _backup, "ec2-restore-volume": _restore_volume}
)
