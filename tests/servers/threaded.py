"""A server in the event loop of another thread, which runs while the test's loop is blocked."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TypeVar

from tests.servers.waiting import PATIENCE

T = TypeVar("T")


@contextmanager
def in_thread(server: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """Run a server in a thread, and give what it gives."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        given = asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(PATIENCE)
        try:
            yield given
        finally:
            leaving = server.__aexit__(None, None, None)
            asyncio.run_coroutine_threadsafe(leaving, loop).result(PATIENCE)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE)
        for _ in range(3):  # in which connections that are closing end
            loop.run_until_complete(asyncio.sleep(0))
        loop.close()
