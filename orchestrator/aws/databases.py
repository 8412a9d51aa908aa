"""RDS, for one role in one account and Region."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orchestrator import tags as names
from orchestrator.aws import views
from orchestrator.aws.credentials import Identities
from orchestrator.aws.errors import translated
from orchestrator.model.plan import Access
from orchestrator.ports import DatabaseView, Tags

#: Identifiers in one filter; RDS takes 100 records a page.
_PAGE = 100


class AwsDatabases:
    """`orchestrator.ports.Databases` on AWS."""

    def __init__(self, identities: Identities, access: Access) -> None:
        """Take the identities and who is meant."""
        self._identities = identities
        self._access = access

    def databases(self, ids: Sequence[str]) -> dict[str, DatabaseView]:
        """See the port."""
        # An identifier that does not exist is left out of a filter's answer; named by itself it would be an error.
        with translated("describe DB instances"):
            found = [
                views.database(one)
                for start in range(0, len(ids), _PAGE)
                for one in self._described([{"Name": "db-instance-id", "Values": list(ids[start : start + _PAGE])}])
            ]
        return {one.id: one for one in found}

    def find_databases(self, tags: Tags) -> list[str]:
        """See the port. RDS has no filter for tags: every DB instance is looked at, a hundred in each call."""
        with translated("find DB instances by tags"):
            return sorted(
                one["DBInstanceIdentifier"]
                for one in self._described([])
                if one.get("DBInstanceStatus") != "deleting" and names.carries(views.database(one).tags, tags)
            )

    def _described(self, filters: list[dict[str, Any]]) -> Iterator[Mapping[str, Any]]:
        client = self._identities.client("rds", self._access.role, self._access.region)
        pages = client.get_paginator("describe_db_instances").paginate(
            Filters=filters, PaginationConfig={"PageSize": _PAGE}
        )
        for page in pages:
            yield from page["DBInstances"]
