"""The gate: what a call demands, whether its signer may have it, and on whose account it then acts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from localcloud.authority import Authority, Demand
from localcloud.call import Call
from localcloud.identity import Identity
from localcloud.resources import kms_demands, s3_demands, sqs_demands
from localcloud.settings import Settings

#: Services whose resources have policies of their own: asked even when identity policies are not enforced.
_SHARED: Final[dict[str, Callable[[Call], Iterator[Demand]]]] = {
    "s3": s3_demands,
    "sqs": sqs_demands,
    "kms": kms_demands,
}


def admit(call: Call, identity: Identity, authority: Authority, settings: Settings) -> None:
    """Let the call pass, its `account` set to the resource's owner. Raises `AwsError` when it may not."""
    del settings
    table = _SHARED.get(call.service)
    if table is None:
        return
    demands = list(table(call))
    authority.require(call, identity, demands)
    owner = demands[0].owner if demands else None
    if owner is not None:
        call.account = owner
