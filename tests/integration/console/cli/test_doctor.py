"""What the doctor says of a broker, a cloud and a ledger that are there, and of ones that are not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from support.desk import Desk
from support.ledgers import Databases
from support.seeded import World, seeded_world
from support.servers import free_port, valkey


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A seeded embedded cloud, its control plane's keys in the environment."""
    with seeded_world(tmp_path_factory.mktemp("world"), accounts=1) as made:
        yield made


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker as it should be."""
    with valkey(tmp_path_factory.mktemp("broker")) as (url, _):
        yield url


@pytest.fixture
def desk(
    all_databases: Databases,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    world: World,
    broker: str,
) -> Iterator[Desk]:
    """A whole installation, except for Celery workers."""
    with all_databases.migrated("sqlite") as url:
        settings = {
            "DATABASE_URL": url,
            "BROKER_URL": broker,
            "INSTALL_ID": world.install.id,
            "CONTROL_BUCKET": world.install.control_bucket,
            "REPORT_QUEUE": world.install.report_queue,
            "HOME_ACCOUNT": world.install.home_account,
        }
        for name, value in settings.items():
            monkeypatch.setenv(f"DAYWORK_{name}", value)
        made = Desk(url=url, capsys=capsys)
        made.register(world.seeded.registry)
        yield made
        made.ledger.close()


def findings(desk: Desk, *flags: str) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    """Return the exit code and what was found, by state."""
    said = desk.say("doctor", "--output", "json", *flags)
    found: dict[str, list[dict[str, Any]]] = {}
    for one in said.document()["findings"]:
        found.setdefault(one["state"], []).append(one)
    return said.code, found


def test_a_well_installation_is_said_to_be_well(desk: Desk) -> None:
    """Every part, and what losing the key would cost; only the Celery workers are missing here."""
    code, found = findings(desk)

    assert code == 0
    assert set(found) == {"ok", "note", "warning"}
    assert {one["part"] for one in found["ok"]} == {"settings", "ledger", "registry", "broker", "aws", "roles"}
    assert any("KMS key" in one["text"] for one in found["note"])
    assert [one["part"] for one in found["warning"]] == ["celery"]


def test_nothing_secret_is_said(desk: Desk, world: World) -> None:
    """Neither a key nor an external id, whatever state things are in."""
    said = desk.say("doctor")

    for secret in [*world.external_ids.values(), world.foundation.secret_key]:
        assert secret not in said.out + said.err


def test_a_role_that_does_not_trust_us_is_named_with_its_remedy(desk: Desk, world: World) -> None:
    """The account, the role's purpose, and what to repair; exit code 8."""
    account = "222222222222"
    name = world.role(account, "backup").rpartition("/")[2]
    iam = world.cloud.admin("iam", account)
    before = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
    nobody = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
    }
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(nobody))

    try:
        code, found = findings(desk)
    finally:
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(before))

    assert code == 8
    (problem,) = found["failed"]
    assert problem["part"] == "roles"
    assert "the backup role of production-a cannot be assumed" in problem["text"]
    assert problem["remedy"]


def missing_bucket(patch: pytest.MonkeyPatch) -> None:
    """Name a bucket that is not there."""
    patch.setenv("DAYWORK_CONTROL_BUCKET", "no-such-bucket-of-ours")


def missing_queue(patch: pytest.MonkeyPatch) -> None:
    """Name a queue that is not there."""
    patch.setenv("DAYWORK_REPORT_QUEUE", "https://sqs.eu-west-1.amazonaws.com/111111111111/elsewhere")


def other_account(patch: pytest.MonkeyPatch) -> None:
    """Say that the control plane lives elsewhere."""
    patch.setenv("DAYWORK_HOME_ACCOUNT", "999999999999")


def no_keys(patch: pytest.MonkeyPatch) -> None:
    """Use a key that nobody made."""
    patch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (missing_bucket, "no-such-bucket-of-ours"),
        (missing_queue, "report queue cannot be used"),
        (other_account, "999999999999"),
        (no_keys, "no usable identity"),
    ],
)
def test_what_is_wrong_in_aws_ends_with_8(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, harm: Callable[[pytest.MonkeyPatch], None], words: str
) -> None:
    """And is said with a remedy."""
    harm(monkeypatch)

    code, found = findings(desk)

    assert code == 8
    assert any(words in one["text"] and one["remedy"] for one in found["failed"])


def test_a_broker_that_throws_messages_away_is_a_failure(desk: Desk, broker: str) -> None:
    """An evicting policy loses work without a word; exit code 9."""
    with redis.Redis.from_url(broker) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("appendonly", "no")
        try:
            code, found = findings(desk, "--offline")
        finally:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("appendonly", "yes")

    assert code == 9
    assert ["noeviction" in one["remedy"] for one in found["failed"]] == [True]
    assert any("appendonly" in one["remedy"] for one in found["warning"])


def test_a_broker_that_is_away_is_a_failure_and_celery_is_skipped(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 9; the password is not shown."""
    monkeypatch.setenv("DAYWORK_BROKER_URL", f"redis://:canary-password@127.0.0.1:{free_port()}/0")

    said = desk.say("doctor", "--offline")

    assert said.code == 9
    assert "the broker does not answer" in said.out
    assert "canary-password" not in said.out


def test_a_ledger_that_is_not_there_or_too_old_is_a_failure(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, all_databases: Databases, tmp_path: Path
) -> None:
    """Exit code 9, and what is needed."""
    monkeypatch.setenv("DAYWORK_DATABASE_URL", f"sqlite:///{tmp_path}/none.sqlite3")
    missing = desk.say("doctor", "--offline")
    with all_databases.empty("sqlite") as url:
        Path(url.removeprefix("sqlite:///")).touch()
        monkeypatch.setenv("DAYWORK_DATABASE_URL", url)
        bare = desk.say("doctor", "--offline")

    assert (missing.code, bare.code) == (9, 9)
    assert "there is no ledger here" in missing.out
    assert "has no schema" in bare.out
    assert list(tmp_path.iterdir()) == []
