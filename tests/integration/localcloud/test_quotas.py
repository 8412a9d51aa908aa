"""The vCPU quota of an embedded cloud: what Service Quotas says, and that launches keep to it."""

from __future__ import annotations

from typing import Any

from support.cloud import LocalCloud, code

from localcloud.quotas import LAUNCH_BURST, LAUNCH_REFILL, STANDARD

ASKED = {"ServiceCode": "ec2", "QuotaCode": STANDARD}


def set_quota(cloud: LocalCloud, account: str, vcpus: int) -> None:
    """Set an account's vCPUs."""
    status, answer = cloud.sim("PUT", "quotas", {"account": account, "vcpus": vcpus}, token=cloud.server.admin_token)
    assert (status, answer["vcpus"][account]) == (200, vcpus)


def launch(cloud: LocalCloud, account: str, kind: str, *, least: int = 1, most: int = 1) -> list[Any]:
    """Launch instances; return what EC2 answers."""
    answer = cloud.admin("ec2", account).run_instances(
        ImageId="ami-0da0000000000002b", InstanceType=kind, MinCount=least, MaxCount=most
    )
    return list(answer["Instances"])


def test_service_quotas_tells_the_vcpus_of_the_standard_families(cloud: LocalCloud) -> None:
    """Plenty until somebody sets it; another quota does not exist."""
    account = cloud.account()
    quotas = cloud.admin("service-quotas", account)
    assert quotas.get_service_quota(**ASKED)["Quota"]["Value"] > 10_000

    set_quota(cloud, account, 32)

    found = quotas.get_service_quota(**ASKED)["Quota"]
    assert (found["Value"], found["ServiceCode"], found["QuotaCode"]) == (32.0, "ec2", STANDARD)
    assert code(lambda: quotas.get_service_quota(ServiceCode="ec2", QuotaCode="L-00000000")) == (
        "NoSuchResourceException"
    )


def test_service_quotas_tells_the_rate_of_launches_that_the_throttle_keeps(cloud: LocalCloud) -> None:
    """The documented one, unless an account has another."""
    account, token = cloud.account(), cloud.server.admin_token
    quotas = cloud.admin("service-quotas", account)

    def rate() -> list[float]:
        codes = (LAUNCH_BURST, LAUNCH_REFILL)
        return [quotas.get_service_quota(ServiceCode="ec2", QuotaCode=one)["Quota"]["Value"] for one in codes]

    assert rate() == [5.0, 2.0]
    cloud.sim("PUT", "throttle", {"on": True}, token=token)
    try:
        assert cloud.sim("PUT", "quotas", {"account": account, "launches": [1, 0.001]}, token=token)[0] == 200
        launch(cloud, account, "c5.large")

        assert rate() == [1.0, 0.001]
        assert code(lambda: launch(cloud, account, "c5.large")) == "RequestLimitExceeded"
    finally:
        cloud.sim("PUT", "throttle", {"on": False}, token=token)


def test_a_launch_gets_as_many_as_the_quota_allows(cloud: LocalCloud) -> None:
    """Down to MinCount, then none: two vCPUs a c5.large; what was terminated counts no more."""
    account = cloud.account()
    set_quota(cloud, account, 6)

    made = launch(cloud, account, "c5.large", most=5)

    assert len(made) == 3
    assert code(lambda: launch(cloud, account, "c5.large")) == "VcpuLimitExceeded"
    ec2 = cloud.admin("ec2", account)
    ec2.terminate_instances(InstanceIds=[made[0]["InstanceId"]])
    cloud.wait_for_state(account, made[0]["InstanceId"], "terminated")
    assert code(lambda: launch(cloud, account, "c5.large", least=2, most=2)) == "VcpuLimitExceeded"
    assert len(launch(cloud, account, "c5.large", most=2)) == 1


def test_other_families_have_other_quotas(cloud: LocalCloud) -> None:
    """A machine with GPUs does not count."""
    account = cloud.account()
    set_quota(cloud, account, 0)

    assert len(launch(cloud, account, "g4dn.xlarge")) == 1


def test_reading_a_quota_is_a_right(cloud: LocalCloud) -> None:
    """Policies of Service Quotas are evaluated like those of EC2."""
    account = cloud.account()
    keys = cloud.user(account, "nobody")

    assert code(lambda: cloud.client("service-quotas", keys).get_service_quota(**ASKED)) == "AccessDeniedException"


def test_the_page_says_what_it_takes(cloud: LocalCloud) -> None:
    """And asks for the token, as all pages with power."""
    token = cloud.server.admin_token
    assert cloud.sim("PUT", "quotas", {"account": "1", "vcpus": 1}, token=token)[0] == 400
    assert cloud.sim("PUT", "quotas", {"account": cloud.account(), "vcpus": True}, token=token)[0] == 400
    assert cloud.sim("PUT", "quotas", {"account": cloud.account(), "launches": [5, 0]}, token=token)[0] == 400
    assert cloud.sim("POST", "quotas", {}, token=token)[0] == 405
    assert cloud.sim("GET", "quotas")[0] == 403
