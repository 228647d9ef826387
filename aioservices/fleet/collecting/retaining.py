"""Has a store remove what need not be kept any longer, now and then.

What is removed by its age is gone for good, so no wrong clock may decide about it. Lines are dated
by the server that gives them, and its answers tell its time: the store goes by that, unless its
own clock is behind. Until the server has told the time, nothing is removed by its age. Where no
log is read for long, as where no service runs, the store's own clock has to do.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Callable

import anyio
import msgspec

from aioservices.stores import Retention, Store, StoreUnavailableError

__all__ = ["Retainer"]

log = logging.getLogger("aioservices.collect")

_INTERVAL = 60.0  # seconds
_PATIENCE = 600.0  # seconds in which the server should tell the time
_NOTABLE = dt.timedelta(minutes=5)  # between our clock and the server's


class Retainer:
    """Applies a retention to a store.

    Parameters
    ----------
    store : Store
    retention : Retention
    server_time : callable
        Gives the time by the clock of the server, if it is known.

    Attributes
    ----------
    removed : int
        Lines that were removed.
    """

    def __init__(
        self,
        store: Store,
        retention: Retention,
        server_time: Callable[[], dt.datetime | None],
    ) -> None:
        self.removed = 0
        self._store = store
        self._retention = retention
        self._server_time = server_time
        self._heard: dt.datetime | None = None  # from the server, at ...
        self._heard_at = 0.0
        self._is_warned = False

    async def run(self) -> None:
        """Remove what is to be removed, once a minute, until cancelled."""
        began = anyio.current_time()
        while True:
            now = anyio.current_time()
            try:
                removed = await self._store.retain(self.retention_at(now, waited=now - began))
            except StoreUnavailableError as exc:
                log.warning("old lines could not be removed now: %s", exc)
            else:
                self.removed += removed.lines
                for name, lines in removed.unsent.items():
                    if lines:
                        log.warning("%d lines were removed before %s had sent them", lines, name)
            await anyio.sleep(_INTERVAL)

    def retention_at(self, now: float, *, waited: float) -> Retention:
        """Say what may be removed at a moment.

        Parameters
        ----------
        now : float
            Seconds of a clock that only goes forward.
        waited : float
            Seconds since the first moment.
        """
        heard = self._server_time()
        if heard is not None:
            self._heard, self._heard_at = heard, now
            self._compare(heard)
        if self._heard is not None:
            server_time = self._heard + dt.timedelta(seconds=now - self._heard_at)
            return msgspec.structs.replace(self._retention, server_time=server_time)
        if waited < _PATIENCE:
            return msgspec.structs.replace(self._retention, max_age=None)
        return self._retention

    def _compare(self, server_time: dt.datetime) -> None:
        """Say that our clock is wrong, once."""
        ahead = dt.datetime.fromtimestamp(time.time(), dt.UTC) - server_time
        if abs(ahead) > _NOTABLE and not self._is_warned:
            log.warning(
                "the clock of this machine is %d minutes %s the server's; lines are never removed "
                "earlier than the server's clock allows",
                abs(ahead) // dt.timedelta(minutes=1),
                "ahead of" if ahead > dt.timedelta(0) else "behind",
            )
        self._is_warned = abs(ahead) > _NOTABLE
