"""What is changed inside moto so that thousands of instances stay usable.

Measured on moto 5.2.5: reading one resource's tags scans all tags, finding an instance scans all reservations. Both
become look-ups. Behaviour stays the same; the replacements hold no state of a cloud except an index in the backend
itself.
"""

from __future__ import annotations

import copy
from typing import Any

from localcloud.moto_behaviour import replace

_installed: list[bool] = []


def install() -> None:
    """Change moto, once per process; later calls do nothing."""
    if _installed:
        return
    _installed.append(True)
    _tags_by_resource()
    _instances_by_id()
    _attribute_names_once()


def _tags_by_resource() -> None:
    from moto.ec2.models.core import TaggedEC2Resource
    from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE, get_prefix

    def get_tags(self: Any) -> list[dict[str, str]]:
        tags = self.ec2_backend.tags.get(self.id) if self.id else None
        if not tags:
            return []
        kind = EC2_PREFIX_TO_RESOURCE.get(get_prefix(self.id), "")
        return [
            {"resource_id": self.id, "key": key, "value": value, "resource_type": kind}
            for key, value in list(tags.items())
        ]

    replace(TaggedEC2Resource, "get_tags", get_tags)


def _find(backend: Any, instance_id: str) -> tuple[Any, Any] | None:
    """Return (instance, reservation), through an index that is filled from the newest reservations backwards."""
    index: dict[str, tuple[Any, Any]] = backend.__dict__.setdefault("_daywork_instances", {})
    found = index.get(instance_id)
    if found is None:
        for reservation in reversed(list(backend.reservations.values())):
            for instance in list(reservation.instances):
                index.setdefault(instance.id, (instance, reservation))
            if instance_id in index:
                break
        found = index.get(instance_id)
    if found is None or found[1].id not in backend.reservations or found[0] not in found[1].instances:
        index.pop(instance_id, None)
        return None
    return found


def _instances_by_id() -> None:
    from moto.ec2.exceptions import InvalidInstanceIdError
    from moto.ec2.models.instances import InstanceBackend
    from moto.ec2.utils import filter_reservations

    def get_instance(self: Any, instance_id: str) -> Any:
        found = _find(self, instance_id)
        if found is None:
            raise InvalidInstanceIdError(instance_id)
        return found[0]

    def get_instance_by_id(self: Any, instance_id: str) -> Any:
        found = _find(self, instance_id)
        return None if found is None else found[0]

    def get_multi_instances_by_id(self: Any, instance_ids: list[str], filters: Any = None) -> list[Any]:
        found = {instance_id: _find(self, instance_id) for instance_id in dict.fromkeys(instance_ids)}
        if missing := [instance_id for instance_id, hit in found.items() if hit is None]:
            raise InvalidInstanceIdError(missing)
        return [hit[0] for hit in found.values() if hit is not None and hit[0].applies(filters)]

    def get_reservations_by_instance_ids(self: Any, instance_ids: list[str], filters: Any = None) -> list[Any]:
        chosen: dict[str, Any] = {}
        for instance_id in dict.fromkeys(instance_ids):
            found = _find(self, instance_id)
            if found is None:
                raise InvalidInstanceIdError(instance_id)
            instance, reservation = found
            if reservation.id not in chosen:
                chosen[reservation.id] = copy.copy(reservation)
                chosen[reservation.id].instances = []
            chosen[reservation.id].instances.append(instance)
        reservations = list(chosen.values())
        return reservations if filters is None else list(filter_reservations(reservations, filters))

    replace(InstanceBackend, "get_instance", get_instance)
    replace(InstanceBackend, "get_instance_by_id", get_instance_by_id)
    replace(InstanceBackend, "get_multi_instances_by_id", get_multi_instances_by_id)
    replace(InstanceBackend, "get_reservations_by_instance_ids", get_reservations_by_instance_ids)


def _attribute_names_once() -> None:
    from moto.core.constants import MISSING
    from moto.core.serialize import AttributePicker
    from moto.core.utils import get_value

    names: dict[tuple[Any, ...], tuple[list[str], Any]] = {}

    def pick(self: Any, context: Any) -> Any:
        # The shape is part of the value, so that its id cannot be given to another shape meanwhile.
        key = (type(self), type(context.obj), id(context.shape), context.key)
        kept = names.get(key)
        if kept is None:
            kept = names[key] = (list(self.get_possible_keys(context)), context.shape)
        value = None
        for name in kept[0]:
            found = get_value(context.obj, name, MISSING)
            if found is not MISSING:
                value = found
                break
        if self.response_transformers:
            path = f"{context.key_path}.{context.key}"
            for suffix, transform in self.response_transformers.items():
                if path.endswith(suffix):
                    return transform(value)
        return value

    replace(AttributePicker, "__call__", pick)
