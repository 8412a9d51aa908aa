"""RDS and EFS planned through the adapters, with the rights of the role documents: place, network, role, types."""

from __future__ import annotations

from typing import Any

import pytest
from support import install as values
from support.clock import FakeClock
from support.data_lab import add_database, add_file_system
from support.labs import FIRST, EmbeddedLab, Lab
from support.stages import *  # noqa: F403 - fixtures are found by their names

from orchestrator import planning
from orchestrator.ledger.store import Ledger
from orchestrator.model.account import Registry
from orchestrator.model.plan import ResourcePlan
from orchestrator.model.request import SessionRequest
from orchestrator.model.status import DeploymentMode
from orchestrator.services import Services

pytestmark = pytest.mark.usefixtures("ledger_in_memory")


@pytest.fixture
def services(lab: Lab, ledger_in_memory: Any) -> Services:
    """What planning is handed: the laboratory's cloud and an empty ledger. Nothing is dispatched or limited."""
    clock = FakeClock()
    nobody: Any = None
    ledger = Ledger(ledger_in_memory, clock)
    return Services(ledger=ledger, cloud=lab.cloud, dispatch=nobody, clock=clock, install=lab.install, limiter=nobody)


def plan(lab: Lab, services: Services, operation: str, resource: str) -> ResourcePlan:
    """Plan one resource of the first account."""
    document = lab.seeded.seeded.registry if isinstance(lab, EmbeddedLab) else values.document()
    body = {
        "source": "test", "id": "1", "operation": operation,
        "resources": [{"account": FIRST, "region": values.REGION, "id": resource}],
    }  # fmt: skip
    request = SessionRequest.model_validate(body)
    context = planning.context(services, request, DeploymentMode.PRODUCTION, Registry.model_validate(document))
    group = planning.read(services, context, FIRST, values.REGION, [resource])
    with services.ledger.read() as tx:
        return planning.decide(tx, context, group, resource)


def test_a_file_system_is_indexed_from_the_zone_of_a_mount_target(lab: Lab, services: Services) -> None:
    """By the account's own roles, in its VPC."""
    known = add_file_system(lab)

    found = plan(lab, services, "efs-index", known.id)

    assert found.worker.access.account == FIRST
    assert found.worker.profile is not None
    assert found.worker.configuration.vpc == known.mount_targets[0].vpc
    assert [one["id"] for one in found.details["mountTargets"]] == [known.mount_targets[0].id]


def test_a_db_instance_is_dumped_from_its_vpc(lab: Lab, services: Services) -> None:
    """On the types of its size."""
    known = add_database(lab)

    found = plan(lab, services, "rds-backup", known.id)

    assert found.worker.configuration.vpc == known.vpc
    assert found.worker.instance_types[0] == "c5.large"
    assert found.details["database"]["port"] == 5432
