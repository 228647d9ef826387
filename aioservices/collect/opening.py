"""Opening the daemon's store: at once, or, while it cannot be reached, once it can.

A database that is away when the daemon starts, or a disk that is full, is the same as one that
becomes so while the daemon runs: nothing in the configuration has to be mended, and machines start
their programs in any order. To end would only take away the health checks that say what the daemon
waits for. Every other error of a store is raised, because waiting does not mend it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import anyio

from aioservices.http.failure import system_reason
from aioservices.http.retry import backoff_delays
from aioservices.stores import Store, StoreConfigError, StoreFullError, StoreUnavailableError
from aioservices.stores.files import is_no_room

__all__ = ["Opening"]

log = logging.getLogger("aioservices.collect")

_DELAYS = (0.5, 10.0)  # between two attempts


class Opening:
    """A store on its way to being open.

    Parameters
    ----------
    store : Store
        Not open yet. Its owner closes it, whether or not it was opened.
    directory : Path, optional
        A directory to be made for it.
    """

    def __init__(self, store: Store, directory: Path | None = None) -> None:
        self._store = store
        self._directory = directory
        self._is_open = False
        self._attempted = anyio.Event()
        self._ended = anyio.Event()
        self._scope = anyio.CancelScope()

    async def run(self, report: Callable[[str], None]) -> None:
        """Open the store, however often that has to be tried, or until `give_up`.

        Parameters
        ----------
        report : callable
            Called with the reason each time that an attempt has failed.

        Raises
        ------
        StoreError
            If the store cannot be used, and waiting would not help.
        """
        delays = backoff_delays(*_DELAYS)
        with self._scope:
            while not self._is_open:
                try:
                    await self._attempt()
                except StoreUnavailableError as exc:
                    report(f"the store cannot be opened yet: {exc}")
                    self._attempted.set()
                    await anyio.sleep(next(delays))
        self._attempted.set()
        self._ended.set()

    async def until_attempted(self) -> None:
        """Wait until the first attempt has succeeded or failed."""
        await self._attempted.wait()

    async def is_open(self) -> bool:
        """Wait until the store is open, or given up; tell which."""
        await self._ended.wait()
        return self._is_open

    def give_up(self) -> None:
        """Open it no more, if it is not open: nobody wants it now."""
        self._scope.cancel()

    async def _attempt(self) -> None:
        if self._directory is not None:
            _make(self._directory)
        await self._store.__aenter__()
        self._is_open = True
        log.info("lines are kept in %s", self._store.url)


def _make(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        if is_no_room(exc):
            raise StoreFullError(f"{directory}: there is no room left on the disk") from exc
        reason = system_reason(exc)
        raise StoreConfigError(f"{directory} cannot be made for the store: {reason}") from exc
