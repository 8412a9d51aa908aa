"""Faults on request: rules that make calls fail, wait, lose their answer or be throttled.

A rule names an operation (`ec2:RunInstances`; `*` is a wildcard), a kind, and how often and for whom it applies:

- `error`: answered with `code` instead of being carried out;
- `latency`: carried out after `seconds`;
- `reset`: the connection is cut before anything happened;
- `reset-after`: the call is carried out, then the connection is cut: the effect is there, the answer lost;
- `hold`: the call waits until its rule is removed, and is carried out then, even if whoever made it is dead: a test
  that waits for the rule's `waiting` knows that a call is under way;
- `throttle`: a token bucket of `burst` calls that refills with `rate` a second; an empty one answers
  as the service does (EC2: `RequestLimitExceeded`, S3: `SlowDown`, EBS direct: `RequestThrottledException`, others:
  `Throttling`), per account and Region.

Besides account and Region, a rule may name its signer (`principal`, a pattern of ARNs) and what the call is about (a
pattern that one of the texts in its parameters must fit, at any depth).
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from localcloud.call import Call
from localcloud.conditions import like
from localcloud.errors import AwsError
from localcloud.settings import is_account

KINDS: Final = ("error", "latency", "hold", "reset", "reset-after", "throttle")
_LIMIT_SECONDS: Final = 600.0


class BadRule(ValueError):
    """A fault rule that cannot be; says which field and why."""


@dataclass(kw_only=True)
class Rule:
    """One fault rule; `times` is how often it still applies, None for ever. Times are in seconds, `rate` per second."""

    operation: str
    kind: str
    code: str = ""
    message: str = ""
    status: int | None = None
    seconds: float = 0.0
    times: int | None = None
    account: str | None = None
    region: str | None = None
    principal: str | None = None
    about: str | None = None
    probability: float = 1.0
    rate: float = 0.0
    burst: float = 0.0
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    applied: int = 0
    #: Calls that a `hold` keeps waiting now.
    waiting: int = 0
    buckets: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)
    gate: threading.Event = field(default_factory=threading.Event)

    def to_dict(self) -> dict[str, Any]:
        """Return the rule as the API shows it."""
        hidden = ("buckets", "gate") if self.kind == "hold" else ("buckets", "gate", "waiting")
        shown = {name: value for name, value in vars(self).items() if name not in hidden and value not in (None, "")}
        return {
            name: value
            for name, value in shown.items()
            if value != 0.0 or name in ("applied", "waiting", "probability")
        }


_FIELDS: Final[dict[str, tuple[type, ...]]] = {
    "operation": (str,),
    "kind": (str,),
    "code": (str,),
    "message": (str,),
    "status": (int,),
    "seconds": (int, float),
    "times": (int,),
    "account": (str,),
    "region": (str,),
    "principal": (str,),
    "about": (str,),
    "probability": (int, float),
    "rate": (int, float),
    "burst": (int, float),
}


def read_rule(document: Any) -> Rule:
    """Read one rule from a JSON object. Raises `BadRule` that names the field."""
    if not isinstance(document, dict):
        raise BadRule("a fault rule must be a JSON object")
    if unknown := sorted(set(document) - set(_FIELDS)):
        raise BadRule(f"unknown field {unknown[0]!r} (known: {', '.join(_FIELDS)})")
    for name in ("operation", "kind"):
        if name not in document:
            raise BadRule(f"field {name!r} is missing")
    for name, value in document.items():
        if not isinstance(value, _FIELDS[name]) or isinstance(value, bool):
            raise BadRule(f"field {name!r} must be {' or '.join(kind.__name__ for kind in _FIELDS[name])}")
    rule = Rule(**document)
    _check_fields(rule)
    return rule


def _check_fields(rule: Rule) -> None:
    service, colon, operation = rule.operation.partition(":")
    if rule.operation != "*" and not (service and colon and operation):
        raise BadRule(
            f"operation {rule.operation!r} is not of the form service:Operation, such as ec2:RunInstances, or *"
        )
    if rule.kind not in KINDS:
        raise BadRule(f"kind {rule.kind!r} is not one of {', '.join(KINDS)}")
    _check_kind(rule)
    if rule.status is not None and not 400 <= rule.status <= 599:  # noqa: PLR2004 - HTTP's error statuses
        raise BadRule(f"status {rule.status} is not an HTTP error status (400 to 599)")
    if rule.times is not None and rule.times < 1:
        raise BadRule("times must be at least 1; leave it out for a rule that stays")
    if rule.account is not None and not is_account(rule.account):
        raise BadRule(f"account {rule.account!r} is not a 12-digit account id")
    if not 0 < rule.probability <= 1:
        raise BadRule("probability must be more than 0 and at most 1")


def _check_kind(rule: Rule) -> None:
    if rule.kind == "error" and not rule.code:
        raise BadRule("kind error needs code, such as InsufficientInstanceCapacity")
    if rule.kind == "latency" and not 0 < rule.seconds <= _LIMIT_SECONDS:
        raise BadRule(f"kind latency needs seconds, more than 0 and at most {_LIMIT_SECONDS:g}")
    if rule.kind == "hold" and rule.times is not None:
        raise BadRule("kind hold takes no times: its calls wait until the rule is removed")
    if rule.kind == "throttle" and not (rule.rate > 0 and rule.burst >= 1):
        raise BadRule("kind throttle needs rate (calls a second, more than 0) and burst (calls, at least 1)")


@dataclass
class Verdict:
    """What rules do to one call: `hold` it, wait `seconds`, then `error`, or cut the connection before or after."""

    hold: list[Rule] = field(default_factory=list)
    seconds: float = 0.0
    error: AwsError | None = None
    reset: bool = False
    reset_after: bool = False


class Faults:
    """The rules in force, in the order they were added. Thread-safe."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, chance: Callable[[], float] = random.random
    ) -> None:
        self._clock = clock
        self._chance = chance
        self._rules: list[Rule] = []
        self._lock = threading.Lock()

    def add(self, document: Any) -> Rule:
        """Add a rule. Raises `BadRule`."""
        rule = read_rule(document)
        with self._lock:
            self._rules.append(rule)
        return rule

    def clear(self, rule_id: str | None = None) -> int:
        """Remove all rules, or one; return how many were removed."""
        with self._lock:
            gone = [rule for rule in self._rules if rule_id in (None, rule.id)]
            self._rules = [rule for rule in self._rules if rule_id not in (None, rule.id)]
        for rule in gone:
            rule.gate.set()
        return len(gone)

    def wait(self, rule: Rule) -> None:
        """Hold the calling thread until a rule is removed."""
        with self._lock:
            rule.waiting += 1
        rule.gate.wait(_LIMIT_SECONDS)
        with self._lock:
            rule.waiting -= 1

    def rules(self) -> list[Mapping[str, Any]]:
        """Return the rules as the API shows them."""
        with self._lock:
            return [rule.to_dict() for rule in self._rules]

    def judge(self, call: Call, account: str) -> Verdict:
        """Apply the rules to a call of `account`; counts `times` down."""
        verdict = Verdict()
        if not self._rules:
            return verdict
        with self._lock:
            for rule in self._rules:
                if self._fits(rule, call, account):
                    self._apply(rule, call, account, verdict)
                    if verdict.error is not None or verdict.reset:
                        break
            self._rules = [rule for rule in self._rules if rule.times is None or rule.times > 0]
        return verdict

    def _fits(self, rule: Rule, call: Call, account: str) -> bool:
        return (
            (rule.times is None or rule.times > 0)
            and like(rule.operation, call.name, ignore_case=True)
            and rule.account in (None, account)
            and rule.region in (None, call.region)
            and (rule.principal is None or _is_signed_by(rule.principal, call))
            and (rule.about is None or any(like(rule.about, one) for one in _texts(call.parameters)))
            and (rule.probability >= 1 or self._chance() < rule.probability)
        )

    def _apply(self, rule: Rule, call: Call, account: str, verdict: Verdict) -> None:
        if rule.kind == "throttle" and self._take(rule, account, call.region):
            return
        rule.applied += 1
        if rule.times is not None:
            rule.times -= 1
        if rule.kind == "error":
            verdict.error = AwsError(rule.code, rule.message or f"{rule.code} (fault rule {rule.id})", rule.status)
        elif rule.kind == "latency":
            verdict.seconds += rule.seconds
        elif rule.kind == "hold":
            verdict.hold.append(rule)
        elif rule.kind == "reset":
            verdict.reset = True
        elif rule.kind == "reset-after":
            verdict.reset_after = True
        else:
            verdict.error = _throttled(call.service)

    def _take(self, rule: Rule, account: str, region: str) -> bool:
        now = self._clock()
        tokens, last = rule.buckets.get((account, region), (rule.burst, now))
        tokens = min(rule.burst, tokens + (now - last) * rule.rate)
        taken = tokens >= 1
        rule.buckets[account, region] = (tokens - 1 if taken else tokens, now)
        return taken


def _throttled(service: str) -> AwsError:
    """Return what a service answers to somebody who asks too often."""
    if service == "ec2":
        return AwsError("RequestLimitExceeded", "Request limit exceeded.", 503)
    if service == "s3":
        return AwsError("SlowDown", "Please reduce your request rate.", 503)
    if service == "ebs":
        return AwsError("RequestThrottledException", "Rate exceeded.", 400, reason="ACCOUNT_THROTTLED")
    return AwsError("Throttling", "Rate exceeded", 400)


def _is_signed_by(pattern: str, call: Call) -> bool:
    return call.principal is not None and like(pattern, call.principal.arn)


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts in a call's parameters."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
