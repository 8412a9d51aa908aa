"""Looking into restore points from this machine, with the agent's own reader of repositories and file systems."""

from __future__ import annotations

from collections.abc import Sequence

from botocore.exceptions import BotoCoreError, ClientError

from agent.files.errors import FilesError
from agent.files.images import volumes_of_point
from agent.files.opening import Found, open_all
from agent.repository import repository as format_1
from agent.repository.errors import Missing, RepositoryError
from agent.repository.kms import Kms
from agent.repository.layout import Chain
from agent.repository.s3 import open_s3
from console.opener import opener_access
from orchestrator.aws.credentials import Identities
from orchestrator.errors import Permanent
from orchestrator.ledger.points import RestorePoint
from orchestrator.model.account import Repository


def open_image(
    identities: Identities, repository: Repository, point: RestorePoint, volumes: Sequence[str] = ()
) -> list[Found]:
    """Open the file systems of a restore point through the repository's opener role.

    Raises `Refused` when there is no such role, `CloudError` when it or the repository cannot be used, `FilesError`
    for a volume that is not in the point, `RepositoryError` for one that cannot be read.
    """
    access = opener_access(
        identities,
        repository,
        "or take files out by a session: daywork session start --operation ec2-restore-files",
    )
    try:
        kms = Kms(access, repository.key.kms)
        opened = format_1.open_repository(open_s3(repository.url, access), kms)
        chain = Chain(account=point.account, region=point.region, resource=point.resource_id)
        try:
            head = opened.point(chain, point.id)
        except Missing:
            if repository.archive is None:
                raise
            # What is only archived can be looked into as long as it is retrieved.
            opened = format_1.open_repository(open_s3(repository.archive.url, access), kms)
            head = opened.point(chain, point.id)
        return open_all(volumes_of_point(opened, chain, head, volumes))
    except (BotoCoreError, ClientError) as error:
        raise Permanent(f"repository {repository.name}: {type(error).__name__}") from None


#: What looking into an image may raise beside errors of AWS and the ledger.
TROUBLES = (FilesError, RepositoryError)
