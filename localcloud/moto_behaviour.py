"""What is changed inside moto so that it behaves as AWS does where this system depends on it.

moto has no hooks for these, so methods of its classes are replaced, once per process and only when a cloud is
started. The replacements hold no state of a cloud: who acts comes through the context variable `SENDER`, and time
passes in `lifecycle`.
"""

from __future__ import annotations

import os
from contextvars import ContextVar
from typing import Any, Final

#: `aws:userid` of the signer of the current request; SQS messages carry it as SenderId.
SENDER: ContextVar[str | None] = ContextVar("sender", default=None)

#: Images that exist in every account and Region: for workers, and for the instances that are backed up.
WORKER_IMAGE: Final = "ami-0da0000000000001a"
DEBIAN_IMAGE: Final = "ami-0da0000000000002b"
_IMAGES: Final[tuple[tuple[str, str, str], ...]] = (
    (WORKER_IMAGE, "daywork-worker-1", "Daywork agent on a minimal system"),
    (DEBIAN_IMAGE, "debian-12-amd64", "Debian 12 (bookworm)"),
)
#: Owner of the images: an account of the cloud's own, as Amazon's public images have one.
IMAGE_OWNER: Final = "000000000001"

_installed: list[bool] = []


def install() -> None:
    """Change moto, once per process; later calls do nothing."""
    if _installed:
        return
    _installed.append(True)
    os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"
    from moto import settings

    settings.EC2_ENABLE_INSTANCE_TYPE_VALIDATION = True
    settings.ENABLE_AMI_VALIDATION = True
    settings.DISABLE_GLOBAL_CORS = True
    _own_images()
    _instances_take_time()
    _every_instance_gets_its_profile()
    _messages_carry_their_sender()
    _bucket_policies_are_ours()
    _profiles_are_listed_by_path()
    _default_vpcs_lead_out()


def replace(owner: type, name: str, function: Any) -> None:
    """Replace (or add) a method of one of moto's classes."""
    setattr(owner, name, function)


def _own_images() -> None:
    from moto.ec2.models.amis import Ami, AmiBackend

    def load(self: Any) -> None:
        for image_id, name, description in _IMAGES:
            self.amis[image_id] = Ami(
                self,
                image_id,
                name=name,
                description=description,
                owner_id=IMAGE_OWNER,
                public=True,
                virtualization_type="hvm",
                architecture="x86_64",
                hypervisor="xen",
                root_device_type="ebs",
                root_device_name="/dev/xvda",
                region_name=f"{self.region_name}a",
            )

    replace(AmiBackend, "_load_amis", load)


def _instances_take_time() -> None:
    from moto.ec2.models.instances import Instance, InstanceState, StateReason

    made, finish_terminate, finish_stop, finish_start = (
        Instance.__init__,
        Instance.terminate,
        Instance.stop,
        Instance.start,
    )

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        made(self, *args, **kwargs)
        self._state = InstanceState("pending", 0)

    def begin(code: int, name: str, from_states: tuple[str, ...]) -> Any:
        def change(self: Any) -> Any:
            before = InstanceState(self._state.name, self._state.code)
            if self._state.name in from_states:
                self._state = InstanceState(name, code)
                self.state_reason = StateReason()
            return before

        return change

    replace(Instance, "__init__", init)
    replace(Instance, "finish_terminate", finish_terminate)
    replace(Instance, "finish_stop", finish_stop)
    replace(Instance, "finish_start", finish_start)
    replace(Instance, "terminate", begin(32, "shutting-down", ("pending", "running", "stopping", "stopped")))
    replace(Instance, "stop", begin(64, "stopping", ("pending", "running")))
    replace(Instance, "start", begin(0, "pending", ("stopped",)))


def _every_instance_gets_its_profile() -> None:
    from moto.ec2.models.iam_instance_profile import IamInstanceProfileAssociation
    from moto.ec2.models.instances import InstanceBackend

    run, associated = InstanceBackend.run_instances, IamInstanceProfileAssociation.__init__

    def run_instances(self: Any, *args: Any, **kwargs: Any) -> Any:
        reservation = run(self, *args, **kwargs)
        name, arn = kwargs.get("iam_instance_profile_name"), kwargs.get("iam_instance_profile_arn")
        if name or arn:
            # moto's own code does the first one after this.
            for instance in reservation.instances[1:]:
                self.associate_iam_instance_profile(
                    instance_id=instance.id, iam_instance_profile_name=name, iam_instance_profile_arn=arn
                )
        return reservation

    def init(self: Any, ec2_backend: Any, association_id: str, instance: Any, iam_instance_profile: Any) -> None:
        associated(self, ec2_backend, association_id, instance, iam_instance_profile)
        instance.iam_instance_profile = {"Arn": iam_instance_profile.arn, "Id": iam_instance_profile.id}

    replace(InstanceBackend, "run_instances", run_instances)
    replace(IamInstanceProfileAssociation, "__init__", init)


def _messages_carry_their_sender() -> None:
    from moto.sqs.models import Message

    made = Message.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        made(self, *args, **kwargs)
        sender = SENDER.get()
        if sender is not None:
            self.sender_id = sender

    replace(Message, "__init__", init)


def _bucket_policies_are_ours() -> None:
    from moto.iam.access_control import PermissionResult
    from moto.s3.models import FakeBucket

    # moto judges bucket policies without principals or most conditions; `authority` has judged already.
    replace(FakeBucket, "get_permission", lambda _self, _action, _resource: PermissionResult.NEUTRAL)


def _profiles_are_listed_by_path() -> None:
    from moto.core.responses import ActionResult
    from moto.iam.responses import IamResponse

    def list_instance_profiles(self: Any) -> Any:
        # moto lists all of them whatever the path.
        prefix = self._get_param("PathPrefix") or "/"
        found = [one for one in self.backend.get_instance_profiles() if (one.path or "/").startswith(prefix)]
        return ActionResult({"InstanceProfiles": found})

    replace(IamResponse, "list_instance_profiles", list_instance_profiles)


def _default_vpcs_lead_out() -> None:
    from moto.ec2.models import EC2Backend

    made = EC2Backend.__init__

    def init(self: Any, region_name: str, account_id: str) -> None:
        made(self, region_name, account_id)
        # moto makes the default VPC without the internet gateway and the route that AWS gives it.
        gateway = self.create_internet_gateway()
        self.attach_internet_gateway(gateway.id, self.default_vpc.id)
        table = next(one for one in self.route_tables.values() if one.vpc_id == self.default_vpc.id)
        self.create_route(table.id, "0.0.0.0/0", gateway_id=gateway.id)

    replace(EC2Backend, "__init__", init)
