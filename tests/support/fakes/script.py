"""What shall go wrong and when, and what was called: every call of a fake goes through here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


class Died(BaseException):
    """The process that made the call is dead: nothing of it runs any more, not even its own handlers."""


@dataclass(frozen=True)
class Call:
    """One call: its number in the whole run (from 1), the port's method, and who made it where."""

    number: int
    operation: str
    account: str
    role: str | None


@dataclass
class Rule:
    """`error` for calls of `operation`: from the `nth` on (counted from when the rule was made), `times` times.

    `after` has the effect happen first, so that only the answer is lost.
    """

    operation: str
    error: BaseException
    nth: int = 1
    times: int | None = 1
    after: bool = False
    account: str | None = None
    seen: int = 0
    applied: int = 0

    def applies(self, call: Call) -> bool:
        """Count the call; return whether it shall fail."""
        if self.operation not in ("*", call.operation) or self.account not in (None, call.account):
            return False
        self.seen += 1
        if self.seen < self.nth or (self.times is not None and self.applied >= self.times):
            return False
        self.applied += 1
        return True


@dataclass
class Script:
    """The rules in force and the calls so far.

    `on_call` is told of each call before anything else happens, `on_death` before `Died` is raised.
    """

    rules: list[Rule] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    on_call: Callable[[Call], None] | None = None
    on_death: Callable[[], None] | None = None

    def fail(
        self,
        operation: str,
        error: BaseException,
        *,
        nth: int = 1,
        times: int | None = 1,
        after: bool = False,
        account: str | None = None,
    ) -> Rule:
        """Make calls fail; `times` None means for ever, operation `*` any. Returns the rule, which counts."""
        rule = Rule(operation=operation, error=error, nth=nth, times=times, after=after, account=account)
        self.rules.append(rule)
        return rule

    def heal(self) -> None:
        """Forget all rules."""
        self.rules.clear()

    def count(self, operation: str) -> int:
        """Return how often an operation was called."""
        return sum(call.operation == operation for call in self.calls)

    @contextmanager
    def call(self, operation: str, account: str, role: str | None = None) -> Iterator[None]:
        """Run a call's effect, with whatever shall go wrong before or after it."""
        made = Call(len(self.calls) + 1, operation, account, role)
        self.calls.append(made)
        failing = [rule for rule in self.rules if rule.applies(made)]
        if self.on_call is not None:
            self.on_call(made)
        for rule in failing:
            if not rule.after:
                self._raise(rule.error)
        yield
        for rule in failing:
            self._raise(rule.error)

    def _raise(self, error: BaseException) -> None:
        if isinstance(error, Died) and self.on_death is not None:
            self.on_death()
        raise error
