"""Applies the retention rules to a store once a minute.

Removing old lines cannot be undone, so it must not depend on a wrong clock. The timestamps of lines
come from the server, and its responses contain its time: the store uses that time, unless its own
clock is behind it. Until the server's time is known, no line is removed because of its age. If no
log is read for a long time, for example because no service runs, the store uses its own clock.
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
_MAX_WAIT = 600.0  # seconds to wait for the server's time
_CLOCK_TOLERANCE = dt.timedelta(minutes=5)  # between this machine's clock and the server's


class Retainer:
    """Applies a retention to a store.

    Parameters
    ----------
    store : Store
    retention : Retention
    server_time : callable
        Returns the server's time, if it is known.

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
        self._last_server_time: dt.datetime | None = None
        self._server_time_seen_at = 0.0
        self._is_warned = False

    async def run(self) -> None:
        """Remove old lines once a minute, until cancelled."""
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
        """Return what may be removed now.

        Parameters
        ----------
        now : float
            Seconds of a monotonic clock.
        waited : float
            Seconds since the start of `run`.
        """
        server_time = self._server_time()
        if server_time is not None:
            self._last_server_time, self._server_time_seen_at = server_time, now
            self._check_clock(server_time)
        if self._last_server_time is not None:
            estimate = self._last_server_time + dt.timedelta(
                seconds=now - self._server_time_seen_at
            )
            return msgspec.structs.replace(self._retention, server_time=estimate)
        if waited < _MAX_WAIT:
            return msgspec.structs.replace(self._retention, max_age=None)
        return self._retention

    def _check_clock(self, server_time: dt.datetime) -> None:
        """Warn once if the clock of this machine is wrong."""
        ahead = dt.datetime.fromtimestamp(time.time(), dt.UTC) - server_time
        if abs(ahead) > _CLOCK_TOLERANCE and not self._is_warned:
            log.warning(
                "the clock of this machine is %d minutes %s the server's; lines are never removed "
                "earlier than the server's clock allows",
                abs(ahead) // dt.timedelta(minutes=1),
                "ahead of" if ahead > dt.timedelta(0) else "behind",
            )
        self._is_warned = abs(ahead) > _CLOCK_TOLERANCE
