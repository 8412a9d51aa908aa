"""The agent's eyes on the instance metadata service: the embedded cloud's, and one that misbehaves on request."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from support.cloud import CONTROL_ACCOUNT, REGION
from support.workers import Workers, workers_on

from agent.imds import Identity, Metadata, MetadataAbsent, MetadataError, endpoint
from agent.protocol import parse_user_data

pytestmark = pytest.mark.integration

TOKEN = "/latest/api/token"
ROLE = "/latest/meta-data/iam/security-credentials/"
CREDENTIALS = {
    "Code": "Success",
    "AccessKeyId": "ASIAEXAMPLE",
    "SecretAccessKey": "secret",
    "Token": "token",
    "Expiration": "2999-01-01T00:00:00Z",
}


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    """An embedded cloud whose instances stay empty."""
    with workers_on(tmp_path_factory.mktemp("cloud"), agents=None) as made:
        yield made


@dataclass
class Service:
    """A metadata service whose answers a test writes: path -> (status, body); the token is `good`."""

    address: str
    answers: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)


@pytest.fixture
def service() -> Iterator[Service]:
    """A metadata service on loopback."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            made.asked.append((self.command, self.path, self.headers.get("X-aws-ec2-metadata-token")))
            planned = made.answers.get(self.path, [(404, "")])
            status, body = planned.pop(0) if len(planned) > 1 else planned[0]
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        do_GET = do_PUT = answer  # noqa: N815 - http.server's own names

        def log_message(self, *args: Any) -> None:
            """Stay quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made = Service(f"http://127.0.0.1:{server.server_port}/")
    made.answers[TOKEN] = [(200, "good")]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


def test_learns_everything_about_itself(workers: Workers) -> None:
    """User data with its boot document, account, Region, instance id, and the role's credentials."""
    (instance,) = workers.launch()
    metadata = Metadata(f"{workers.cloud.url}/imds/{CONTROL_ACCOUNT}/{REGION}/{instance}/")

    assert parse_user_data(metadata.user_data()) == workers.boot
    assert metadata.identity() == Identity(account=CONTROL_ACCOUNT, region=REGION, instance_id=instance)
    assert metadata.credentials()["access_key"].startswith("ASIA")


def test_takes_a_new_token_when_the_old_one_is_refused(workers: Workers) -> None:
    """A token may expire while the agent works."""
    (instance,) = workers.launch()
    metadata = Metadata(f"{workers.cloud.url}/imds/{CONTROL_ACCOUNT}/{REGION}/{instance}/")
    metadata.identity()

    metadata._token = "expired"

    assert metadata.identity().instance_id == instance


def test_an_instance_without_a_role_has_no_credentials_yet(workers: Workers) -> None:
    """404 is "absent", which the runner waits for."""
    made = workers.cloud.admin("ec2", CONTROL_ACCOUNT).run_instances(
        ImageId=workers.image, MinCount=1, MaxCount=1, InstanceType="c5.large"
    )
    instance = made["Instances"][0]["InstanceId"]
    metadata = Metadata(f"{workers.cloud.url}/imds/{CONTROL_ACCOUNT}/{REGION}/{instance}/")

    with pytest.raises(MetadataAbsent):
        metadata.credentials()
    with pytest.raises(MetadataAbsent):
        metadata.user_data()


def test_never_asks_without_a_token(service: Service) -> None:
    """Version 2 only: a service that gives no token is not asked anything else."""
    service.answers[TOKEN] = [(403, "")]
    service.answers["/latest/user-data"] = [(200, "secret")]

    with pytest.raises(MetadataError, match="answered 403 to latest/api/token"):
        Metadata(service.address).user_data()

    assert [path for _, path, _ in service.asked] == [TOKEN]


def test_sends_its_token_with_every_request(service: Service) -> None:
    """One token for all requests."""
    service.answers["/latest/user-data"] = [(200, "text")]
    metadata = Metadata(service.address)

    metadata.user_data()
    metadata.user_data()

    assert [(method, token) for method, _, token in service.asked] == [("PUT", None), ("GET", "good"), ("GET", "good")]


def test_a_short_break_of_the_service_is_waited_out(service: Service) -> None:
    """503 is tried again a few times."""
    service.answers["/latest/user-data"] = [(503, ""), (503, ""), (200, "text")]

    assert Metadata(service.address).user_data() == "text"


@pytest.mark.parametrize(
    ("document", "error", "words"),
    [
        ("not json", MetadataError, "is not JSON"),
        (json.dumps([]), MetadataError, "is not a JSON object"),
        (json.dumps({**CREDENTIALS, "Code": "AssumeRoleUnauthorizedAccess"}), MetadataAbsent, "AssumeRoleUnauthorized"),
        (json.dumps({"Code": "Success", "AccessKeyId": "ASIAEXAMPLE"}), MetadataError, "incomplete"),
        (json.dumps({**CREDENTIALS, "Expiration": "yesterday"}), MetadataError, "incomplete"),
        (json.dumps({**CREDENTIALS, "Expiration": "2020-01-01T00:00:00Z"}), MetadataError, "expired"),
    ],
)
def test_credentials_that_cannot_be_used_are_an_error_without_their_content(
    service: Service, document: str, error: type[MetadataError], words: str
) -> None:
    """The error says what is wrong and quotes nothing."""
    service.answers[ROLE] = [(200, "worker")]
    service.answers[f"{ROLE}worker"] = [(200, document)]

    with pytest.raises(error, match=words) as caught:
        Metadata(service.address).credentials()

    assert "ASIAEXAMPLE" not in str(caught.value)


def test_a_service_that_is_not_there_is_an_error_that_names_the_cause() -> None:
    """Connection refused."""
    with pytest.raises(MetadataError, match="NewConnectionError"):
        Metadata("http://127.0.0.1:9/").user_data()


@pytest.mark.parametrize(
    ("environment", "address"),
    [
        ({}, "http://169.254.169.254/"),
        ({"AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "IPv6"}, "http://[fd00:ec2::254]/"),
        ({"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:80/x"}, "http://127.0.0.1:80/x/"),
        ({"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:80/x/"}, "http://127.0.0.1:80/x/"),
    ],
)
def test_the_service_is_found_as_the_aws_sdks_find_it(environment: dict[str, str], address: str) -> None:
    """By the SDKs' own environment variables."""
    assert endpoint(environment) == address
