"""The threads of a SQLite store: the one that writes, and those that read."""

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
    """Threads for one purpose, and what was given to them."""

    def __init__(self, count: int, name: str) -> None:
        self._executor = ThreadPoolExecutor(count, thread_name_prefix=name)

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function there. If the caller is cancelled, it may run all the same."""
        try:
            future = self._executor.submit(function, *args, **kwargs)
        except RuntimeError:
            raise StoreError("the store is closed") from None
        return await asyncio.wrap_future(future)

    def submit(self, function: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Run a function there that nobody waits for, unless it is being closed."""
        try:
            self._executor.submit(function, *args, **kwargs)
        except RuntimeError:  # closed
            return

    async def aclose(self, last: Callable[[], object] | None = None) -> None:
        """Wait until all has run that was given, then one more function, and end the threads."""
        with contextlib.suppress(RuntimeError):  # it was closed before
            if last is not None:
                await asyncio.wrap_future(self._executor.submit(last))
        # What a cancelled caller has left there runs on, and uses its connection.
        await asyncio.to_thread(self._executor.shutdown)


class ReaderThreads:
    """Connections that can only read, each with a thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._threads = WorkThreads(_READERS, "store-reader")
        self._is_closed = False

    async def check(self) -> None:
        """Find out whether the file can be read."""
        await self.run(_do_nothing)

    async def run(self, function: Callable[..., T], *args: object) -> T:
        """Call a function with a connection, and with the arguments."""
        return await self._threads.run(self._call, function, args)

    async def aclose(self) -> None:
        """Interrupt what is being read, and close the connections."""
        self._is_closed = True
        for connection in self._connections:
            connection.interrupt()
        # Closed under a thread that reads, a connection takes the whole process with it.
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
        """Give the connection of this thread."""
        if self._is_closed:
            raise StoreError("the store is closed")
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = open_readonly(self._path)
            self._connections.append(connection)
        return connection


def _do_nothing(_: sqlite3.Connection) -> None:
    """Only open the connection."""
