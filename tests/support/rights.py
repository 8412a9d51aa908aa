"""Facts of an installation that exists on paper alone."""

from __future__ import annotations

from typing import Any, Final

from orchestrator.rights.facts import Facts, Kept, role_arn

HOME: Final = "111111111111"
PRODUCTION: Final = "222222222222"
REGION: Final = "eu-west-1"


def facts(account: str = PRODUCTION, **changes: Any) -> Facts:
    """Return the facts of an account: the backup account, or the only production account."""
    is_home = account == HOME
    kept = Kept(
        account=HOME,
        bucket="repository",
        prefix="main/",
        key=f"arn:aws:kms:{REGION}:{HOME}:key/fedcba98-7654-3210-fedc-ba9876543210",
        role=role_arn(HOME, "DayworkRepository"),
        archive_url="s3://vault/main/",
    )
    values: dict[str, Any] = {
        "install": "blue",
        "home": HOME,
        "account": account,
        "control_plane": f"arn:aws:iam::{HOME}:user/daywork-control-plane",
        "control_bucket": "control",
        "report_queue": f"arn:aws:sqs:{REGION}:{HOME}:daywork-reports",
        "repository": kept,
        "external_id": None if is_home else "ID",
        "boundary": None,
        "roles": {
            "repository": kept.role,
            "repositoryReader": f"{kept.role}Reader",
            "repositoryOpener": f"{kept.role}Opener",
        }
        if is_home
        else {},
        "workers": ((PRODUCTION, role_arn(PRODUCTION, "DayworkWorker")),),
        "assumed": (role_arn(HOME, "DayworkWorkerDeployment"), role_arn(PRODUCTION, "DayworkBackup")),
        "reached": (role_arn(PRODUCTION, "DayworkData"),),
    }
    return Facts(**(values | changes))
