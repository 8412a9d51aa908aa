"""An account's roles: can they be taken, do they trust whom they must, may they do what their documents say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from console.checks.attempts import Attempt, attempts
from console.checks.findings import Finding, Findings, State
from orchestrator.aws.cloud import AwsCloud
from orchestrator.aws.rights import AwsRights
from orchestrator.errors import AccessDenied, CloudError, DayworkError, Missing
from orchestrator.model.account import Account
from orchestrator.model.plan import Access
from orchestrator.rights.facts import Facts
from orchestrator.rights.parameters import filled
from orchestrator.rights.probes import probes
from orchestrator.rights.purposes import PURPOSES, Purpose
from orchestrator.rights.trust import Answer, Question, lets_in
from orchestrator.statements import Document

_TAKE = "sts:AssumeRole"
_EC2 = Question(principal="ec2.amazonaws.com", action=_TAKE)
_ADD = "Add the statement to the role's policy"
#: Roles that other roles look after: nobody but EC2 and workers can take them.
_NOT_TAKEN = ("worker", "data")


@dataclass(frozen=True, kw_only=True)
class Look:
    """One account looked at: the cloud, what its documents are made of, where its rights are asked for.

    `image` is the image of workers, if one is configured.
    """

    cloud: AwsCloud
    facts: Facts
    account: Account
    region: str
    image: str | None = None

    def access(self, role: str | None) -> Access:
        """Return the access of a role of the account."""
        return Access(account=self.account.id, region=self.region, role=role)

    def finding(self, subject: str, state: State, text: str, **more: object) -> Finding:
        """Return a finding about the account."""
        return Finding(account=self.account.id, subject=subject, state=state, text=text, **more)  # type: ignore[arg-type]  # more is checked by the dataclass


def look_at_roles(look: Look) -> Findings:
    """Look at all registered roles of an account. Each finding comes once, whoever found it."""
    named = {key: arn for key, arn in look.account.roles.named().items() if key not in _NOT_TAKEN}
    askers: dict[str, AwsRights] = {}
    for key, arn in named.items():
        trust = PURPOSES[_rows(look.facts, key)[0].name].trust
        try:
            look.cloud.check(look.access(arn))
        except AccessDenied as error:
            yield look.finding(
                key,
                State.MISSING,
                error.reason,
                remedy="Let the role trust the control plane with this statement; the external id is the registry's",
                target=arn,
                add=None if trust is None else _shown(trust(look.facts)["Statement"][0]),
            )
        except DayworkError as error:
            yield look.finding(key, State.UNKNOWN, str(error))
        else:
            askers[key] = look.cloud.rights(look.access(arn))
            yield from _own_rights(look, key, arn, askers[key])
    yield from _once(found for key, rights in askers.items() for found in _others(look, key, named[key], rights))


def _rows(facts: Facts, key: str) -> list[Purpose]:
    """Return the purposes that one role serves: its own, and additions to it."""
    own = [row for row in PURPOSES.values() if row.key == key]
    return own + [row for row in PURPOSES.values() if row.general == key and row.is_addition(facts)]


def _own_rights(look: Look, key: str, arn: str, rights: AwsRights) -> Findings:
    tries = attempts(look.cloud, look.access(arn), look.account, install=look.facts.install, image=look.image)
    for row in _rows(look.facts, key):
        if (asked := ask(look, row, arn, rights)) is None:
            yield from _unproved(look, row, arn, tries)
            return
        yield from asked


def prove(look: Look, row: Purpose, arn: str, rights: AwsRights) -> Findings:
    """Say which statements of a purpose's document an identity lacks, or that it lacks the right to ask."""
    asked = ask(look, row, arn, rights)
    yield from _unproved(look, row, arn, ()) if asked is None else asked


def ask(look: Look, row: Purpose, arn: str, rights: AwsRights) -> list[Finding] | None:
    """Return what a role lacks of a purpose's document; None: who asks may not ask IAM that."""
    subject, found = row.key or row.name, []
    for probe in probes(row.policy(look.facts), account=look.facts.account, region=look.region):
        try:
            refused = rights.refused(arn, actions=probe.actions, resources=probe.resources, context=probe.context)
        except AccessDenied:
            return None
        except Missing:
            text = f"there is no role {arn}"
            return [look.finding(subject, State.MISSING, text, remedy="Make it (daywork role document)", target=arn)]
        except CloudError as error:
            return [look.finding(subject, State.UNKNOWN, str(error), target=arn)]
        if refused:
            actions = ", ".join(dict.fromkeys(action for action in probe.actions if action in dict(refused)))
            found.append(
                look.finding(
                    subject,
                    State.NOTE if row.is_addition(look.facts) else State.MISSING,
                    f"{arn.rpartition('/')[2]} lacks {probe.sid}: {actions} ({row.title})",
                    remedy=_ADD,
                    target=arn,
                    add=probe.lacking(refused),
                )
            )
    return found or [look.finding(subject, State.OK, f"{arn.rpartition('/')[2]} may do all of {row.name}", target=arn)]


def _unproved(look: Look, row: Purpose, arn: str, tries: Iterable[Attempt]) -> Findings:
    subject, name = row.key or row.name, arn.rpartition("/")[2]
    statements = [one for one in row.policy(look.facts)["Statement"] if one["Sid"] == "Prove"]
    yield look.finding(
        subject,
        State.MISSING,
        f"{name} lacks Prove: iam:SimulatePrincipalPolicy; its other rights are only tried where that changes nothing",
        remedy=_ADD,
        target=arn,
        add=statements[0] if statements else None,
    )
    for what, attempt in tries:
        try:
            attempt()
        except AccessDenied as error:
            yield look.finding(
                subject,
                State.MISSING,
                f"{name} may not {what}: {error.reason}",
                remedy=f"Compare its policy with daywork role document --purpose {row.name}",
                target=arn,
            )
        except CloudError:
            # Whatever else AWS says, it has let the call in.
            continue


def _others(look: Look, key: str, arn: str, rights: AwsRights) -> Findings:
    """Look at the roles that a role looks after. When it may not ask, that is said of itself already."""
    named = look.account.roles.named()
    if key in ("backup", "restore") and "worker" in named:
        yield from _attached(look, "worker", named["worker"], arn, rights)
    if key == "files":
        yield from _attached(look, "files", arn, arn, rights)
    if key in ("backup", "restore") and "data" in named:
        temporary = look.facts.temporary_roles.replace("*", "dw-check")
        question = Question(
            principal=temporary,
            account=look.facts.home,
            action=_TAKE,
            context={"aws:principalarn": temporary},
        )
        yield from trusts(look, "data", named["data"], rights, [question])
        yield from ask(look, PURPOSES["data"], named["data"], rights) or ()
    if key == "workerDeployment" and "repository" in look.facts.roles:
        repository = look.facts.roles["repository"]
        questions = [
            Question(principal=worker, account=account, action=_TAKE, context={"aws:principalarn": worker})
            for account, worker in look.facts.workers
            if account != look.facts.repository.account
        ]
        yield from trusts(look, "repository", repository, rights, questions)
        yield from ask(look, PURPOSES["repository"], repository, rights) or ()
    if key == "workerDeployment" and "repositoryKeeper" in look.facts.roles:
        keeper = look.facts.roles["repositoryKeeper"]
        worker = look.facts.temporary_roles.replace("*", "dw-check")
        asked = Question(principal=worker, account=look.facts.home, action=_TAKE, context={"aws:principalarn": worker})
        yield from trusts(look, "repositoryKeeper", keeper, rights, [asked])
        yield from ask(look, PURPOSES["repository-keeper"], keeper, rights) or ()
    if key == "workerDeployment" and "repositoryReader" in look.facts.roles:
        yield from _reader(look, "repositoryReader", rights)
    if key == "workerDeployment" and "repositoryOpener" in look.facts.roles:
        yield from _reader(look, "repositoryOpener", rights)


def _reader(look: Look, key: str, rights: AwsRights) -> Findings:
    """Look at a role of the repository that the control plane takes itself."""
    arn, purpose = look.facts.roles[key], next(one for one in PURPOSES.values() if one.key == key)
    trust = purpose.trust
    try:
        look.cloud.check(look.access(arn))
    except AccessDenied as error:
        add = None if trust is None else _shown(trust(look.facts)["Statement"][0])
        yield look.finding(key, State.MISSING, error.reason, remedy=_ADD, target=arn, add=add)
    yield from ask(look, purpose, arn, rights) or ()


def _attached(look: Look, key: str, role: str, asking: str, rights: AwsRights) -> Findings:
    """Look at a role that workers have: its instance profile, its trust, its rights."""
    try:
        look.cloud.roles(look.access(asking)).worker_profile(role)
    except Missing as error:
        yield look.finding(key, State.MISSING, error.reason, remedy=error.remedy, target=role)
    except CloudError:
        # The right to find it is one of the document's own, and named there.
        pass
    yield from trusts(look, key, role, rights, [_EC2])
    if key == "worker":
        yield from ask(look, PURPOSES["worker"], role, rights) or ()


def trusts(look: Look, key: str, arn: str, rights: AwsRights, questions: Sequence[Question]) -> Findings:
    """Look whether a role that cannot be tried lets those in who need it."""
    try:
        policy = rights.trust(arn)
    except CloudError:
        # Either the role is not there, or the right to read it is missing; both are named where rights are proved.
        return
    made = next(row.trust for row in PURPOSES.values() if row.key == key and row.trust is not None)
    for question in questions:
        answer = lets_in(policy, question)
        if answer is Answer.NO:
            yield look.finding(
                key,
                State.MISSING,
                f"{arn.rpartition('/')[2]} does not trust {question.principal}",
                remedy="Add the statement to the role's trust policy",
                target=arn,
                add=_shown(made(look.facts)["Statement"][-1]),
            )
        elif answer is Answer.UNKNOWN:
            yield look.finding(
                key,
                State.UNKNOWN,
                f"{arn.rpartition('/')[2]} may trust {question.principal}: its conditions cannot be judged from here",
                remedy="daywork worker test tries it",
                target=arn,
            )


def _shown(statement: Document) -> Document:
    """Return a statement for a person: placeholders, the external id among them, in angle brackets."""
    found: Document = filled(statement, lambda one: f"<{one.name}>")
    return found


def _once(findings: Iterator[Finding]) -> Findings:
    seen: set[tuple[str, str]] = set()
    for one in findings:
        if (one.subject, one.text) not in seen:
            seen.add((one.subject, one.text))
            yield one
