"""Opening the daemon's store: at once, or, where the disk is full, once there is room.

A disk that is full when the daemon starts is no other than one that becomes full while it runs:
nothing is to be mended in the store, and to end would only take away the health checks that say
what it waits for. Whatever else is wrong with a store is raised.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import anyio

from aioservices.http.failure import system_reason
from aioservices.http.retry import backoff_delays
from aioservices.stores import Store, StoreConfigError, StoreFullError
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

    async def attempt(self) -> str | None:
        """Open it, unless the disk is full.

        Returns
        -------
        str or None
            Why it is not open, if it is not.

        Raises
        ------
        StoreError
            If the store cannot be used, and room would not help.
        """
        if self._is_open:
            return None
        try:
            if self._directory is not None:
                _make(self._directory)
            await self._store.__aenter__()
        except StoreFullError as exc:
            return f"the store cannot be opened yet: {exc}"
        self._is_open = True
        log.info("lines are kept in %s", self._store.url)
        return None

    async def until_open(self, report: Callable[[str], None], given_up: anyio.Event) -> bool:
        """Open it, however long there is no room.

        Parameters
        ----------
        report : callable
            Called with the reason each time that it has to wait.
        given_up : anyio.Event
            Set when nobody wants it any more.

        Returns
        -------
        bool
            Whether it is open.
        """
        delays = backoff_delays(*_DELAYS)
        while not given_up.is_set():
            if (reason := await self.attempt()) is None:
                return True
            report(reason)
            with anyio.move_on_after(next(delays)):
                await given_up.wait()
        return self._is_open


def _make(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        if is_no_room(exc):
            raise StoreFullError(f"{directory}: there is no room left on the disk") from exc
        reason = system_reason(exc)
        raise StoreConfigError(f"{directory} cannot be made for the store: {reason}") from exc
