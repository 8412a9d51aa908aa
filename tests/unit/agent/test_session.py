"""The worker's AWS identity comes from its instance alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.session import models, worker_session


def _credentials(name: str, valid: timedelta = timedelta(hours=6)) -> dict[str, str]:
    return {
        "access_key": name,
        "secret_key": "secret",
        "token": "token",
        "expiry_time": (datetime.now(UTC) + valid).isoformat(),
    }


@pytest.fixture
def other_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials everywhere else: environment, files, a profile."""
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id = AKIAFILE\naws_secret_access_key = secret\n"
        "[special]\naws_access_key_id = AKIAPROFILE\naws_secret_access_key = secret\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_PROFILE", "special")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


def test_credentials_of_environment_and_files_are_not_looked_at(other_credentials: None) -> None:
    """Only what the instance gives is used."""
    session = worker_session(lambda: _credentials("ASIAINSTANCE"))

    found = session.get_credentials().get_frozen_credentials()

    assert found.access_key == "ASIAINSTANCE"


def test_credentials_are_fetched_when_they_are_needed_and_not_before(other_credentials: None) -> None:
    """Making the session and its clients asks nobody: the role may not be there yet."""
    asked: list[str] = []

    def fetch() -> dict[str, str]:
        asked.append("credentials")
        return _credentials("ASIAINSTANCE")

    session = worker_session(fetch)
    session.create_client("sts", region_name="eu-west-1")

    assert asked == []
    session.get_credentials().get_frozen_credentials()
    session.get_credentials().get_frozen_credentials()
    assert asked == ["credentials"]


def test_credentials_are_fetched_again_before_they_expire() -> None:
    """Ten minutes before their end they are replaced."""
    names = iter(["ASIAFIRST", "ASIASECOND"])
    session = worker_session(lambda: _credentials(next(names), timedelta(minutes=5)))

    first = session.get_credentials().get_frozen_credentials().access_key
    second = session.get_credentials().get_frozen_credentials().access_key

    assert (first, second) == ("ASIAFIRST", "ASIASECOND")


def test_a_role_that_is_not_there_is_asked_for_again() -> None:
    """A fetch that fails leaves nothing behind: the next call asks anew."""
    answers: list[dict[str, str] | Exception] = [LookupError("no role yet"), _credentials("ASIAINSTANCE")]

    def fetch() -> dict[str, str]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    session = worker_session(fetch)
    with pytest.raises(LookupError):
        session.get_credentials().get_frozen_credentials()

    assert session.get_credentials().get_frozen_credentials().access_key == "ASIAINSTANCE"


def test_sessions_share_what_they_have_read_of_the_services() -> None:
    """Service descriptions are read once a process."""
    one, other = worker_session(dict), worker_session(dict)

    assert one.get_component("data_loader") is other.get_component("data_loader") is models()
