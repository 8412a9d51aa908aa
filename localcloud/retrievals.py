"""Objects in archive storage classes: retrieved on request, readable some time later, and only for a while.

moto knows the classes and refuses to read such an object, but retrieves in no time and for ever. Here a retrieval takes
as long as the settings say for its tier, and the temporary copy runs out. `ListObjectsV2` tells of both when it is
asked to (`x-amz-optional-object-attributes: RestoreStatus`), which needs no right to read the object.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from types import MappingProxyType
from typing import Any, Final
from xml.etree import ElementTree as ET

from localcloud import state, wire
from localcloud.call import Call, Reply
from localcloud.errors import AwsError
from localcloud.moto_behaviour import replace
from localcloud.settings import Settings

ARCHIVED: Final = ("GLACIER", "DEEP_ARCHIVE")
#: How long a retrieval takes, as a multiple of the setting, which is that of a standard one. AWS's are hours: 3-5 and
#: 12 standard, 5-12 and 48 bulk.
_TIERS: Final[Mapping[str, float]] = MappingProxyType({"Expedited": 0.25, "Standard": 1.0, "Bulk": 2.0})
_FIELD: Final = "daywork_retrieval"
_XML: Final = "{http://s3.amazonaws.com/doc/2006-03-01/}"

_installed: list[bool] = []


@dataclass(frozen=True)
class Retrieval:
    """One object's: readable from `ready` until `ends`, in seconds since 1970."""

    ready: float
    ends: float

    def header(self, now: float) -> str:
        """Return what HeadObject says of it."""
        if now < self.ready:
            return 'ongoing-request="true"'
        day = format_datetime(datetime.fromtimestamp(self.ends, UTC), usegmt=True)
        return f'ongoing-request="false", expiry-date="{day}"'


def of(key: Any, now: float) -> Retrieval | None:
    """Return the retrieval of one of moto's keys that has not run out, or None."""
    found: Retrieval | None = getattr(key, _FIELD, None)
    return found if found is not None and now < found.ends else None


def install(clock: Callable[[], float] = time.time) -> None:
    """Let moto's keys say of their retrieval what is kept here, once per process."""
    if _installed:
        return
    _installed.append(True)
    from moto.s3.models import FakeKey

    ET.register_namespace("", _XML.strip("{}"))
    said = FakeKey.__dict__["response_dict"].fget

    def response_dict(self: Any) -> dict[str, Any]:
        headers: dict[str, Any] = said(self)
        now = clock()
        if (found := of(self, now)) is not None:
            headers["x-amz-restore"] = found.header(now)
        return headers

    replace(FakeKey, "response_dict", property(response_dict))


class Retrievals:
    """S3's part in it (a `Plugin`)."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        """Take how long a retrieval takes and a day of availability lasts."""
        self._settings = settings
        self._clock = clock

    def before(self, call: Call) -> Reply | None:
        """Answer RestoreObject. Raises `AwsError`."""
        if call.name != "s3:RestoreObject":
            return None
        bucket = state.bucket(str(call.parameters["Bucket"]))
        key = None if bucket is None else bucket.keys.get(str(call.parameters["Key"]))
        if key is None:
            raise AwsError("NoSuchKey", "The specified key does not exist.")
        if key.storage_class not in ARCHIVED:
            raise AwsError("InvalidObjectState", "Restore is not allowed for the object's current storage class", 403)
        days, tier = _wanted(call.body)
        if tier == "Expedited" and key.storage_class == "DEEP_ARCHIVE":
            raise AwsError("InvalidArgument", "Retrieval option is not supported by this storage class")
        now = self._clock()
        known = of(key, now)
        if known is not None and now < known.ready:
            raise AwsError("RestoreAlreadyInProgress", "Object restore is already in progress", 409)
        ready = known.ready if known is not None else now + self._settings.retrieval.total_seconds() * _TIERS[tier]
        kept = days * self._settings.retrieval_day.total_seconds()
        setattr(key, _FIELD, Retrieval(ready, max(ready, now) + kept))
        return Reply(status=202 if known is None else 200, headers=[("Content-Type", "application/xml")], body=b"")

    def after(self, call: Call, reply: Reply) -> Reply:
        """Add what a listing was asked to tell of retrievals."""
        wanted = call.headers.get("x-amz-optional-object-attributes", "")
        if call.name != "s3:ListObjectsV2" or "RestoreStatus" not in wanted or reply.status != 200:  # noqa: PLR2004 - success
            return reply
        bucket = state.bucket(str(call.parameters["Bucket"]))
        if bucket is None:
            return reply
        now = self._clock()
        listing = ET.fromstring(wire.whole(reply))  # noqa: S314 - moto wrote it
        space = _XML if listing.tag.startswith("{") else ""
        for entry in listing.iter(f"{space}Contents"):
            found = of(bucket.keys.get(entry.findtext(f"{space}Key")), now)
            if found is not None:
                told = ET.SubElement(entry, f"{space}RestoreStatus")
                ET.SubElement(told, f"{space}IsRestoreInProgress").text = "true" if now < found.ready else "false"
                if now >= found.ready:
                    ends = datetime.fromtimestamp(found.ends, UTC).isoformat(timespec="milliseconds")
                    ET.SubElement(told, f"{space}RestoreExpiryDate").text = ends.replace("+00:00", "Z")
        return Reply(
            status=reply.status,
            headers=reply.headers,
            body=ET.tostring(listing, xml_declaration=True, encoding="utf-8"),
        )


def _wanted(body: bytes) -> tuple[int, str]:
    """Return days and tier of a request. Raises `AwsError`."""
    try:
        request = ET.fromstring(body)  # noqa: S314 - a signed request to this machine alone
        values = {one.tag.rpartition("}")[2]: (one.text or "").strip() for one in request.iter()}
        days, tier = int(values["Days"]), values.get("Tier") or "Standard"
    except (ET.ParseError, KeyError, ValueError):
        raise AwsError("MalformedXML", "The XML you provided was not well-formed") from None
    if days < 1 or tier not in _TIERS:
        raise AwsError("MalformedXML", "The XML you provided did not validate against our published schema")
    return days, tier
