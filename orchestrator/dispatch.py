"""Getting work moving without depending on it: what cannot be published now, the reconciler publishes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta

import structlog

from orchestrator.model.work import WorkKey
from orchestrator.ports import Dispatch

log = structlog.get_logger(__name__)


class ForgivingDispatch:
    """A `Dispatch` that never raises. The ledger knows what should move, so a broker that is away only delays it."""

    def __init__(self, inner: Dispatch) -> None:
        """Take the dispatch that does it."""
        self._inner = inner

    def drive(self, keys: Iterable[WorkKey]) -> None:
        """See the port."""
        if wanted := list(keys):
            self._try(lambda: self._inner.drive(wanted))

    def launch(self, account: str, region: str, *, after: timedelta = timedelta()) -> None:
        """See the port."""
        self._try(lambda: self._inner.launch(account, region, after=after))

    def terminate(self, account: str, region: str, *, after: timedelta = timedelta()) -> None:
        """See the port."""
        self._try(lambda: self._inner.terminate(account, region, after=after))

    def _try(self, publish: Callable[[], None]) -> None:
        try:
            publish()
        except Exception as error:  # noqa: BLE001 - a broker's client raises anything; the reconciler repairs it
            log.warning("not published yet", reason=type(error).__name__)
