"""The published schemas say what the program does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from console.schemas import policy_schema, registry_schema, request_schema
from orchestrator.operations import CATALOGUE


def test_the_request_schema_names_every_operation_with_its_modes_and_options() -> None:
    """What the catalogue says, no more."""
    schema = request_schema()

    ready = [row for row in CATALOGUE.values() if row.is_available]
    assert schema["properties"]["operation"]["enum"] == [row.name for row in ready]
    rules = {one["if"]["properties"]["operation"]["const"]: one["then"]["properties"] for one in schema["allOf"]}
    assert {name: rule["mode"]["enum"] for name, rule in rules.items()} == {
        row.name: [*row.modes, None] for row in ready
    }
    for rule in rules.values():
        options = schema["$defs"][rule["options"]["$ref"].rsplit("/", 1)[1]]
        assert options["additionalProperties"] is False


@pytest.mark.parametrize(
    "schema", [request_schema(), registry_schema(), policy_schema()], ids=["request", "registry", "policy"]
)
def test_a_schema_stands_alone(schema: dict[str, Any]) -> None:
    """Every reference leads somewhere inside, and unknown fields are refused everywhere."""
    text = json.dumps(schema)
    references = {part.split('"')[0] for part in text.split('"$ref": "')[1:]}

    assert all(one.removeprefix("#/$defs/") in schema["$defs"] for one in references)
    assert schema["additionalProperties"] is False
    assert schema["$schema"].endswith("2020-12/schema")
