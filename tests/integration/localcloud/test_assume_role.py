"""Taking roles: trust and external id, durations, chains, session policies, expiry."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.cloud import EVERYTHING, Keys, LocalCloud, code


def trust(principal: Any, external_id: str | None = None, action: Any = "sts:AssumeRole") -> dict[str, Any]:
    """Return a trust policy."""
    statement: dict[str, Any] = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": action}
    if external_id is not None:
        statement["Condition"] = {"StringEquals": {"sts:ExternalId": external_id}}
    return {"Version": "2012-10-17", "Statement": [statement]}


def allow(*actions: str, resource: str = "*") -> dict[str, Any]:
    """Return an identity policy."""
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": resource}]}


def caller(cloud: LocalCloud, *, may: bool = True) -> tuple[str, str, Keys]:
    """Make a user in an account of its own that may assume any role, or none; return account, ARN and keys."""
    account = cloud.account()
    keys = cloud.user(account, "caller", allow("sts:AssumeRole", "sts:TagSession") if may else allow("s3:ListBucket"))
    return account, f"arn:aws:iam::{account}:user/caller", keys


def test_a_session_acts_in_the_roles_account_under_its_name(cloud: LocalCloud) -> None:
    """The caller of a role is the role's session: account, ARN and user id say so."""
    _, arn, keys = caller(cloud)
    target = cloud.account()
    role = cloud.role(target, "reader", trust=trust(arn), policy=allow("iam:GetRole"))

    session = cloud.assume(keys, role, "night-1")

    identity = cloud.client("sts", session).get_caller_identity()
    role_id = cloud.client("iam", session).get_role(RoleName="reader")["Role"]["RoleId"]
    assert identity["Account"] == target
    assert identity["Arn"] == f"arn:aws:sts::{target}:assumed-role/reader/night-1"
    assert identity["UserId"] == f"{role_id}:night-1"


@pytest.mark.parametrize(
    ("given", "allowed"),
    [
        ({}, False),
        ({"ExternalId": "wrong"}, False),
        ({"ExternalId": "RIGHT-1"}, False),
        ({"ExternalId": "right-1"}, True),
    ],
    ids=["none", "wrong", "other case", "right"],
)
def test_the_external_id_must_be_the_one_that_the_trust_policy_names(
    cloud: LocalCloud,
    given: dict[str, str],
    allowed: bool,  # noqa: FBT001 - a table column
) -> None:
    """None, a wrong one and one in other letters are refused alike."""
    _, arn, keys = caller(cloud)
    role = cloud.role(cloud.account(), "guarded", trust=trust(arn, "right-1"))

    if allowed:
        assert cloud.assume(keys, role, **given).token
    else:
        assert code(lambda: cloud.assume(keys, role, **given)) == "AccessDenied"


def test_a_refusal_does_not_tell_the_external_id(cloud: LocalCloud) -> None:
    """Neither the error nor the call log repeats what was given or what was expected."""
    _, arn, keys = caller(cloud)
    role = cloud.role(cloud.account(), "guarded", trust=trust(arn, "expected-secret"))

    with pytest.raises(cloud.client("sts", keys).exceptions.ClientError) as caught:
        cloud.assume(keys, role, ExternalId="given-secret")

    logged = json.dumps(cloud.sim("GET", "calls")[1])
    for secret in ("expected-secret", "given-secret"):
        assert secret not in str(caught.value)
        assert secret not in logged


@pytest.mark.parametrize("principal", ["account", "root", "user", "list"])
def test_a_trust_policy_names_accounts_or_users(cloud: LocalCloud, principal: str) -> None:
    """Account, root, user and lists of them are the same to a caller whose own policies allow it."""
    account, arn, keys = caller(cloud)
    named = {
        "account": account,
        "root": f"arn:aws:iam::{account}:root",
        "user": arn,
        "list": [f"arn:aws:iam::{cloud.account()}:root", arn],
    }

    role = cloud.role(cloud.account(), "open", trust=trust(named[principal]))

    assert cloud.assume(keys, role).token


def test_both_accounts_must_agree_across_accounts(cloud: LocalCloud) -> None:
    """Trust without the caller's own right, and right without trust, are refused."""
    account, arn, unable = caller(cloud, may=False)
    _, _, stranger = caller(cloud)
    role = cloud.role(cloud.account(), "guarded", trust=trust(arn))
    through_account = cloud.role(cloud.account(), "guarded", trust=trust(account))

    assert code(lambda: cloud.assume(unable, role)) == "AccessDenied"
    assert code(lambda: cloud.assume(unable, through_account)) == "AccessDenied"
    assert code(lambda: cloud.assume(stranger, role)) == "AccessDenied"


def test_at_home_trust_in_the_user_suffices_and_trust_in_the_account_does_not(cloud: LocalCloud) -> None:
    """In its own account a user that the trust policy names needs nothing more."""
    account, arn, keys = caller(cloud, may=False)
    named = cloud.role(account, "named", trust=trust(arn))
    delegated = cloud.role(account, "delegated", trust=trust(account))

    assert cloud.assume(keys, named).token
    assert code(lambda: cloud.assume(keys, delegated)) == "AccessDenied"


def test_a_role_that_does_not_exist_is_refused_like_any_other(cloud: LocalCloud) -> None:
    """Nobody learns which roles an account has."""
    _, arn, keys = caller(cloud)
    account = cloud.account()
    cloud.role(account, "pathed", trust=trust(arn), Path="/a/")

    for missing in (f"arn:aws:iam::{account}:role/none", f"arn:aws:iam::{account}:role/pathed"):
        assert code(lambda missing=missing: cloud.assume(keys, missing)) == "AccessDenied"
    assert cloud.assume(keys, f"arn:aws:iam::{account}:role/a/pathed").token


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"DurationSeconds": 899}, "ValidationError"),
        ({"DurationSeconds": 43201}, "ValidationError"),
        ({"DurationSeconds": 7201}, "ValidationError"),
        ({"DurationSeconds": 7200}, None),
        ({"DurationSeconds": 900}, None),
        ({"name": "has spaces"}, "ValidationError"),
        ({"name": "x" * 65}, "ValidationError"),
        ({"ExternalId": "x"}, "ValidationError"),
        ({"ExternalId": "has spaces"}, "ValidationError"),
        ({"Policy": "{"}, "MalformedPolicyDocument"),
        ({"Policy": json.dumps({"Statement": [{"Effect": "Allow"}]})}, "MalformedPolicyDocument"),
        ({"Policy": json.dumps(allow("s3:GetObject", resource="arn:aws:s3:::" + "b" * 2048))}, "PackedPolicyTooLarge"),
    ],
)
def test_a_request_has_limits(cloud: LocalCloud, options: dict[str, Any], said: str | None) -> None:
    """Durations, names, external ids and session policies are checked as AWS checks them."""
    _, arn, keys = caller(cloud)
    role = cloud.role(cloud.account(), "limited", trust=trust(arn), MaxSessionDuration=7200)
    # botocore would check some of it before AWS could.
    cloud_keys = {"parameter_validation": False}
    sts = cloud.client("sts", keys, **cloud_keys)
    request = {"RoleArn": role, "RoleSessionName": options.pop("name", "test"), **options}

    if said is None:
        expires = sts.assume_role(**request)["Credentials"]["Expiration"]
        left = (expires - datetime.now(UTC)).total_seconds()
        assert options["DurationSeconds"] - 60 < left <= options["DurationSeconds"]
    else:
        assert code(lambda: sts.assume_role(**request)) == said


def test_a_chained_session_lasts_an_hour_at_most(cloud: LocalCloud) -> None:
    """A session that takes another role cannot ask for more, whatever that role allows."""
    account, arn, keys = caller(cloud)
    first = cloud.role(account, "first", trust=trust(arn), policy=allow("sts:AssumeRole"), MaxSessionDuration=43200)
    second = cloud.role(cloud.account(), "second", trust=trust(first), MaxSessionDuration=43200)
    session = cloud.assume(keys, first, DurationSeconds=43200)

    assert cloud.assume(session, second, DurationSeconds=3600).token
    assert code(lambda: cloud.assume(session, second, DurationSeconds=3601)) == "ValidationError"


def test_a_session_policy_can_only_take_away(cloud: LocalCloud) -> None:
    """What either the role or the session policy does not allow is refused."""
    _, arn, keys = caller(cloud)
    role = cloud.role(cloud.account(), "wide", trust=trust(arn), policy=allow("iam:ListRoles", "iam:ListUsers"))
    narrow = json.dumps(allow("iam:ListRoles", "ec2:*"))

    whole, limited = cloud.assume(keys, role), cloud.assume(keys, role, Policy=narrow)

    assert cloud.client("iam", whole).list_users()["Users"]
    assert cloud.client("iam", limited).list_roles()["Roles"]
    assert code(lambda: cloud.client("iam", limited).list_users()) == "AccessDenied"
    assert code(lambda: cloud.client("ec2", limited).describe_instances()) == "UnauthorizedOperation"


def test_session_policies_may_be_managed_ones(cloud: LocalCloud) -> None:
    """They are looked up in the role's account; one that is not there is refused."""
    _, arn, keys = caller(cloud)
    account = cloud.account()
    role = cloud.role(account, "wide", trust=trust(arn), policy=EVERYTHING)
    managed = cloud.admin("iam", account).create_policy(
        PolicyName="roles", PolicyDocument=json.dumps(allow("iam:ListRoles"))
    )["Policy"]["Arn"]

    session = cloud.assume(keys, role, PolicyArns=[{"arn": managed}])

    assert cloud.client("iam", session).list_roles()["Roles"]
    assert code(lambda: cloud.client("iam", session).list_users()) == "AccessDenied"
    missing = [{"arn": f"arn:aws:iam::{account}:policy/none"}]
    assert code(lambda: cloud.assume(keys, role, PolicyArns=missing)) == "ValidationError"


def test_session_tags_need_a_right_of_their_own_and_are_seen_by_policies(cloud: LocalCloud) -> None:
    """A trust policy that does not allow tagging refuses tags; where allowed, conditions see them."""
    _, arn, keys = caller(cloud)
    plain = cloud.role(cloud.account(), "plain", trust=trust(arn))
    tags = [{"Key": "team", "Value": "blue"}]
    statement = allow("iam:ListRoles")["Statement"][0] | {
        "Condition": {"StringEquals": {"aws:PrincipalTag/team": "blue"}}
    }
    tagged = cloud.role(
        cloud.account(),
        "tagged",
        trust=trust(arn, action=["sts:AssumeRole", "sts:TagSession"]),
        policy={"Version": "2012-10-17", "Statement": [statement]},
    )

    assert code(lambda: cloud.assume(keys, plain, Tags=tags)) == "AccessDenied"
    blue, colourless = cloud.assume(keys, tagged, Tags=tags), cloud.assume(keys, tagged)
    assert cloud.client("iam", blue).list_roles()["Roles"]
    assert code(lambda: cloud.client("iam", colourless).list_roles()) == "AccessDenied"


def test_a_session_ends_with_its_time(cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Expired credentials are refused in each service's own word."""
    _, arn, keys = caller(cloud)
    account = cloud.account()
    role = cloud.role(account, "short", trust=trust(arn), policy=EVERYTHING)
    session = cloud.assume(keys, role, DurationSeconds=900)
    cloud.client("sts", session).get_caller_identity()
    identities = cloud.server.cloud.identities
    now = identities._clock
    monkeypatch.setattr(identities, "_clock", lambda: now() + timedelta(seconds=901).total_seconds())

    assert code(lambda: cloud.client("sts", session).get_caller_identity()) == "ExpiredToken"
    assert code(lambda: cloud.client("iam", session).list_roles()) == "ExpiredToken"
    assert code(lambda: cloud.client("ec2", session).describe_instances()) == "RequestExpired"
    assert code(lambda: cloud.client("s3", session).list_buckets()) == "ExpiredToken"
    assert code(lambda: cloud.client("sqs", session).list_queues()) == "ExpiredToken"
    assert code(lambda: cloud.client("kms", session).list_keys()) == "ExpiredTokenException"
    assert code(lambda: cloud.client("ebs", session).list_snapshot_blocks(SnapshotId="snap-1234567890")) == (
        "ExpiredTokenException"
    )


def test_a_session_is_nothing_without_its_token(cloud: LocalCloud) -> None:
    """Key and secret alone, or with another session's token, are nobody's."""
    _, arn, keys = caller(cloud)
    role = cloud.role(cloud.account(), "plain", trust=trust(arn), policy=EVERYTHING)
    session, other = cloud.assume(keys, role), cloud.assume(keys, role)

    for forged in (
        Keys(session.access_key, session.secret),
        Keys(session.access_key, session.secret, other.token),
        Keys(keys.access_key, keys.secret, session.token),
    ):
        assert code(lambda forged=forged: cloud.client("sts", forged).get_caller_identity()) == "InvalidClientTokenId"


def test_a_session_dies_with_its_role(cloud: LocalCloud) -> None:
    """A role made again under the same name is another one: old sessions do not become its sessions."""
    _, arn, keys = caller(cloud)
    account = cloud.account()
    role = cloud.role(account, "reborn", trust=trust(arn))
    session = cloud.assume(keys, role)

    cloud.admin("iam", account).delete_role(RoleName="reborn")
    assert code(lambda: cloud.client("sts", session).get_caller_identity()) == "InvalidClientTokenId"
    cloud.role(account, "reborn", trust=trust(arn), policy=EVERYTHING)
    assert code(lambda: cloud.client("sts", session).get_caller_identity()) == "InvalidClientTokenId"


def test_trust_is_asked_at_each_taking(cloud: LocalCloud) -> None:
    """Changing the trust policy shuts the door at once; sessions that are open go on."""
    _, arn, keys = caller(cloud)
    account = cloud.account()
    role = cloud.role(account, "changing", trust=trust(arn))
    session = cloud.assume(keys, role)

    cloud.admin("iam", account).update_assume_role_policy(
        RoleName="changing", PolicyDocument=json.dumps(trust(f"arn:aws:iam::{account}:root"))
    )

    assert code(lambda: cloud.assume(keys, role)) == "AccessDenied"
    assert cloud.client("sts", session).get_caller_identity()["Account"] == account


def test_what_sts_does_not_offer_says_so(cloud: LocalCloud) -> None:
    """No federation here: an operation that is missing is no success and no crash."""
    _, _, keys = caller(cloud)

    assert code(lambda: cloud.client("sts", keys).get_session_token()) == "NotImplemented"
