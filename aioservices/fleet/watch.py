"""Watching the logs of many services in one stream."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Self

import anyio

from aioservices.concurrency import BackgroundTasks, Stream
from aioservices.tail import LogCursor, LogTail, TailStatus
from aioservices.tail.fetcher import FetchService

from .merge import LatestTime, ReorderBuffer
from .session import Session
from .watcher import Turn, WatchedEntry, Watcher, WatchOptions

__all__ = ["LogWatch"]

_IN_A_ROW = 100


class LogWatch:
    """The lines of many logs, as they arrive.

    An async iterator of `WatchedEntry` and an async context manager, whose end
    ends all of its work. Several tasks may iterate it: each line goes to one of them.
    Made by `Services.watch_logs`.
    """

    def __init__(
        self,
        tasks: BackgroundTasks,
        session: Session,
        open_tail: Callable[[int, LogCursor | None, FetchService], LogTail],
        options: WatchOptions,
        resume: Mapping[int, LogCursor],
    ) -> None:
        self._held = None if options.hold_back is None else ReorderBuffer[Turn](options.hold_back)
        self._latest = LatestTime()
        self._delivered_in_a_row = 0  # lines delivered without a new one
        self._has_sink = options.sink is not None
        self._lock = anyio.Lock(fast_acquire=True)
        self._watcher = Watcher(session, open_tail, options, dict(resume), self._held)
        self._turns = Stream(tasks, self._watcher.run)
        self._turn: Turn | None = None
        self._delivered = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> WatchedEntry:
        async with self._lock:
            if self._held is not None:
                turn = await self._next_in_order(self._held)
            else:
                while self._turn is None or self._turn.over.is_set():
                    self._turn = await anext(self._turns)
                turn = self._turn
            self._delivered += 1
            return turn.next()

    async def run(self) -> None:
        """Let the sink write every line; until cancelled.

        Raises
        ------
        ValueError
            If the watch has no sink.
        ServicesError
            An error that concerns all services, as `AuthenticationError`.

        Examples
        --------
        ::

            async with services.watch_logs(name="web-*", sink=sink) as watch:
                await watch.run()
        """
        if not self._has_sink:
            raise ValueError("run needs a sink: pass one to watch_logs, or iterate the watch")
        async with self._lock:
            while self._held:
                self._delivered += self._held.pop().skip()
            if self._turn is not None:
                self._delivered += self._turn.skip()
            async for turn in self._turns:
                self._delivered += turn.skip()

    @property
    def delivered(self) -> int:
        """The number of lines that were returned, or written by `run`."""
        return self._delivered

    @property
    def checkpoint(self) -> dict[int, LogCursor]:
        """The position in each service's log: behind its last line that was returned."""
        return self._watcher.checkpoint()

    @property
    def statuses(self) -> dict[int, TailStatus]:
        """The status of each service's tail."""
        return {each: tail.status for each, tail in self._watcher.tails.items()}

    @property
    def failures(self) -> Mapping[int, Exception]:
        """The error for each service whose log cannot be read; it is retried at each refresh."""
        return MappingProxyType(self._watcher.failures)

    async def aclose(self) -> None:
        """End the watch, and wait until all its work has ended."""
        await self._turns.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _next_in_order(self, held: ReorderBuffer[Turn]) -> Turn:
        # For a slow caller there are always lines to release: new ones must not wait until
        # there are none left, or older lines would come behind these.
        while (wait := held.wait(time.monotonic())) > 0 or self._delivered_in_a_row >= _IN_A_ROW:
            self._delivered_in_a_row = 0
            with anyio.move_on_after(wait):
                turn = await anext(self._turns)
                now = time.monotonic()
                latest = self._latest.observe(self._watcher.latest_time(turn.service_id), now)
                for entry in turn.entries:
                    held.push(turn.service_id, entry.created_at, turn, now, latest=latest)
        self._delivered_in_a_row += 1
        turn = held.pop()
        self._watcher.release_line(turn.service_id)
        return turn
