"""A repository's store in S3."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from obstore.store import S3Store

from agent.aws import Access
from agent.repository.errors import RepositoryError
from agent.repository.objects import Objects

if TYPE_CHECKING:
    from obstore.store import RetryConfig, S3Config, S3Credential

#: botocore renews credentials at least ten minutes before they end, so what it gives is good for that long.
_FRESH: Final = timedelta(minutes=10)
_CONNECT: Final = timedelta(seconds=3)
_READ: Final = timedelta(seconds=15)
#: The longest a whole pack may take: 16 MiB at 2 Mbit/s.
_WHOLE: Final = timedelta(seconds=60)
_RETRY: Final[RetryConfig] = {
    "max_retries": 8,
    "retry_timeout": timedelta(seconds=120),
    "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=10), "base": 2},
}


def parse_url(url: str) -> tuple[str, str]:
    """Return (bucket, prefix) of `s3://bucket/prefix`; the prefix may be empty. Raises `RepositoryError`."""
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc or parts.query or parts.fragment:
        raise RepositoryError(f"repository url {url!r} is not s3://bucket/prefix", "Correct the repository's url")
    return parts.netloc, parts.path.strip("/")


def open_s3(url: str, access: Access) -> Objects:
    """Return the store of `s3://bucket/prefix`. Nothing is called yet. Raises `RepositoryError` for another url.

    The payload is not hashed for the signature: TLS protects it on the way, a CRC64-NVME that S3 verifies (and demands
    where the bucket has Object Lock) to the disk, and authenticated encryption ever after.
    """
    bucket, prefix = parse_url(url)

    def credentials() -> S3Credential:
        keys = access.keys()
        return {
            "access_key_id": keys.access_key,
            "secret_access_key": keys.secret_key,
            "token": keys.token,
            "expires_at": datetime.now(UTC) + _FRESH,
        }

    # A name with a dot does not match the wildcard of S3's certificate.
    endpoint = access.endpoint("s3")
    virtual = endpoint.endswith((".amazonaws.com", ".amazonaws.com.cn")) and "." not in bucket
    config: S3Config = {
        "region": access.region,
        "unsigned_payload": True,
        "checksum_algorithm": "CRC64NVME",
        "conditional_put": "etag",
        "virtual_hosted_style_request": virtual,
        "disable_bulk_delete": True,
    }
    config["endpoint"] = endpoint.replace("://", f"://{bucket}.", 1) if virtual else endpoint
    return Objects(
        S3Store(
            bucket,
            prefix=prefix or None,
            config=config,
            client_options={
                "allow_http": endpoint.startswith("http:"),
                "connect_timeout": _CONNECT,
                "read_timeout": _READ,
                "timeout": _WHOLE,
            },
            retry_config=_RETRY,
            credential_provider=credentials,
        )
    )
