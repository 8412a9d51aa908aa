"""What an embedded cloud is filled with: accounts, roles, networks, a repository, and instances with real disks.

`foundation` makes what the control plane itself needs, `seed` the accounts that it works for. Both make only what is
missing, so both may be called again. Everything goes over HTTP as against AWS, as the administrator of each account;
only the bytes of volumes come in by a page of the embedded cloud's own.

Roles get exactly the documents of `orchestrator.policies`, the ones a real account gets.
"""

from localcloud.seed.address import CloudAddress
from localcloud.seed.foundation import Foundation, foundation
from localcloud.seed.world import Seeded, seed

__all__ = ["CloudAddress", "Foundation", "Seeded", "foundation", "seed"]
