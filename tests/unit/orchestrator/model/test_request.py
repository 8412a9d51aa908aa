"""Bad input gets an error that names the field, the value and the remedy."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.errors import Refused
from orchestrator.model.options import BackupOptions, RestoreVolumeOptions
from orchestrator.model.reading import read_strict
from orchestrator.model.request import read_request

GOOD: dict[str, Any] = {
    "source": "erp",
    "id": "1",
    "operation": "ec2-backup",
    "resources": [{"account": "111122223333", "region": "eu-west-1", "id": "i-0a1b2c3d4e5f60718"}],
}
RESOURCE = GOOD["resources"][0]

BAD = [
    ({"colour": "red"}, "colour", "unknown field"),
    ({"source": ""}, "source", ""),
    ({"source": None}, "source", ""),
    ({"id": 5}, "id", ""),
    ({"id": "a\x00b"}, "id", ""),
    ({"id": "x" * 257}, "id", ""),
    ({"operation": ""}, "operation", ""),
    ({"mode": "both"}, "mode", ""),
    ({"schemaVersion": 2}, "schemaVersion", ""),
    ({"resources": []}, "", "at least one"),
    ({"resources": [RESOURCE, RESOURCE]}, "", "named twice"),
    ({"resources": [{**RESOURCE, "region": "Europe"}]}, "resources[0].region", ""),
    ({"resources": [RESOURCE, {**RESOURCE, "id": ""}]}, "resources[1].id", ""),
    ({"resources": [{**RESOURCE, "arn": "x"}]}, "resources[0].arn", "unknown field"),
    ({"resources": "all"}, "resources", ""),
    ({"select": [{"account": "a", "region": "eu-west-1", "tags": {}}]}, "select[0].tags", ""),
    ({"roles": {"operation": "backup"}}, "roles.operation", ""),
    ({"roles": {"externalId": "x"}}, "roles.externalId", "an external id is never taken"),
    ({"retry": {"attempts": 0}}, "retry.attempts", ""),
    ({"retry": {"attempts": 11}}, "retry.attempts", ""),
    ({"retry": {"delay": -1}}, "retry.delay", ""),
    ({"options": []}, "options", ""),
]


@pytest.mark.parametrize(("change", "field", "words"), BAD)
def test_a_mistake_is_named_by_its_field(change: dict[str, Any], field: str, words: str) -> None:
    """The field as its author wrote it, and what to do."""
    with pytest.raises(Refused) as caught:
        read_request({**GOOD, **change})

    assert caught.value.field == field
    assert words in caught.value.reason
    assert caught.value.remedy


@pytest.mark.parametrize("missing", ["source", "id", "operation"])
def test_a_missing_field_is_named(missing: str) -> None:
    """And called missing."""
    with pytest.raises(Refused) as caught:
        read_request({name: value for name, value in GOOD.items() if name != missing})

    assert (caught.value.field, caught.value.reason) == (missing, "this field is missing")


@pytest.mark.parametrize("document", [None, [], "text", 5, True])
def test_what_is_no_object_is_refused(document: Any) -> None:
    """Whatever a queue brings."""
    with pytest.raises(Refused, match="must be a JSON object"):
        read_request(document)


def test_all_mistakes_are_told_at_once() -> None:
    """The first one in front."""
    with pytest.raises(Refused) as caught:
        read_request({**GOOD, "source": "", "mode": "both", "colour": "red"})

    assert {one.field for one in caught.value.problems} == {"source", "mode", "colour"}


def test_the_same_meaning_has_the_same_digest_however_it_is_written() -> None:
    """Defaults written out, fields in another order."""
    spelt = {**dict(reversed(GOOD.items())), "retry": {"delay": 60, "attempts": 1}, "options": {}, "schemaVersion": 1}

    assert read_request(GOOD).digest() == read_request(spelt).digest()
    assert read_request(GOOD).digest() != read_request({**GOOD, "mode": "production"}).digest()


@pytest.mark.parametrize(
    ("model", "options", "field"),
    [
        (BackupOptions, {"excludeVolumes": ["i-1"]}, "options.excludeVolumes[0]"),
        (BackupOptions, {"volumes": []}, "options.volumes"),
        (RestoreVolumeOptions, {"type": "gp9"}, "options.type"),
        (RestoreVolumeOptions, {"kmsKey": "alias/mine"}, "options.kmsKey"),
        (RestoreVolumeOptions, {"attachTo": "vol-12345678"}, "options.attachTo"),
    ],
)
def test_options_are_as_strict_as_the_request(model: Any, options: dict[str, Any], field: str) -> None:
    """Each operation has a model of its own."""
    with pytest.raises(Refused) as caught:
        read_strict(model, options, what="options", prefix="options")

    assert caught.value.field == field
