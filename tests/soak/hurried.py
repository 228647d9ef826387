"""The daemon with a clock that leaps over the time in which nothing happens.

``python -m tests.soak.hurried CLOCK LIMIT collect ...`` is ``aioservices collect ...``, but where
its event loop would sleep, its clock continues at once to when it would have woken up. Nothing else
is changed: it runs as it always does, only that a day takes it as long as its work of a day. While
it waits for an answer, of the API or of the store, the clock goes like any other.

The file CLOCK has by how many seconds the clock is ahead, for the server, which has to live at the
same time. From LIMIT, in seconds since 1970, time continues as usual.
"""

from __future__ import annotations

import asyncio  # noqa: F401 - these four must keep their own clock: what they measure is real
import concurrent.futures
import mmap
import queue  # noqa: F401
import selectors
import sqlite3  # noqa: F401
import struct
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

_HELD = 0.005  # seconds between two checks of what is waited for

real_time, real_monotonic = time.time, time.monotonic


def read_ahead(path: Path) -> float:
    """Return by how many seconds the clock of a hurried daemon is ahead."""
    return float(struct.unpack("d", path.read_bytes())[0])


class HurriedClock:
    """Time that runs as usual, and by leaps.

    Parameters
    ----------
    path : Path
        Where others read how far it is ahead: eight bytes, all zero at the begin.
    limit : float
        Until when it leaps.
    """

    def __init__(self, path: Path, limit: float) -> None:
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), 8)
        self._limit = limit
        self._held = 0
        self._lock = threading.Lock()
        self.ahead = 0.0

    def time(self) -> float:
        return real_time() + self.ahead

    def time_ns(self) -> int:
        return int(self.time() * 1e9)

    def monotonic(self) -> float:
        return real_monotonic() + self.ahead

    def leap(self, seconds: float) -> bool:
        """Go on at once, unless somebody waits or the end is reached; tell whether it did."""
        if self._held or self.time() >= self._limit:
            return False
        self.ahead += seconds
        self._shared[:] = struct.pack("d", self.ahead)
        return True

    def patience(self, seconds: float | None) -> float | None:
        """Return how long to wait now: while the clock is held, until it may be let go."""
        if not self._held:
            return seconds
        return _HELD if seconds is None else min(seconds, _HELD)

    def hold(self) -> None:
        """Go on as usual until `release`."""
        with self._lock:
            self._held += 1

    def release(self) -> None:
        with self._lock:
            self._held -= 1

    @contextmanager
    def holding(self) -> Generator[None]:
        self.hold()
        try:
            yield
        finally:
            self.release()


def install(clock: HurriedClock) -> None:
    """Make this process use a clock; called before the package is imported."""
    time.time, time.time_ns, time.monotonic = clock.time, clock.time_ns, clock.monotonic
    _let_the_loop_leap(clock)
    _hold_for_threads(clock)
    _hold_for_answers(clock)
    _hold_for_transactions(clock)
    _hold_for_collectors(clock)


def _let_the_loop_leap(clock: HurriedClock) -> None:
    class Selector(selectors.DefaultSelector):
        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
            if ready or (timeout is not None and timeout <= 0):
                return ready
            if timeout is not None and clock.leap(timeout):
                return []
            return super().select(clock.patience(timeout))

    selectors.DefaultSelector = Selector  # type: ignore[misc]


def _hold_for_threads(clock: HurriedClock) -> None:
    submit = concurrent.futures.ThreadPoolExecutor.submit

    def held(
        self: concurrent.futures.ThreadPoolExecutor,
        function: Callable[..., Any],
        /,
        *args: Any,
        **kwargs: Any,
    ) -> concurrent.futures.Future[Any]:
        clock.hold()
        try:
            future = submit(self, function, *args, **kwargs)
        except BaseException:
            clock.release()
            raise
        future.add_done_callback(lambda _: clock.release())
        return future

    concurrent.futures.ThreadPoolExecutor.submit = held  # type: ignore[assignment, method-assign]


def _hold_for_answers(clock: HurriedClock) -> None:
    from aioservices.collect.metrics import RequestCounter
    from aioservices.http.options import Attempt

    count = RequestCounter.__call__

    def held(self: RequestCounter, attempt: Attempt) -> None:
        if attempt.state == "sending":
            clock.hold()
        elif attempt.state in ("answered", "failed"):
            clock.release()
        count(self, attempt)

    RequestCounter.__call__ = held  # type: ignore[method-assign]


def _hold_for_transactions(clock: HurriedClock) -> None:
    from aioservices.stores.postgres.session import Connection, Session

    transaction = Session.transaction

    @asynccontextmanager
    async def held(self: Session) -> AsyncGenerator[Connection]:
        with clock.holding():
            async with transaction(self) as connection:
                yield connection

    Session.transaction = held  # type: ignore[method-assign]


def _hold_for_collectors(clock: HurriedClock) -> None:
    from aioservices.stores import StoredEntry
    from aioservices.stores.forward.otlp import OTLPForwarder
    from aioservices.stores.forward.protocol import PartlyRejected

    send = OTLPForwarder.send

    async def held(self: OTLPForwarder, lines: Sequence[StoredEntry]) -> PartlyRejected | None:
        with clock.holding():
            return await send(self, lines)

    OTLPForwarder.send = held  # type: ignore[method-assign]


if __name__ == "__main__":
    install(HurriedClock(Path(sys.argv[1]), float(sys.argv[2])))
    del sys.argv[1:3]
    from aioservices.__main__ import command

    sys.exit(command())
