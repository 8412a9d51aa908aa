"""The gate: what a call demands, whether its signer may have it, and on whose account it then acts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Final

from localcloud.authority import Authority, Demand
from localcloud.blocks.demands import ebs_demands
from localcloud.call import Call
from localcloud.demands_ec2 import ebs_key_demands, ec2_demands
from localcloud.demands_iam import iam_demands
from localcloud.demands_other import other_demands
from localcloud.identity import Identity
from localcloud.resources import kms_demands, s3_demands, sqs_demands

#: Services with rules of their own; `sts` knows roles and decides itself.
_TABLE: Final[dict[str, Callable[[Call], Iterator[Demand]]]] = {
    "ebs": lambda call: itertools.chain(ebs_demands(call), ebs_key_demands(call)),
    "ec2": ec2_demands,
    "iam": iam_demands,
    "kms": kms_demands,
    "s3": s3_demands,
    "sqs": sqs_demands,
}


def admit(call: Call, identity: Identity, authority: Authority) -> None:
    """Let the call pass, its `account` set to the resource's owner. Raises `AwsError` when it may not."""
    if call.service == "sts":
        return
    demands = list(_TABLE.get(call.service, other_demands)(call))
    authority.require(call, identity, demands)
    owner = demands[0].owner if demands else None
    if owner is not None:
        call.account = owner
