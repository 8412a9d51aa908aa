"""The cloud's own pages under `/_sim/`: faults, call log, health, accounts. For programs on this machine only."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

from localcloud import state, wire
from localcloud.call import Reply
from localcloud.calllog import CallLog
from localcloud.decode import Request
from localcloud.faults import BadRule, Faults
from localcloud.settings import Settings, is_account

PREFIX: Final = "/_sim/"
#: Names under which a program on this machine may speak to us; another one is a browser tricked by a foreign page.
_LOCAL_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
ADMINISTRATOR: Final = "daywork-administrator"
CONTROL_PLANE: Final = "daywork-control-plane"
_EVERYTHING: Final[dict[str, Any]] = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
}
_CONTROL_PLANE: Final[dict[str, Any]] = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": ["sts:AssumeRole", "sts:TagSession"], "Resource": "*"},
        {"Effect": "Allow", "Action": ["s3:*", "sqs:*"], "Resource": "*"},
    ],
}


class Control:
    """Answers `/_sim/` requests."""

    def __init__(self, directory: Path, settings: Settings, faults: Faults, calls: CallLog) -> None:
        self._directory = directory
        self._settings = settings
        self._faults = faults
        self._calls = calls
        self._token = ""

    def prepare(self) -> None:
        """Write the token that `/_sim/accounts` asks for, and the control plane's key if it has an account."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self._token = secrets.token_urlsafe(32)
        write_secret(self._directory / "admin-token", self._token)
        if self._settings.control_account is not None:
            key = access_key(self._settings.control_account, CONTROL_PLANE, _CONTROL_PLANE)
            write_secret(self._directory / "control-plane.json", json.dumps(key))

    def serve(self, request: Request) -> Reply:
        """Answer a request below `PREFIX`."""
        host = request.headers.get("host", "")
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if name not in _LOCAL_HOSTS:
            return wire.document({"error": f"host {name!r} is not this machine"}, 403)
        path = request.raw_path.removeprefix(PREFIX).strip("/")
        page, _, rest = path.partition("/")
        if page == "health" and request.method == "GET":
            return wire.document({"status": "ok", "accounts": len([a for a in state.iam_accounts() if is_account(a)])})
        if page == "faults":
            return self._serve_faults(request, rest)
        if page == "calls":
            return self._serve_calls(request)
        if page == "accounts" and request.method == "POST":
            return self._serve_accounts(request)
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

    def _serve_accounts(self, request: Request) -> Reply:
        if not secrets.compare_digest(request.headers.get("x-sim-token", "").encode(), self._token.encode()):
            return wire.document({"error": "header X-Sim-Token must hold what the file admin-token holds"}, 403)
        try:
            wanted = json.loads(request.body or b"null")
        except ValueError:
            return wire.document({"error": "the body is not JSON"}, 400)
        if not isinstance(wanted, dict) or set(wanted) != {"account"}:
            return wire.document({"error": 'the body must be {"account": "<12 digits>"}'}, 400)
        account = wanted["account"]
        if not isinstance(account, str) or not is_account(account):
            return wire.document({"error": f"account {account!r} is not a 12-digit account id"}, 400)
        return wire.document(dict(access_key(account, ADMINISTRATOR, _EVERYTHING)), 201)


def access_key(account: str, user: str, policy: Mapping[str, Any]) -> Mapping[str, str]:
    """Return an access key of `user` in `account`, making the user and the key when they are missing."""
    backend = state.iam(account)
    known = backend.users.get(user)
    if known is None:
        known = backend.create_user("us-east-1", user)
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
