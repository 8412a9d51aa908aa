"""Instance metadata, version 2, one address per instance.

Under `/imds/<account>/<region>/<instance id>/` an agent finds what a real worker finds under `169.254.169.254`; set
as `AWS_EC2_METADATA_SERVICE_ENDPOINT` it works with botocore's own credential chain. Credentials are real ones of
this cloud: a session of the profile's role named after the instance, so that `aws:userid` is `<role id>:<instance
id>`.
"""

from __future__ import annotations

import base64
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from localcloud import state, wire
from localcloud.call import Reply
from localcloud.identity import Identities, Session
from localcloud.lifecycle import InstanceRef
from localcloud.policy import MalformedPolicy, parse, trusts_service
from localcloud.settings import is_account

PREFIX: Final = "/imds/"
#: AWS gives instance credentials about six hours and renews them well before their end.
_LIFETIME: Final = timedelta(hours=6)
_RENEW_BEFORE: Final = timedelta(hours=1)
_LONGEST_TOKEN: Final = 21600
_ALIVE: Final = ("pending", "running")
_PARTS: Final = 4


class Metadata:
    """Serves the metadata of all instances. Thread-safe."""

    def __init__(self, identities: Identities, clock: Callable[[], float] = time.time) -> None:
        self._identities = identities
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens: dict[str, tuple[str, float]] = {}
        self._sessions: dict[tuple[str, str], Session] = {}

    def serve(self, method: str, path: str, headers: Mapping[str, str]) -> Reply:
        """Answer a request below `PREFIX`."""
        parts = path.removeprefix(PREFIX).split("/", _PARTS - 1)
        if len(parts) < _PARTS:
            return wire.text("", 404)
        account, region, instance_id, rest = parts
        instance = _alive(account, region, instance_id)
        if instance is None:
            return wire.text("", 404)
        if instance.metadata_options.http_endpoint == "disabled":
            return wire.text("", 403)
        rest = rest.strip("/")
        if rest == "latest/api/token":
            return self._token(method, instance_id, headers)
        if method != "GET":
            return wire.text("", 405)
        if not self._holds_token(instance_id, headers):
            return wire.text("", 401)
        return self._document(rest, instance)

    def running(self, ref: InstanceRef, instance: Any) -> None:
        """Nothing to do: credentials are made when they are asked for."""

    def ending(self, ref: InstanceRef) -> None:
        """Forget the instance's session; whoever copied the credentials keeps them until they expire, as on AWS."""
        with self._lock:
            self._sessions = {key: kept for key, kept in self._sessions.items() if key[0] != ref.id}

    def _token(self, method: str, instance_id: str, headers: Mapping[str, str]) -> Reply:
        if method != "PUT":
            return wire.text("", 405)
        if "x-forwarded-for" in headers:
            return wire.text("", 403)
        lifetime = headers.get("x-aws-ec2-metadata-token-ttl-seconds", "")
        if not lifetime.isdigit() or not 1 <= int(lifetime) <= _LONGEST_TOKEN:
            return wire.text("", 400)
        token = secrets.token_urlsafe(42)
        now = self._clock()
        with self._lock:
            self._tokens = {key: kept for key, kept in self._tokens.items() if kept[1] > now}
            self._tokens[token] = (instance_id, now + int(lifetime))
        reply = wire.text(token)
        reply.headers.append(("x-aws-ec2-metadata-token-ttl-seconds", lifetime))
        return reply

    def _holds_token(self, instance_id: str, headers: Mapping[str, str]) -> bool:
        kept = self._tokens.get(headers.get("x-aws-ec2-metadata-token", ""))
        return kept is not None and kept[0] == instance_id and kept[1] > self._clock()

    def _document(self, path: str, instance: Any) -> Reply:
        account, region = instance.owner_id, instance.ec2_backend.region_name
        simple = {
            "latest/meta-data/instance-id": instance.id,
            "latest/meta-data/instance-type": instance.instance_type,
            "latest/meta-data/ami-id": instance.image_id,
            "latest/meta-data/local-ipv4": instance.private_ip,
            "latest/meta-data/placement/region": region,
            "latest/meta-data/placement/availability-zone": instance.placement.zone,
        }
        if path in simple:
            return wire.text(str(simple[path] or ""))
        if path == "latest/user-data" and instance.user_data:
            return wire.text(user_data(instance))
        if path == "latest/dynamic/instance-identity/document":
            return wire.document(
                {
                    "accountId": account,
                    "architecture": instance.architecture,
                    "availabilityZone": instance.placement.zone,
                    "imageId": instance.image_id,
                    "instanceId": instance.id,
                    "instanceType": instance.instance_type,
                    "privateIp": instance.private_ip,
                    "region": region,
                    "version": "2017-09-30",
                }
            )
        if path.startswith("latest/meta-data/iam/"):
            return self._iam(path.removeprefix("latest/meta-data/iam/"), instance)
        return wire.text("", 404)

    def _iam(self, path: str, instance: Any) -> Reply:
        profile = _profile_of(instance)
        if profile is None or not profile.roles:
            return wire.text("", 404)
        role = profile.roles[0]
        if path == "info":
            return wire.document(
                {"Code": "Success", "InstanceProfileArn": profile.arn, "InstanceProfileId": profile.id}
            )
        if path == "security-credentials":
            return wire.text(role.name)
        if path != f"security-credentials/{role.name}":
            return wire.text("", 404)
        if not _trusts_ec2(role):
            return wire.document(
                {
                    "Code": "AssumeRoleUnauthorizedAccess",
                    "Message": "EC2 cannot assume the role of the instance profile.",
                }
            )
        session = self._session(role, instance)
        return wire.document(
            {
                "Code": "Success",
                "Type": "AWS-HMAC",
                "LastUpdated": _zulu(self._clock()),
                "AccessKeyId": session.access_key,
                "SecretAccessKey": session.secret,
                "Token": session.token,
                "Expiration": _zulu(session.expires),
            }
        )

    def _session(self, role: Any, instance: Any) -> Session:
        with self._lock:
            kept = self._sessions.get((instance.id, role.id))
            if kept is None or kept.expires - self._clock() < _RENEW_BEFORE.total_seconds():
                region = instance.ec2_backend.region_name
                kept = self._identities.open_session(
                    role,
                    instance.id,
                    _LIFETIME,
                    instance_arn=f"arn:aws:ec2:{region}:{instance.owner_id}:instance/{instance.id}",
                )
                self._sessions[instance.id, role.id] = kept
            return kept


def user_data(instance: Any) -> str:
    """Return an instance's user data as text (moto keeps it encoded)."""
    return base64.b64decode(str(instance.user_data)).decode("utf-8", "replace")


def _alive(account: str, region: str, instance_id: str) -> Any | None:
    if not is_account(account):
        return None
    try:
        instance = state.instance(account, region, instance_id)
    except KeyError:
        return None
    return instance if instance is not None and instance.state in _ALIVE else None


def _profile_of(instance: Any) -> Any | None:
    given = instance.iam_instance_profile
    if not given:
        return None
    arn = str(given["Arn"])
    return state.profile(arn.split(":")[4], arn.rpartition("/")[2])


def _trusts_ec2(role: Any) -> bool:
    try:
        return trusts_service(parse(role.assume_role_policy_document), "ec2.amazonaws.com")
    except MalformedPolicy:
        return False


def _zulu(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
