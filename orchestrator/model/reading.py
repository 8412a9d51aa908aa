"""Reading what people and programs write as strict models: every mistake at once, in plain words, by its field."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.alias_generators import to_camel

from orchestrator.errors import Refused

M = TypeVar("M", bound=BaseModel)

#: Where pydantic says which kind of a union was tried, or that a key is meant: no part of a field's path.
_NO_FIELD = re.compile(r"^(<.*>|\[key\])$")

_EXTERNAL_ID = frozenset({"externalid", "external_id", "external-id"})

#: pydantic's words for a mistake -> ours, with its context filled in.
_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "too_short": "name at least {min_length}, here are {actual_length}",
        "too_long": "name at most {max_length}, here are {actual_length}",
        "string_type": "this must be text",
        "string_too_short": "this must not be empty",
        "string_too_long": "this must have at most {max_length} characters",
        "dict_type": "this must be a mapping of names to values",
        "model_type": "this must be a mapping of names to values",
        "tuple_type": "this must be a list",
        "list_type": "this must be a list",
        "bool_type": "this must be true or false",
        "bool_parsing": "this must be true or false",
        "int_type": "this must be a whole number",
        "int_parsing": "this must be a whole number",
        "string_pattern_mismatch": "this does not fit the pattern {pattern}",
        "greater_than_equal": "this must be at least {ge}",
        "less_than_equal": "this must be at most {le}",
        "literal_error": "this must be one of {expected}",
        "enum": "this must be one of {expected}",
    }
)


def read_strict(model: type[M], document: Any, *, what: str, prefix: str = "") -> M:
    """Read `document` as `model`. Raises `Refused`; `problems` holds every mistake."""
    if not isinstance(document, dict):
        raise Refused(
            f"{what} must be a JSON object",
            value=type(document).__name__,
            field=prefix,
            remedy="Write a JSON object, or a mapping in YAML",
        )
    try:
        return model.model_validate(document)
    except ValidationError as error:
        found = error.errors(include_url=False)
        raise together([_problem(model, item, prefix) for item in found if not _is_echo(item, found)]) from None


def _is_echo(item: Any, found: Sequence[Any]) -> bool:
    """Whether a list counts as too short only because what is in it cannot be read."""
    size = len(item["loc"])
    return item["type"] == "too_short" and any(
        len(one["loc"]) > size and one["loc"][:size] == item["loc"] for one in found
    )


def together(problems: Sequence[Refused]) -> Refused:
    """Return one refusal that holds them all, the first one's words in front."""
    first = problems[0]
    refused = Refused(first.reason, field=first.field, value=first.value, remedy=first.remedy)
    refused.problems = list(problems)
    return refused


def _problem(model: type[BaseModel], item: Any, prefix: str) -> Refused:
    parts = [part for part in item["loc"] if not (isinstance(part, str) and _NO_FIELD.match(part))]
    path = prefix
    for part in parts:
        path += f"[{part}]" if isinstance(part, int) else (f".{part}" if path else str(part))
    value = item.get("input")
    shown = value if isinstance(value, str | int | float | bool) else None
    if item["type"] == "extra_forbidden":
        return _unknown(model, parts, path)
    if item["type"] == "missing":
        return Refused("this field is missing", field=path, remedy="Add it")
    if item["type"] == "string_type" and shown is not None:
        # YAML reads digits as a number: account ids are the usual case.
        return Refused("this must be text", field=path, value=shown, remedy=f'Put it in quotes: "{shown}"')
    words = _WORDS.get(item["type"])
    if words is not None:
        return Refused(words.format_map(item.get("ctx", {})), field=path, value=shown, remedy="Correct the value")
    reason = re.sub(r"^Value error, ", "", item["msg"])
    return Refused(reason, field=path, value=shown, remedy="Correct the value")


def _unknown(model: type[BaseModel], parts: Sequence[str | int], path: str) -> Refused:
    if str(parts[-1]).lower() in _EXTERNAL_ID:
        return Refused(
            "an external id is never taken from here",
            field=path,
            remedy="It belongs to the account's entry in the registry, as externalId: {env: NAME} or {file: PATH}",
        )
    known = sorted({_written(owner, name) for owner in _owners(model, parts[:-1]) for name in owner.model_fields})
    return Refused("unknown field", field=path, remedy=f"Known fields here: {', '.join(known)}")


def _written(owner: type[BaseModel], name: str) -> str:
    return owner.model_fields[name].alias or to_camel(name)


def _owners(model: type[BaseModel], parts: Sequence[str | int]) -> list[type[BaseModel]]:
    """Return the models that a path into `model` may lead to."""
    owners = [model]
    for part in parts:
        if isinstance(part, int):
            continue
        found = [
            inner
            for owner in owners
            for name, field in owner.model_fields.items()
            if _written(owner, name) == part
            for inner in _models_in(field.annotation)
        ]
        owners = found or owners
    return owners


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)
