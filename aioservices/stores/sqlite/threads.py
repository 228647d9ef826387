"""The threads of a SQLite store: one writer and some readers."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

from aioservices.stores.errors import StoreError

from .schema import open_readonly, translated_errors

__all__ = ["ReaderThreads", "WorkThreads"]

P = ParamSpec("P")
T = TypeVar("T")

_READERS = 2


class WorkThreads:
    """Threads for one purpose, with a queue of work."""

    def __init__(self, count: int, name: str) -> None:
        self._executor = ThreadPoolExecutor(count, thread_name_prefix=name)

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function in a thread. It may run even if the caller is cancelled."""
        try:
            future = self._executor.submit(function, *args, **kwargs)
        except RuntimeError:
            raise StoreError("the store is closed") from None
        return await asyncio.wrap_future(future)

    def submit(self, function: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Run a function in a thread without waiting for it; does nothing while closing."""
        try:
            self._executor.submit(function, *args, **kwargs)
        except RuntimeError:  # closed
            return

    async def aclose(self, last: Callable[[], object] | None = None) -> None:
        """Wait for the queued work, run one last function, and end the threads."""
        with contextlib.suppress(RuntimeError):  # already closed
            if last is not None:
                await asyncio.wrap_future(self._executor.submit(last))
        # Work of a cancelled caller continues, and uses its connection.
        await asyncio.to_thread(self._executor.shutdown)


class ReaderThreads:
    """Read-only connections, each in a thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._threads = WorkThreads(_READERS, "store-reader")
        self._is_closed = False

    async def check(self) -> None:
        """Check that the file can be read."""
        await self.run(_do_nothing)

    async def run(self, function: Callable[..., T], *args: object) -> T:
        """Call a function with a connection and the arguments."""
        return await self._threads.run(self._call, function, args)

    async def aclose(self) -> None:
        """Interrupt the running queries, and close the connections."""
        self._is_closed = True
        for connection in self._connections:
            connection.interrupt()
        # Closing a connection while a thread reads from it would crash the process.
        await self._threads.aclose()
        while self._connections:
            self._connections.pop().close()

    def _call(self, function: Callable[..., T], args: tuple[object, ...]) -> T:
        try:
            with translated_errors(self._path):
                return function(self._connection(), *args)
        except StoreError:
            if self._is_closed:
                raise StoreError("the store is closed") from None
            raise

    def _connection(self) -> sqlite3.Connection:
        """Return the connection of this thread."""
        if self._is_closed:
            raise StoreError("the store is closed")
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = open_readonly(self._path)
            self._connections.append(connection)
        return connection


def _do_nothing(_: sqlite3.Connection) -> None:
    """Only open the connection."""
