"""The cloud's own pages under `/_sim/`: faults, throttle, calls, grants, accounts. For this machine's programs only."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from localcloud import state, wire
from localcloud.call import Reply
from localcloud.calllog import CallLog
from localcloud.decode import Request
from localcloud.faults import BadRule, Faults
from localcloud.settings import Settings, is_account
from localcloud.throttle import Throttle
from localcloud.usage import Usage

PREFIX: Final = "/_sim/"
#: Names under which a program on this machine may speak to us; another one is a browser tricked by a foreign page.
_LOCAL_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "::1"})
ADMINISTRATOR: Final = "daywork-administrator"
CONTROL_PLANE: Final = "daywork-control-plane"
_EVERYTHING: Final[dict[str, Any]] = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
}
_USER_NAME: Final = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)

#: Answers a request to a page of its own; is given what follows the page's name in the path.
Page = Callable[[Request, str], Reply]


class Control:
    """Answers `/_sim/` requests."""

    def __init__(
        self,
        directory: Path,
        settings: Settings,
        *,
        faults: Faults,
        calls: CallLog,
        throttle: Throttle,
        usage: Usage,
    ) -> None:
        self._directory = directory
        self._settings = settings
        self._faults = faults
        self._calls = calls
        self._throttle = throttle
        self._usage = usage
        self._token = ""
        self._pages: dict[str, Page] = {
            "accounts": lambda request, _: self._serve_accounts(request),
            "users": lambda request, _: self._serve_users(request),
        }

    def add_page(self, name: str, page: Page) -> None:
        """Serve `/_sim/<name>/...` by a part of the cloud. The page asks for the token; must come before the start."""
        self._pages[name] = page

    def prepare(self) -> None:
        """Write the token that pages with power ask for, and the control plane's key if it has an account."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self._token = secrets.token_urlsafe(32)
        write_secret(self._directory / "admin-token", self._token)
        if self._settings.control_account is not None:
            # The user may do nothing until somebody gives it a policy, as on AWS.
            key = access_key(self._settings.control_account, CONTROL_PLANE)
            write_secret(self._directory / "control-plane.json", json.dumps(key))

    def serve(self, request: Request) -> Reply:
        """Answer a request below `PREFIX`."""
        if (foreign := _foreign(request)) is not None:
            return wire.document({"error": foreign}, 403)
        path = request.raw_path.removeprefix(PREFIX).strip("/")
        page, _, rest = path.partition("/")
        if page == "health" and request.method == "GET":
            return wire.document({"status": "ok", "accounts": len([a for a in state.iam_accounts() if is_account(a)])})
        if page == "faults":
            return self._serve_faults(request, rest)
        if page == "calls":
            return self._serve_calls(request)
        if page == "grants":
            return self._serve_grants(request)
        if page == "throttle":
            return self._serve_throttle(request)
        if page in self._pages:
            if not secrets.compare_digest(request.headers.get("x-sim-token", "").encode(), self._token.encode()):
                return wire.document({"error": "header X-Sim-Token must hold what the file admin-token holds"}, 403)
            return self._pages[page](request, rest)
        return wire.document({"error": f"{request.method} {request.raw_path} does not exist"}, 404)

    def _serve_faults(self, request: Request, rule_id: str) -> Reply:
        if request.method == "GET":
            return wire.document({"rules": self._faults.rules()})
        if request.method == "DELETE":
            return wire.document({"removed": self._faults.clear(rule_id or None)})
        if request.method != "POST":
            return wire.document({"error": "use GET, POST or DELETE"}, 405)
        try:
            rule = self._faults.add(json.loads(request.body or b"null"))
        except BadRule as error:
            return wire.document({"error": str(error)}, 400)
        except ValueError:
            return wire.document({"error": "the body is not JSON"}, 400)
        return wire.document(rule.to_dict(), 201)

    def _serve_calls(self, request: Request) -> Reply:
        if request.method == "DELETE":
            return wire.document({"removed": self._calls.clear()})
        if request.method != "GET":
            return wire.document({"error": "use GET or DELETE"}, 405)
        since = dict(parse_qsl(request.raw_query)).get("since", "0")
        try:
            moment = float(since)
        except ValueError:
            return wire.document({"error": f"since {since!r} is not a Unix time in seconds"}, 400)
        return wire.document({"calls": self._calls.since(moment)})

    def _serve_grants(self, request: Request) -> Reply:
        if request.method == "DELETE":
            self._usage.clear()
            return wire.document({"forgotten": True})
        if request.method != "GET":
            return wire.document({"error": "use GET or DELETE"}, 405)
        return wire.document(self._usage.report(without=frozenset({ADMINISTRATOR})))

    def _serve_throttle(self, request: Request) -> Reply:
        if request.method == "GET":
            return wire.document(self._throttle.to_dict())
        if request.method != "PUT":
            return wire.document({"error": "use GET or PUT"}, 405)
        try:
            wanted = json.loads(request.body or b"null")
        except ValueError:
            return wire.document({"error": "the body is not JSON"}, 400)
        if not isinstance(wanted, dict) or set(wanted) != {"on"} or not isinstance(wanted["on"], bool):
            return wire.document({"error": 'the body must be {"on": true} or {"on": false}'}, 400)
        self._throttle.switch(on=wanted["on"])
        return wire.document(self._throttle.to_dict())

    def _serve_accounts(self, request: Request) -> Reply:
        wanted, refused = _wanted(request, ("account",))
        if refused is not None:
            return refused
        return wire.document(dict(access_key(wanted["account"], ADMINISTRATOR, _EVERYTHING)), 201)

    def _serve_users(self, request: Request) -> Reply:
        wanted, refused = _wanted(request, ("account", "user"))
        if refused is not None:
            return refused
        if not _USER_NAME.fullmatch(wanted["user"]):
            return wire.document({"error": f"user {wanted['user']!r} is not a name of an IAM user"}, 400)
        return wire.document(dict(access_key(wanted["account"], wanted["user"])), 201)


def _foreign(request: Request) -> str | None:
    """Tell why a request does not come from a program on this machine, or None when it does.

    A page of another site can make a browser on this machine send requests here. Such a request names the site as its
    host (a name that leads to this address) or as its origin.
    """
    for header in ("host", "origin"):
        given = request.headers.get(header)
        if given is None and header == "origin":
            continue
        host = urlsplit(f"//{given}" if header == "host" else given or "").hostname
        if host not in _LOCAL_HOSTS:
            return f"{header} {given!r} is not this machine"
    return None


def _wanted(request: Request, names: tuple[str, ...]) -> tuple[dict[str, str], Reply | None]:
    """Read a JSON object with exactly these fields, `account` among them, or say what is wrong."""
    if request.method != "POST":
        return {}, wire.document({"error": "use POST"}, 405)
    try:
        wanted = json.loads(request.body or b"null")
    except ValueError:
        return {}, wire.document({"error": "the body is not JSON"}, 400)
    if (
        not isinstance(wanted, dict)
        or set(wanted) != set(names)
        or not all(isinstance(value, str) for value in wanted.values())
    ):
        return {}, wire.document({"error": f"the body must be an object with the texts {', '.join(names)}"}, 400)
    if not is_account(wanted["account"]):
        return {}, wire.document({"error": f"account {wanted['account']!r} is not a 12-digit account id"}, 400)
    return wanted, None


def access_key(account: str, user: str, policy: Mapping[str, Any] | None = None) -> Mapping[str, str]:
    """Return an access key of `user` in `account`, making the user (with `policy`) and the key when missing."""
    backend = state.iam(account)
    known = backend.users.get(user)
    if known is None:
        known = backend.create_user("us-east-1", user)
        if policy is not None:
            backend.put_user_policy(user, user, json.dumps(policy))
    key = known.access_keys[0] if known.access_keys else backend.create_access_key(user)
    return {
        "account": account,
        "user": user,
        "accessKeyId": key.access_key_id,
        "secretAccessKey": key.secret_access_key,
    }


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)
