"""The part of `ec2-restore-files` that answers requests, until none has come for a while.

Requests are read one after the other by their numbers (`agent.protocol.browsing`). An answer is a JSON object with
`number` and `error` (`reason`, `remedy`) or: of `systems` `fileSystems`; of `list` and `search` `files`, `problems` and
`isComplete`; of `extract` `output`, `files`, `directories`, `others`, `bytesRead`, `notes`, `problems`, `problemCount`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agent.files.errors import FilesError
from agent.files.listing import listed, row_document, system_document
from agent.files.opening import Found
from agent.files.walking import Wanted, parse
from agent.protocol import Ask, ProtocolError
from agent.repository.errors import Missing, Refused
from agent.repository.objects import Objects

#: The name of an archive in the worker's own folder of restored files.
ARCHIVE: Final = "files.tar"
#: Seconds between two looks for the next request.
_LOOK: Final = 1.0
#: What nobody can read through anyway; a search says that there is more.
_MOST: Final = 100_000


@dataclass(frozen=True, kw_only=True)
class Browsing:
    """A worker's answering. `orders` are its session's, in which its requests and answers bear its `user_id`.

    `extract(paths, name)` writes an archive of that name and returns what the answer says of it. `pause` waits and
    raises when the job ends.
    """

    found: Sequence[Found]
    orders: Objects
    user_id: str
    idle: float
    extract: Callable[[Sequence[bytes], str], dict[str, Any]]
    pause: Callable[[float], None]
    clock: Callable[[], float] = time.monotonic

    def run(self) -> int:
        """Answer until nothing has been asked for `idle` seconds. Returns how many requests were answered."""
        number, asked_at = 1, self.clock()
        while True:
            ask = self._ask(number)
            if ask is not None:
                answer = {"number": number, **self._answer(ask, number)}
                text = json.dumps(answer, ensure_ascii=True)
                self.orders.put(f"{self.user_id}.answer/{number}.json", text.encode())
                number, asked_at = number + 1, self.clock()
                continue
            if self.clock() - asked_at >= self.idle:
                return number - 1
            self.pause(_LOOK)

    def _ask(self, number: int) -> bytes | None:
        try:
            return bytes(self.orders.get(f"{self.user_id}.ask/{number}.json"))
        except (Missing, Refused):
            # Whoever may not list hears that it is not allowed where nothing is.
            return None

    def _answer(self, text: bytes, number: int) -> dict[str, Any]:
        try:
            ask = Ask.from_json(text)
            if ask.what == "systems":
                return {"fileSystems": [system_document(one) for one in self.found]}
            if ask.what == "extract":
                return self.extract([parse(path) for path in ask.paths], f"{number}/{ARCHIVE}")
            wanted = Wanted(pattern=parse(ask.pattern or "*")) if ask.what == "search" else None
            path = parse(ask.paths[0]) if ask.paths else b"/"
            listing = listed(self.found, path, wanted, min(max(1, ask.limit), _MOST))
        except FilesError as error:
            return {"error": {"reason": str(error), "remedy": error.remedy}}
        except ProtocolError as error:
            return {"error": {"reason": str(error), "remedy": "Ask with a command line of the agent's version"}}
        return {
            "files": [row_document(row) for row in listing.rows],
            "problems": listing.problems,
            "isComplete": not listing.has_more,
        }
