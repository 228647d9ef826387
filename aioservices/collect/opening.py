"""Opens the daemon's store, and retries while it is unavailable.

A database that is unavailable, or a disk that is full, is treated the same at the start of the
daemon as later: the configuration is not at fault, and machines start their programs in any order.
If the daemon exited, nobody could see in its health checks what it waits for. Every other error of
a store is raised, because waiting does not help.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import anyio

from aioservices.http.failure import system_reason
from aioservices.http.retry import backoff_delays
from aioservices.stores import Store, StoreConfigError, StoreFullError, StoreUnavailableError
from aioservices.stores.files import is_disk_full

__all__ = ["StoreOpener"]

log = logging.getLogger("aioservices.collect")

_DELAYS = (0.5, 10.0)  # seconds between two attempts, at first and at most


class StoreOpener:
    """Opens a store, and retries while it is unavailable.

    Parameters
    ----------
    store : Store
        Not open yet. The caller closes it in any case.
    directory : Path, optional
        A directory to create for it.
    """

    def __init__(self, store: Store, directory: Path | None = None) -> None:
        self._store = store
        self._directory = directory
        self._is_open = False
        self._attempted = anyio.Event()
        self._ended = anyio.Event()
        self._scope = anyio.CancelScope()

    async def run(self, report: Callable[[str], None]) -> None:
        """Try to open the store until that succeeds, or until `give_up`.

        Parameters
        ----------
        report : callable
            Called with the reason after each failed attempt.

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
        """Wait until the store is open, or `give_up` was called; return whether it is open."""
        await self._ended.wait()
        return self._is_open

    def give_up(self) -> None:
        """Stop trying, if it is not open yet."""
        self._scope.cancel()

    async def _attempt(self) -> None:
        if self._directory is not None:
            _make_directory(self._directory)
        await self._store.__aenter__()
        self._is_open = True
        log.info("lines are stored in %s", self._store.url)


def _make_directory(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        if is_disk_full(exc):
            raise StoreFullError(f"{directory}: there is no space left on the disk") from exc
        reason = system_reason(exc)
        raise StoreConfigError(f"{directory} cannot be created for the store: {reason}") from exc
