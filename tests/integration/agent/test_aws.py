"""Assumed roles: taken when first needed, once for all threads, again before they end, and never shown."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import pytest
from botocore.exceptions import ClientError
from botocore.session import Session
from support.scripted_http import Asked, Said, ScriptedServer, scripted_server

from agent.aws import Access, reach
from agent.repository.kms import Kms

ROLE = "arn:aws:iam::222222222222:role/data"


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A server that plays STS."""
    with scripted_server() as made:
        yield made


def own_session() -> Session:
    """Return a worker's own session."""
    session = Session()
    session.set_credentials("AKIDWORKER", "canary-own-secret")
    return session


def assumed(server: ScriptedServer, *spans: timedelta) -> None:
    """Have STS give credentials that live for these times, one after the other."""
    left = list(enumerate(spans))

    def script(_asked: Asked) -> Said:
        number, span = left.pop(0) if len(left) > 1 else left[0]
        until = (datetime.now(UTC) + span).strftime("%Y-%m-%dT%H:%M:%SZ")
        body = f"""<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
            <AccessKeyId>ASIA{number}</AccessKeyId><SecretAccessKey>canary-secret-{number}</SecretAccessKey>
            <SessionToken>canary-token-{number}</SessionToken><Expiration>{until}</Expiration>
            </Credentials></AssumeRoleResult></AssumeRoleResponse>"""
        return Said(body=body.encode(), headers={"Content-Type": "text/xml"})

    server.script = script


def data_role(server: ScriptedServer) -> Access:
    """Return access through the data role."""
    return reach(own_session(), region="eu-west-1", role_arn=ROLE, session_name="i-0worker", endpoint_url=server.url)


def test_without_a_role_the_workers_own_identity_is_used(server: ScriptedServer) -> None:
    """Nothing is assumed in production mode."""
    access = reach(own_session(), region="eu-west-1", role_arn=None, session_name="i-0", endpoint_url=server.url)

    assert access.keys().access_key == "AKIDWORKER"
    assert server.asked == []


def test_a_role_is_taken_when_first_needed_for_an_hour_under_the_workers_name(server: ScriptedServer) -> None:
    """The chain's limit is an hour; every call in the other account's trail names the worker."""
    assumed(server, timedelta(hours=1))
    access = data_role(server)
    before = len(server.asked)

    keys = access.keys()

    sent = {name: values[0] for name, values in parse_qs(server.asked[0].body.decode()).items()}
    assert before == 0
    assert (keys.access_key, keys.secret_key, keys.token) == ("ASIA0", "canary-secret-0", "canary-token-0")
    assert (sent["RoleArn"], sent["RoleSessionName"], sent["DurationSeconds"]) == (ROLE, "i-0worker", "3600")


def test_many_threads_take_the_role_once(server: ScriptedServer) -> None:
    """Thirty-two readers that begin together are one call to STS."""
    assumed(server, timedelta(hours=1))
    access = data_role(server)

    with ThreadPoolExecutor(32) as pool:
        keys = set(pool.map(lambda _: access.keys().access_key, range(200)))

    assert keys == {"ASIA0"}
    assert len(server.asked) == 1


def test_credentials_are_taken_anew_before_they_end(server: ScriptedServer) -> None:
    """Those with less than ten minutes left are not used any more."""
    assumed(server, timedelta(minutes=5), timedelta(hours=1))
    access = data_role(server)

    keys = [access.keys().access_key for _ in range(4)]

    assert keys == ["ASIA0", "ASIA1", "ASIA1", "ASIA1"]


def test_a_role_that_cannot_be_taken_says_so(server: ScriptedServer) -> None:
    """With the code that STS gave."""
    body = b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>not you</Message></Error></ErrorResponse>"
    server.script = lambda _asked: Said(403, body)

    with pytest.raises(ClientError, match="AccessDenied"):
        data_role(server).keys()


def test_nothing_secret_shows_when_access_is_printed(server: ScriptedServer) -> None:
    """Neither the worker's own keys nor the role's."""
    assumed(server, timedelta(hours=1))
    access = data_role(server)

    assert "canary" not in f"{access!r} {access.keys()!r}"


@pytest.mark.parametrize(
    ("region", "service", "address"),
    [
        ("eu-west-1", "ebs", "https://ebs.eu-west-1.amazonaws.com"),
        ("us-east-1", "s3", "https://s3.us-east-1.amazonaws.com"),
        ("us-gov-west-1", "ebs", "https://ebs.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", "ebs", "https://ebs.cn-north-1.amazonaws.com.cn"),
        ("us-iso-east-1", "s3", "https://s3.us-iso-east-1.c2s.ic.gov"),
    ],
)
def test_services_are_found_in_every_partition(region: str, service: str, address: str) -> None:
    """Unless an endpoint is given."""
    assert Access(session=own_session(), region=region).endpoint(service) == address


def test_a_given_endpoint_wins_over_the_environment_and_that_over_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Private endpoints can be named one service at a time."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_EBS", "https://private.example/")

    assert Access(session=own_session(), region="eu-west-1").endpoint("ebs") == "https://private.example"
    given = Access(session=own_session(), region="eu-west-1", endpoint_url="http://127.0.0.1:1/")
    assert given.endpoint("ebs") == "http://127.0.0.1:1"


def test_kms_is_asked_in_the_region_of_the_key(server: ScriptedServer) -> None:
    """Which may be another one than the repository's."""
    server.script = lambda _asked: Said(body=b'{"Plaintext": "AAAA", "CiphertextBlob": "BBBB"}')
    access = reach(own_session(), region="eu-west-1", role_arn=None, session_name="i-0", endpoint_url=server.url)

    Kms(access, "arn:aws:kms:us-east-2:111111111111:key/k").generate({"daywork:repository": "r"})

    assert "/us-east-2/kms/aws4_request" in server.asked[0].headers["authorization"]
