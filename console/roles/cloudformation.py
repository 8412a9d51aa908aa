"""Role documents as a CloudFormation template: every unknown name is a parameter, the external id a hidden one."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence
from typing import Any

import yaml

from orchestrator.rights.documents import RoleDocuments
from orchestrator.rights.parameters import Parameter, filled, has_placeholder, named_in
from orchestrator.rights.purposes import Kind

#: What CloudFormation knows by itself.
_PSEUDO = {"AccountId": "AWS::AccountId"}
_WHOLE = re.compile(r"\$\{[A-Za-z:]+\}")


def template(made: Sequence[RoleDocuments]) -> str:
    """Return a template in YAML that makes these roles and policies; deploy it with CAPABILITY_NAMED_IAM."""
    roles = {one.name for one in made if one.purpose.kind is Kind.ROLE and not one.is_addition}
    resources = {name: resource for one in made for name, resource in _resources(one, roles)}
    parameters = [one for one in named_in([one.shown() for one in made]) if one.name not in _PSEUDO]
    document = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"Daywork: {', '.join(one.purpose.name for one in made)} (version {made[0].shown()['version']})",
        "Parameters": {one.name: _parameter(one) for one in parameters},
        "Resources": _written(resources),
    }
    if not parameters:
        del document["Parameters"]
    return yaml.safe_dump(document, sort_keys=False, width=110)


def _parameter(one: Parameter) -> dict[str, Any]:
    return {"Type": "String", "Description": one.help, **({"NoEcho": True} if one.is_secret else {})}


def _resources(one: RoleDocuments, roles: Container[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    kind = one.purpose.kind
    if kind is Kind.BOUNDARY:
        (policy,) = one.policies.values()
        yield _id(one.name), _resource("AWS::IAM::ManagedPolicy", ManagedPolicyName=one.name, PolicyDocument=policy)
    elif kind is Kind.BUCKET:
        (policy,) = one.policies.values()
        yield "ControlBucketPolicy", _resource("AWS::S3::BucketPolicy", Bucket=one.name, PolicyDocument=policy)
    elif kind is Kind.QUEUE:
        (policy,) = one.policies.values()
        url = {"Fn::Sub": "https://sqs.${AWS::Region}.${AWS::URLSuffix}/${AWS::AccountId}/" + _sub(one.name)}
        yield "ReportQueuePolicy", _resource("AWS::SQS::QueuePolicy", Queues=[url], PolicyDocument=policy)
    elif one.is_addition:
        role = {"Ref": _id(one.name)} if one.name in roles else one.name
        for name, document in one.policies.items():
            yield (
                f"{_id(one.name)}{_id(name)}",
                _resource("AWS::IAM::RolePolicy", RoleName=role, PolicyName=name, PolicyDocument=document),
            )
    else:
        yield from _role(one)


def _role(one: RoleDocuments) -> Iterator[tuple[str, dict[str, Any]]]:
    role = _resource("AWS::IAM::Role", RoleName=one.name, AssumeRolePolicyDocument=one.trust)
    held: dict[str, Any] = role["Properties"]
    if one.is_managed:
        held["ManagedPolicyArns"] = [{"Ref": f"{_id(one.name)}{_id(name)}"} for name in one.policies]
        for name, document in one.policies.items():
            yield f"{_id(one.name)}{_id(name)}", _resource("AWS::IAM::ManagedPolicy", PolicyDocument=document)
    else:
        held["Policies"] = [{"PolicyName": name, "PolicyDocument": document} for name, document in one.policies.items()]
    yield _id(one.name), role
    if one.purpose.has_profile:
        profile = _resource("AWS::IAM::InstanceProfile", InstanceProfileName=one.name, Roles=[{"Ref": _id(one.name)}])
        yield f"{_id(one.name)}Profile", profile


def _resource(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": kind, "Properties": properties}


def _id(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "", name[:1].upper() + name[1:])


def _written(value: Any) -> Any:
    """Return a document whose texts with parameters are `Fn::Sub`; policy variables in them are left for IAM."""
    if isinstance(value, dict):
        return {key: _written(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_written(one) for one in value]
    if isinstance(value, str) and has_placeholder(value):
        text = _sub(value)
        return {"Ref": text[2:-1]} if _WHOLE.fullmatch(text) else {"Fn::Sub": text}
    return value


def _sub(text: str) -> str:
    written = filled(
        text,
        lambda one: "${" + _PSEUDO.get(one.name, one.name) + "}",
        quote=lambda part: part.replace("${", "${!"),
    )
    return str(written)
