"""The accounts that an install works for, from their roles to the bytes on their disks."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcloud.control import CONTROL_PLANE, write_secret
from localcloud.seed.accounts import (
    Network,
    Shared,
    ensure_key,
    ensure_network,
    ensure_roles,
    repository_opener,
    repository_reader,
    repository_role,
)
from localcloud.seed.address import CloudAddress
from localcloud.seed.files import SharedFiles, ensure_file_system
from localcloud.seed.foundation import allow_control_plane, allow_workers, ensure_bucket
from localcloud.seed.machines import Machine, Made, finish_machine, launch_machine, machines
from localcloud.seed.names import HOME_ACCOUNT, MOST_ACCOUNTS, REGION, Place, production_accounts


@dataclass(frozen=True)
class Seeded:
    """What is there now: the registry document (CONTRACT section 7), instances to back up, file systems to index."""

    registry: dict[str, Any]
    instances: tuple[Made, ...]
    file_systems: tuple[SharedFiles, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values, without any secret."""
        return {
            "registry": self.registry,
            "instances": [
                {
                    "account": one.account,
                    "region": one.region,
                    "id": one.instance,
                    "name": one.name,
                    "volumes": dict(one.volumes),
                }
                for one in self.instances
            ],
            "fileSystems": [vars(one) for one in self.file_systems],
        }


def seed(
    cloud: CloudAddress,
    install: str,
    *,
    external_ids: Path,
    accounts: int = 2,
    instances: int = 2,
    number: int = 1,
    size_gib: int = 1,
    home_account: str = HOME_ACCOUNT,
    region: str = REGION,
) -> Seeded:
    """Fill a cloud that has its `foundation`: `accounts` production accounts with `instances` instances each.

    The first of them has an EFS file system as well.

    What is there already stays as it is, so more may be asked for later. External ids are written to files below
    `external_ids`, one an account, that only their owner can read. `number` seeds the content of the volumes,
    `size_gib` is their nominal size. Raises ValueError for numbers that cannot be, `CloudError`, botocore's
    ClientError, and `ToolMissing` when e2fsprogs is not installed.
    """
    if not 0 <= accounts < MOST_ACCOUNTS:
        raise ValueError(
            f"accounts must be from 0 to {MOST_ACCOUNTS - 1}, not {accounts}: a queue policy holds no more"
        )
    if instances < 0 or size_gib < 1:
        raise ValueError(f"instances ({instances}) must not be negative and size_gib ({size_gib}) at least 1")
    place = Place(install, home_account, region)
    chosen = production_accounts(accounts)
    ids = [account for account, _ in chosen]
    for bucket in (place.repository_bucket, place.archive_bucket):
        ensure_bucket(cloud, place, bucket)
    shared = Shared(place, f"arn:aws:iam::{home_account}:user/{CONTROL_PLANE}", ensure_key(cloud, place), tuple(ids))
    home_network = ensure_network(cloud, place, home_account, 0)
    home_roles = ensure_roles(cloud, shared, home_account, None)
    documents = [_account(home_account, "backup", home_roles, home_network, region) | {"backupAccount": True}]
    launched: list[tuple[str, Machine, str]] = []
    shared_files: list[SharedFiles] = []
    for position, (account, name) in enumerate(chosen, start=1):
        secret = external_ids / account
        roles = ensure_roles(cloud, shared, account, _external_id(secret))
        network = ensure_network(cloud, place, account, position)
        documents.append(
            _account(account, name, roles, network, region) | {"externalId": {"file": str(secret.resolve())}}
        )
        if position == 1:
            shared_files.append(ensure_file_system(cloud, account, region, network, f"{name}-files", number=number))
        launched += [
            (account, machine, launch_machine(cloud, account, region, network, machine, size_gib))
            for machine in machines(name, instances)
        ]
    repository = _repository(cloud, shared)
    assumed = [arn for one in documents for purpose, arn in one["roles"].items() if purpose not in ("worker", "data")]
    allow_control_plane(cloud, place, [*assumed, repository["reader"], repository["opener"]])
    allow_workers(cloud, place, ids)
    made = [
        finish_machine(cloud, account, region, machine, instance, number=number, size_gib=size_gib)
        for account, machine, instance in launched
    ]
    registry = {"accounts": documents, "repositories": [repository]}
    return Seeded(registry, tuple(made), tuple(shared_files))


def _account(account: str, name: str, roles: Mapping[str, str], network: Network, region: str) -> dict[str, Any]:
    return {
        "id": account,
        "name": name,
        "regions": [region],
        "roles": dict(roles),
        "workerConfigurations": [
            {
                "region": region,
                "vpc": network.vpc,
                "subnets": list(network.subnets),
                "securityGroups": [network.security_group],
            }
        ],
    }


def _repository(cloud: CloudAddress, shared: Shared) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": "main",
        "url": f"s3://{shared.place.repository_bucket}",
        "region": shared.place.region,
        "account": shared.place.account,
        "key": {"kms": shared.key},
        "reader": repository_reader(cloud, shared),
        "opener": repository_opener(cloud, shared),
        "archive": {"url": f"s3://{shared.place.archive_bucket}", "storageClass": "DEEP_ARCHIVE"},
    }
    if shared.accounts:
        found["role"] = repository_role(cloud, shared)
    return found


def _external_id(path: Path) -> str:
    """Return the external id in a file, making one when there is none."""
    if path.exists():
        return path.read_text().strip()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = secrets.token_urlsafe(24)
    write_secret(path, made)
    return made
