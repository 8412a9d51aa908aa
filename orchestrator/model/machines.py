"""What the name of an instance type tells of it. Pure, so that limits can be kept where nobody may ask AWS."""

from __future__ import annotations

import re

_MULTIPLE = re.compile(r"^(?:metal-)?(\d*)xl(?:arge)?$")
_LARGE, _XLARGE = 2, 4
#: A whole machine whose size its name does not tell.
_METAL = 128
_FAMILIES = frozenset("acdhimrtz")
#: Families that begin with one of these letters and have a quota of their own.
_OTHERS = ("dl", "hpc", "inf", "trn")


def is_standard(kind: str) -> bool:
    """Whether a type counts for the quota of the standard families."""
    return kind[:1] in _FAMILIES and not kind.startswith(_OTHERS)


def vcpus(kind: str) -> int:
    """Return how many vCPUs an instance type counts for, never too few: `c5.2xlarge` has 8.

    Sizes below `large` count as two, though some families have one there.
    """
    size = kind.partition(".")[2]
    found = _MULTIPLE.match(size)
    if found is not None:
        return _XLARGE * int(found[1] or 1)
    return _METAL if size.startswith("metal") else _LARGE
