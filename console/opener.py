"""Taking a repository's opener role: that of whoever runs the command line, and of nobody else."""

from __future__ import annotations

import os

from agent.aws import Access
from orchestrator.aws.credentials import Identities
from orchestrator.aws.errors import translated
from orchestrator.errors import Refused
from orchestrator.model.account import Repository


def opener_access(identities: Identities, repository: Repository, otherwise: str = "") -> Access:
    """Return what reaches a repository's content. `otherwise` is what else can be done when it has no such role.

    Raises `Refused` when there is no such role, `CloudError` when it cannot be taken.
    """
    if repository.opener is None:
        remedy = "Make it (daywork role document --purpose repository-opener) and add it to the registry"
        raise Refused(
            f"repository {repository.name} has no role that opens what is in it",
            field="repositories.opener",
            remedy=f"{remedy}, {otherwise}" if otherwise else remedy,
        )
    with translated(f"take the opener role of repository {repository.name}"):
        access = Access(
            session=identities.session(repository.opener),
            region=repository.region,
            endpoint_url=os.environ.get("AWS_ENDPOINT_URL") or None,
        )
        access.keys()
    return access
