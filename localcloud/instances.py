"""Instances: what RunInstances refuses, how many it launches, and handing state changes to the lifecycle."""

from __future__ import annotations

import base64
import binascii
import re
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from localcloud import state, wire
from localcloud.call import Call, Reply
from localcloud.errors import AwsError
from localcloud.lifecycle import InstanceRef, Lifecycle
from localcloud.settings import Settings

#: EC2's limit for user data before encoding.
USER_DATA_LIMIT: Final = 16 * 1024
_INSTANCE_IDS = re.compile(rb"<instanceId>(i-[0-9a-f]+)</instanceId>")
_BY_USER: Final = ("Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown")


class Instances:
    """The EC2 side of instances (a `Plugin`)."""

    def __init__(self, settings: Settings, lifecycle: Lifecycle, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._lifecycle = lifecycle
        self._clock = clock
        self._profile_changes: dict[tuple[str, str], float] = {}

    def before(self, call: Call) -> Reply | None:
        """Refuse launches that AWS refuses and moto does not. Raises `AwsError`."""
        if call.name == "ec2:RunInstances":
            self._check_profile(call)
            _check_user_data(call)
            _take_count(call)
        return None

    def after(self, call: Call, reply: Reply) -> Reply:
        """Hand instances that changed to the lifecycle; remember when profiles changed."""
        if reply.status >= 300:  # noqa: PLR2004 - HTTP's own limit
            return reply
        if call.service == "iam":
            if call.operation in ("CreateInstanceProfile", "AddRoleToInstanceProfile"):
                name = call.parameters.get("InstanceProfileName", "")
                self._profile_changes[call.account, name] = self._clock()
        elif call.service == "ec2" and call.operation in _CHANGES:
            for found in dict.fromkeys(_INSTANCE_IDS.findall(wire.whole(reply))):
                _CHANGES[call.operation](self._lifecycle, InstanceRef(call.account, call.region, found.decode()))
        return reply

    def _check_profile(self, call: Call) -> None:
        given = call.parameters.get("IamInstanceProfile") or {}
        name, arn = given.get("Name"), given.get("Arn")
        if name is None and arn is None:
            return
        shown, field = (name, "name") if name is not None else (arn, "arn")
        profile = state.profile(call.account, name if name is not None else str(arn).rpartition("/")[2])
        known = profile is not None and (arn is None or profile.arn == arn)
        seen = self._clock() - self._profile_changes.get((call.account, profile.name if profile else ""), 0.0)
        refused = f"Value ({shown}) for parameter iamInstanceProfile.{field} is invalid."
        if not known or seen < self._settings.profile_delay.total_seconds():
            kind = "name" if field == "name" else "ARN"
            raise AwsError("InvalidParameterValue", f"{refused} Invalid IAM Instance Profile {kind}")
        if profile is not None and not profile.roles:
            raise AwsError(
                "InvalidParameterValue", f'{refused} IAM Instance Profile "{profile.arn}" has no associated IAM Roles'
            )


def _check_user_data(call: Call) -> None:
    text = call.parameters.get("UserData")
    if not text:
        return
    try:
        size = len(base64.b64decode(text, validate=False))
    except (binascii.Error, ValueError):
        raise AwsError("InvalidParameterValue", "Invalid BASE64 encoding of user data") from None
    if size > USER_DATA_LIMIT:
        raise AwsError("InvalidParameterValue", "User data is limited to 16384 bytes")


def _take_count(call: Call) -> None:
    """Make moto launch MaxCount instances: it looks at MinCount alone."""
    least, most = int(call.parameters.get("MinCount", 1)), int(call.parameters.get("MaxCount", 1))
    if not 1 <= least <= most:
        raise AwsError(
            "InvalidParameterValue", f"Value ({least}) for parameter minCount is invalid. It must not exceed maxCount."
        )
    if least == most:
        return
    form = dict(parse_qsl(call.body.decode(), keep_blank_values=True))
    form["MinCount"] = str(most)
    call.body = urlencode(form).encode()


_CHANGES: Final[dict[str, Callable[[Lifecycle, InstanceRef], Any]]] = {
    "RunInstances": Lifecycle.starting,
    "StartInstances": Lifecycle.starting,
    "TerminateInstances": lambda lifecycle, ref: lifecycle.ending(ref, _BY_USER),
    "StopInstances": lambda lifecycle, ref: lifecycle.stopping(ref, _BY_USER),
}
