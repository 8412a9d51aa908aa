"""Role documents as Terraform: every unknown name is a variable, the external id a sensitive one."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterator, Sequence
from typing import Any

from orchestrator.rights.documents import RoleDocuments
from orchestrator.rights.parameters import Parameter, filled, named_in
from orchestrator.rights.purposes import Kind
from orchestrator.statements import Document

_CALLER = "data.aws_caller_identity.current.account_id"


def configuration(made: Sequence[RoleDocuments]) -> str:
    """Return a configuration (HCL) that makes these roles and policies with the provider `hashicorp/aws`."""
    parameters = named_in([one.shown() for one in made])
    blocks = [_head()]
    if any(one.name == "AccountId" for one in parameters):
        blocks.append('data "aws_caller_identity" "current" {}')
    blocks += [_variable(one) for one in parameters if one.name != "AccountId"]
    roles = {one.name for one in made if one.purpose.kind is Kind.ROLE and not one.is_addition}
    blocks += [block for one in made for block in _blocks(one, roles)]
    return "\n\n".join(blocks) + "\n"


def _head() -> str:
    return 'terraform {\n  required_providers {\n    aws = {\n      source = "hashicorp/aws"\n    }\n  }\n}'


def _variable(one: Parameter) -> str:
    lines = ["  type        = string", f"  description = {json.dumps(one.help)}"]
    lines += ["  sensitive   = true"] if one.is_secret else []
    return f'variable "{_snake(one.name)}" {{\n' + "\n".join(lines) + "\n}"


def _blocks(one: RoleDocuments, roles: Container[str]) -> Iterator[str]:
    kind, name = one.purpose.kind, _label(one.name)
    if kind is Kind.BOUNDARY:
        (policy,) = one.policies.values()
        yield _block("aws_iam_policy", name, name=one.name, policy=policy)
    elif kind is Kind.BUCKET:
        (policy,) = one.policies.values()
        yield _block("aws_s3_bucket_policy", "control_bucket", bucket=one.name, policy=policy)
    elif kind is Kind.QUEUE:
        (policy,) = one.policies.values()
        yield f'data "aws_sqs_queue" "reports" {{\n  name = {_text(one.name)}\n}}'
        yield _block("aws_sqs_queue_policy", "reports", queue_url=_Raw("data.aws_sqs_queue.reports.url"), policy=policy)
    else:
        if not one.is_addition:
            yield _block("aws_iam_role", name, name=one.name, assume_role_policy=one.trust)
        role = _Raw(f"aws_iam_role.{name}.name") if one.name in roles else one.name
        yield from _policies(one, name, role)
        if one.purpose.has_profile and not one.is_addition:
            yield _block("aws_iam_instance_profile", name, name=one.name, role=role)


def _policies(one: RoleDocuments, name: str, role: Any) -> Iterator[str]:
    for policy_name, document in one.policies.items():
        label = f"{name}_{_label(policy_name)}"
        if not one.is_managed:
            yield _block("aws_iam_role_policy", label, name=policy_name, role=role, policy=document)
            continue
        yield _block("aws_iam_policy", label, name=f"{one.name}-{policy_name}", policy=document)
        arn = _Raw(f"aws_iam_policy.{label}.arn")
        yield _block("aws_iam_role_policy_attachment", label, role=role, policy_arn=arn)


class _Raw(str):
    """An expression, not a text."""

    __slots__ = ()


def _block(kind: str, label: str, /, **arguments: str | Document | None) -> str:
    width = max(len(key) for key in arguments)
    lines = [
        f"  {key.ljust(width)} = "
        + (f"jsonencode({_value(value, 1)})" if isinstance(value, dict) else _value(value, 1))
        for key, value in arguments.items()
    ]
    return f'resource "{kind}" "{label}" {{\n' + "\n".join(lines) + "\n}"


def _value(value: Any, depth: int) -> str:
    pad = "  " * (depth + 1)
    if isinstance(value, dict):
        inner = "\n".join(f"{pad}{_key(key)} = {_value(one, depth + 1)}" for key, one in value.items())
        return "{\n" + inner + "\n" + "  " * depth + "}"
    if isinstance(value, list | tuple):
        inner = "\n".join(f"{pad}{_value(one, depth + 1)}," for one in value)
        return "[\n" + inner + "\n" + "  " * depth + "]"
    return str(value) if isinstance(value, _Raw) else _text(str(value))


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z_]\w*", key) else json.dumps(key)


def _text(text: str) -> str:
    """Return a quoted template: variables are filled in by Terraform, policy variables are left for IAM."""

    def write(one: Parameter) -> str:
        return "${" + (_CALLER if one.name == "AccountId" else f"var.{_snake(one.name)}") + "}"

    def quote(part: str) -> str:
        return json.dumps(part)[1:-1].replace("${", "$${").replace("%{", "%%{")

    return f'"{filled(text, write, quote=quote)}"'


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _label(name: str) -> str:
    return re.sub(r"[^a-z0-9_]", "_", _snake(name)).strip("_")
