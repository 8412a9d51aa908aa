"""Names of what a seeded cloud holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

HOME_ACCOUNT: Final = "111111111111"
REGION: Final = "eu-west-1"
REPORT_QUEUE: Final = "daywork-reports"
#: Tag of what the seed made: its value is the thing's name, unique in its account.
SEED_TAG: Final = "daywork-seed"
#: A queue policy of SQS holds 50 principals.
MOST_ACCOUNTS: Final = 49


@dataclass(frozen=True)
class Place:
    """An install in an embedded cloud: what it is called, where its control plane is at home."""

    install: str
    account: str = HOME_ACCOUNT
    region: str = REGION

    @property
    def control_bucket(self) -> str:
        """Name of the control bucket."""
        return f"daywork-control-{self.install}"

    @property
    def repository_bucket(self) -> str:
        """Name of the repository's bucket."""
        return f"daywork-repository-{self.install}"

    @property
    def archive_bucket(self) -> str:
        """Name of the bucket of the repository's archive."""
        return f"daywork-archive-{self.install}"

    @property
    def report_queue_arn(self) -> str:
        """ARN of the report queue."""
        return f"arn:aws:sqs:{self.region}:{self.account}:{REPORT_QUEUE}"


def production_accounts(count: int) -> list[tuple[str, str]]:
    """Return (id, name) of the first `count` production accounts: 222222222222 is production-a, and so on."""
    ids = [str(digit) * 12 for digit in range(2, 10)] + [f"{number:012d}" for number in range(10**11, 10**11 + count)]
    letters = [chr(ord("a") + number) for number in range(26)]
    names = letters + [f"{first}{second}" for first in letters for second in letters]
    return [(account, f"production-{name}") for account, name in zip(ids[:count], names, strict=False)]
