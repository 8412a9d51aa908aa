"""The agent's channel in memory and over AWS's own interfaces sit the same exam."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest
from support.agents import BOOT, INSTANCE, MemoryChannel, order
from support.cloud import CONTROL_ACCOUNT, REGION
from support.workers import BUCKET, Workers, workers_on

from agent.channel import AwsChannel, Channel, ChannelError, NotThere
from agent.imds import Metadata
from agent.protocol import JobResult, Order, ProtocolError, Report, order_key
from agent.session import worker_session

pytestmark = pytest.mark.contract


@dataclass
class Exam:
    """A channel, and the control plane's side of it."""

    channel: Channel
    instance: str
    give: Callable[[Order], None]
    give_nonsense: Callable[[], None]
    stop: Callable[[], None]
    heard: Callable[[], list[tuple[Report, str]]]

    def report(self, **fields: object) -> Report:
        """Return a report of this worker's."""
        made = Report(
            kind="ready",
            session=BOOT.session,
            instance_id=self.instance,
            user_id=self.channel.who_am_i(),
            sequence=1,
            sent_at="2026-11-23T02:00:00.000Z",
        )
        return replace(made, **fields)  # type: ignore[arg-type]  # the test names fields of a report


def in_memory() -> Exam:
    """Return the exam of the channel in memory."""
    channel = MemoryChannel()
    return Exam(
        channel=channel,
        instance=INSTANCE,
        give=lambda given: setattr(channel, "given", given),
        give_nonsense=lambda: setattr(channel, "given", ProtocolError("Order: not JSON")),
        stop=lambda: setattr(channel, "stop", True),
        heard=lambda: [(report, channel.user_id) for report in channel.sent],
    )


def worker_channel(workers: Workers, instance: str, **boot: str) -> AwsChannel:
    """Return the channel of a worker as its agent would make it, with its instance's own credentials."""
    metadata = Metadata(f"{workers.cloud.url}/imds/{CONTROL_ACCOUNT}/{REGION}/{instance}/")
    return AwsChannel(worker_session(metadata.credentials), replace(workers.boot, **boot))  # type: ignore[arg-type]


def over_aws(workers: Workers) -> Exam:
    """Return the exam of the real channel on a worker of its own."""
    (instance,) = workers.launch()
    s3 = workers.cloud.admin("s3", CONTROL_ACCOUNT)
    key = order_key(BOOT.session, workers.user_id(instance))
    return Exam(
        channel=worker_channel(workers, instance),
        instance=instance,
        give=lambda given: workers.give(instance, given),
        give_nonsense=lambda: s3.put_object(Bucket=BUCKET, Key=key, Body=b"<order/>"),
        stop=lambda: workers.stop(instance),
        heard=lambda: [(one.report, one.sender) for one in workers.listen() if one.report.instance_id == instance],
    )


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    """An embedded cloud whose instances stay empty."""
    with pytest.MonkeyPatch.context() as patch, workers_on(tmp_path_factory.mktemp("cloud"), agents=None) as made:
        # As on an instance: the channel finds its endpoint in the environment.
        patch.setenv("AWS_ENDPOINT_URL", made.cloud.url)
        yield made


@pytest.fixture(params=["memory", "aws"])
def exam(request: pytest.FixtureRequest) -> Exam:
    """Each channel in turn."""
    return in_memory() if request.param == "memory" else over_aws(request.getfixturevalue("workers"))


def test_knows_itself_by_role_and_instance(exam: Exam) -> None:
    """The user id ends with the instance's id."""
    user_id = exam.channel.who_am_i()

    assert user_id.endswith(f":{exam.instance}")


def test_an_order_that_is_not_there_is_not_there_yet(exam: Exam) -> None:
    """403 and 404 are the same to a worker."""
    exam.channel.who_am_i()

    with pytest.raises(NotThere):
        exam.channel.order()


def test_reads_the_order_it_was_given(exam: Exam) -> None:
    """Every field arrives as it was written; reading again gives the same."""
    given = order("finish")
    exam.channel.who_am_i()

    exam.give(given)

    assert exam.channel.order() == given
    assert exam.channel.order() == given


def test_an_order_of_another_language_is_a_protocol_error(exam: Exam) -> None:
    """What cannot be understood is not "not yet"."""
    exam.channel.who_am_i()

    exam.give_nonsense()

    with pytest.raises(ProtocolError):
        exam.channel.order()


def test_sees_a_stop_once_it_is_asked(exam: Exam) -> None:
    """No flag: go on; a flag: stop, again and again."""
    exam.channel.who_am_i()
    before = exam.channel.stop_asked()

    exam.stop()

    assert before is False
    assert exam.channel.stop_asked() is True
    assert exam.channel.stop_asked() is True


def test_keeps_a_result_and_reads_it_again(exam: Exam) -> None:
    """The result object is what was kept last."""
    first = exam.report(kind="result", result=JobResult(outcome="failed", reason="first"))
    second = exam.report(kind="result", result=JobResult(outcome="success"), sequence=2)
    with pytest.raises(NotThere):
        exam.channel.result()

    exam.channel.keep(first)
    exam.channel.keep(second)

    assert exam.channel.result() == second


def test_sends_reports_under_its_own_name(exam: Exam) -> None:
    """The queue attaches the sender, which is the worker's user id."""
    first, second = exam.report(), exam.report(sequence=2)

    exam.channel.send(first)
    exam.channel.send(second)

    assert sorted(exam.heard(), key=lambda one: one[0].sequence) == [
        (first, first.user_id),
        (second, second.user_id),
    ]


# --- what only the real one can show ---


def test_another_workers_order_cannot_be_read_nor_its_result_written(workers: Workers) -> None:
    """The control bucket shows each worker its own order alone: `${aws:userid}` is in the policy's resource."""
    one, other = workers.launch(2)
    workers.give(one, order("finish"))
    curious = worker_channel(workers, other)
    curious.who_am_i()
    curious._user_id = workers.user_id(one)

    with pytest.raises(NotThere, match="AccessDenied"):
        curious.order()
    with pytest.raises(ChannelError, match="AccessDenied"):
        curious.keep(over_aws(workers).report())


def test_a_queue_that_is_not_there_is_a_channel_error_without_its_address(workers: Workers) -> None:
    """Whatever AWS answers, the runner hears `ChannelError` with the code."""
    (instance,) = workers.launch()
    channel = worker_channel(workers, instance, report_queue=f"{workers.boot.report_queue}-gone")

    with pytest.raises(ChannelError) as caught:
        channel.send(over_aws(workers).report())

    assert "daywork-reports" not in str(caught.value)


def test_a_role_that_is_not_visible_yet_is_a_channel_error(workers: Workers) -> None:
    """An instance without a profile has no credentials: something to wait for, not to fall over."""
    made = workers.cloud.admin("ec2", CONTROL_ACCOUNT).run_instances(
        ImageId=workers.image, MinCount=1, MaxCount=1, InstanceType="c5.large"
    )
    channel = worker_channel(workers, made["Instances"][0]["InstanceId"])

    with pytest.raises(ChannelError, match="the metadata service has no"):
        channel.who_am_i()


def test_an_endpoint_that_does_not_answer_is_a_channel_error(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection refused is named by its class and nothing of the address."""
    (instance,) = workers.launch()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    channel = worker_channel(workers, instance)

    with pytest.raises(ChannelError, match="cannot ask who I am: EndpointConnectionError"):
        channel.who_am_i()
