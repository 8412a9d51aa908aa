"""Our signatures are botocore's."""

from __future__ import annotations

from datetime import UTC, datetime

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, strategies as st

from agent.aws import FrozenKeys
from agent.aws_signing import EMPTY, UNSIGNED, Signer, encode_query

MOMENT = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
HOST = "ebs.eu-west-1.amazonaws.com"

text = st.text(st.characters(codec="utf-8"), max_size=12)


def botocores(method: str, path: str, query: str, payload: str, extra: dict[str, str], keys: FrozenKeys) -> str:
    """Return the Authorization header that botocore would send."""
    url = f"https://{HOST}{path}" + (f"?{query}" if query else "")
    request = AWSRequest(method, url, headers={**extra, "X-Amz-Content-SHA256": payload})
    signer = SigV4Auth(Credentials(keys.access_key, keys.secret_key, keys.token), "ebs", "eu-west-1")
    request.context["timestamp"] = MOMENT.strftime("%Y%m%dT%H%M%SZ")
    signer._modify_request_before_signing(request)
    request.headers["host"] = HOST
    canonical = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, canonical), request)
    signer._inject_signature_to_request(request, signature)
    return str(request.headers["Authorization"])


@given(
    st.sampled_from(["GET", "PUT", "POST"]),
    st.lists(st.tuples(st.sampled_from(["pageToken", "maxResults", "a"]), text), max_size=3, unique_by=lambda p: p[0]),
    st.sampled_from([EMPTY, UNSIGNED]),
    st.dictionaries(st.sampled_from(["x-amz-checksum", "x-amz-progress"]), st.from_regex(r"\A[A-Za-z0-9+/=]{1,40}\Z")),
    st.sampled_from([None, "session-token+/="]),
)
def test_any_call_is_signed_as_botocore_signs_it(
    method: str, query: list[tuple[str, str]], payload: str, extra: dict[str, str], token: str | None
) -> None:
    """Whatever the query, the payload's statement, further headers, with and without a session token."""
    keys = FrozenKeys(access_key="AKIDEXAMPLE", secret_key="secret+/key", token=token)
    signer = Signer(service="ebs", region="eu-west-1", host=HOST, keys=lambda: keys, clock=MOMENT.timestamp)
    path, encoded = "/snapshots/snap-0a/blocks/17", encode_query(query)

    headers = signer.headers(method, path, encoded, payload=payload, extra=extra)

    assert headers["authorization"] == botocores(method, path, encoded, payload, extra, keys)
    assert headers.get("x-amz-security-token") == token


def test_each_call_takes_the_credentials_of_the_moment() -> None:
    """Refreshed credentials are used at once, and yesterday's signing key is not."""
    now = [MOMENT.timestamp()]
    held = [FrozenKeys(access_key="FIRST", secret_key="1", token="one")]
    signer = Signer(service="ebs", region="eu-west-1", host=HOST, keys=lambda: held[0], clock=lambda: now[0])
    first = signer.headers("GET", "/", "", payload=EMPTY)

    held[0] = FrozenKeys(access_key="SECOND", secret_key="2", token="two")
    now[0] += 86_400
    second = signer.headers("GET", "/", "", payload=EMPTY)

    assert (first["x-amz-security-token"], second["x-amz-security-token"]) == ("one", "two")
    assert "Credential=FIRST/20261123/eu-west-1/ebs/aws4_request" in first["authorization"]
    assert "Credential=SECOND/20261124/eu-west-1/ebs/aws4_request" in second["authorization"]


def test_credentials_do_not_show() -> None:
    """Neither secret nor token appears when keys are printed."""
    assert "hidden" not in repr(FrozenKeys(access_key="hidden-a", secret_key="hidden-b", token="hidden-c"))
