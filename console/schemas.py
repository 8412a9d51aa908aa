"""JSON Schemas of what users write: the session request with each operation's modes and options, policies, registry."""

from __future__ import annotations

from typing import Any

from orchestrator.model.account import AccountDefaults, Registry
from orchestrator.model.catalogue import Operation
from orchestrator.model.request import SessionRequest
from orchestrator.operations import CATALOGUE
from orchestrator.scheduler.policy import Policy

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def request_schema() -> dict[str, Any]:
    """Return the schema of the session request, version 1.

    Beside the request's own model it says what the catalogue says: which operations there are, and for each one its
    modes and the options it takes.
    """
    schema = _with_catalogue(SessionRequest.model_json_schema(by_alias=True))
    return {"$schema": _DIALECT, "$id": "urn:daywork:session-request:1", **schema, "title": "Daywork session request"}


def policy_schema() -> dict[str, Any]:
    """Return the schema of a policy's document."""
    schema = _with_catalogue(Policy.model_json_schema(by_alias=True))
    return {"$schema": _DIALECT, "$id": "urn:daywork:policy:1", **schema, "title": "Daywork policy"}


def _with_catalogue(schema: dict[str, Any]) -> dict[str, Any]:
    definitions: dict[str, Any] = schema.setdefault("$defs", {})
    rows = [row for row in CATALOGUE.values() if row.is_available]
    for row in rows:
        options = row.options.model_json_schema(by_alias=True, ref_template="#/$defs/{model}")
        definitions |= options.pop("$defs", {})
        definitions[row.options.__name__] = options
    schema["properties"]["operation"] |= {"enum": [row.name for row in rows]}
    schema["anyOf"] = [{"required": [name], "properties": {name: {"minItems": 1}}} for name in ("resources", "select")]
    schema["allOf"] = [_rule(row) for row in rows]
    return schema


def registry_schema() -> dict[str, Any]:
    """Return the schema of the account registry's document.

    Roles may be names, and what stands in `defaults` need not stand in an account.
    """
    schema = Registry.model_json_schema(by_alias=True)
    definitions: dict[str, Any] = schema.setdefault("$defs", {})
    defaults = AccountDefaults.model_json_schema(by_alias=True, ref_template="#/$defs/{model}")
    definitions |= defaults.pop("$defs", {})
    definitions["AccountDefaults"] = defaults
    schema["properties"]["defaults"] = {"$ref": "#/$defs/AccountDefaults"}
    definitions["Account"]["required"] = ["id", "name"]
    for role in (*definitions["AccountRoles"]["properties"].values(), definitions["Repository"]["properties"]["role"]):
        for form in role.get("anyOf", []):
            form.pop("pattern", None)
    return {"$schema": _DIALECT, "$id": "urn:daywork:registry:1", **schema, "title": "Daywork account registry"}


def _rule(row: Operation) -> dict[str, Any]:
    return {
        "if": {"properties": {"operation": {"const": row.name}}, "required": ["operation"]},
        "then": {
            "properties": {
                "mode": {"enum": [*row.modes, None]},
                "options": {"$ref": f"#/$defs/{row.options.__name__}"},
            }
        },
    }
