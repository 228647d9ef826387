"""A log being followed, as its user sees it."""

from __future__ import annotations

import datetime as dt
import warnings
from bisect import bisect_left
from types import TracebackType
from typing import Self

from aioservices.models import LogEntry
from aioservices.stream import BackgroundTasks, Stream

from .cursor import LogCursor, position
from .follow import Follower, Latest
from .lines import created_at
from .options import TailOptions
from .poll import Part
from .source import LogSource
from .status import Health, TailStatus
from .traits import ServerTraits
from .window import Window

__all__ = ["LogTail"]


class LogTail:
    """The lines of a log, as they come.

    An async iterator of `LogEntry`, in order of `created_at`; a line that
    turned up late comes late. It is best used in ``async with``, which ends its
    work at once when it is left; dropped without that, it ends all the same.

    Made by `Services.tail_logs`.
    """

    def __init__(
        self,
        source: LogSource,
        tasks: BackgroundTasks,
        options: TailOptions,
        traits: ServerTraits,
        resume: LogCursor | None = None,
    ) -> None:
        self._options = options
        self._health = Health()
        self._windows: dict[int, Window] = {}
        self._over: set[int] = set()
        self._latest: Latest | None = None
        self._part: Part | None = None
        self._given = 0  # entries of the part that the caller has
        self._noted = 0  # ... that are noted in its window
        if resume is not None:
            self._windows = {place.deployment_id: place.window() for place in resume.positions}
            if resume.latest_id is not None:
                self._latest = Latest(resume.latest_id, resume.latest_at)
        self._follower = Follower(
            source,
            options,
            traits,
            self._health,
            () if resume is None else resume.positions,
            self._latest,
        )
        # One part waits while the caller is busy with the last, and another one is fetched.
        self._parts = Stream(tasks, self._follower.run, buffer=1)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> LogEntry:
        while self._part is None or self._given == len(self._part.entries):
            await self._next_part(stacklevel=3)
        entry = self._part.entries[self._given]
        self._given += 1
        return entry

    def batches(self) -> LogBatches:
        """Give the lines in lists, as they were fetched: for those who want throughput.

        Returns
        -------
        LogBatches
            An async iterator of ``list[LogEntry]``, none of which is empty.
        """
        return LogBatches(self)

    @property
    def cursor(self) -> LogCursor:
        """Where the tail stands: behind the last entry that was given."""
        self._note_given()
        latest = self._latest or self._follower.before
        return LogCursor(
            service_id=self._options.service_id,
            deployment_id=self._options.deployment_id,
            positions=tuple(position(id_, window) for id_, window in self._windows.items()),
            latest_id=None if latest is None else latest.deployment_id,
            latest_at=None if latest is None else latest.created_at,
        )

    @property
    def status(self) -> TailStatus:
        """How the tail is doing."""
        return self._health.snapshot(dt.datetime.now(dt.UTC))

    async def aclose(self) -> None:
        """End the tail, and wait until nothing of it runs any more."""
        await self._parts.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def peek(self) -> list[LogEntry]:
        """Wait for lines, and show those that are at hand without giving them.

        Returns
        -------
        list of LogEntry
            A copy, never empty. The cursor stands before them until `give`.

        Raises
        ------
        StopAsyncIteration
            If there will be none.
        """
        while self._part is None or self._given == len(self._part.entries):
            await self._next_part(stacklevel=4)
        return self._part.entries[self._given :]

    def give(self, count: int) -> None:
        """Count as given the first lines of those that `peek` showed last."""
        self._given += count

    async def _next_part(self, *, stacklevel: int) -> None:
        self._note_given()
        self._part = None
        part = await anext(self._parts)
        self._part, self._given, self._noted = part, 0, 0
        if part.deployment_id not in self._windows:
            self._take_up(part)
        if part.over:
            self._over.add(part.deployment_id)
        else:
            self._over.discard(part.deployment_id)  # it may run again
        if part.gap is not None:
            warnings.warn(part.gap, stacklevel=stacklevel)

    def _take_up(self, part: Part) -> None:
        """Begin to keep account of another log, and no longer of those that are over."""
        for over in self._over:
            del self._windows[over]
        self._over.clear()
        self._windows[part.deployment_id] = Window(part.floor)
        if self._options.deployment_id is None:
            self._latest = Latest(part.deployment_id, part.created_at).or_newer(self._latest)

    def _note_given(self) -> None:
        """Note in the window what the caller has, no less and no more."""
        part = self._part
        if part is None:
            return
        window = self._windows[part.deployment_id]
        floor = part.floor
        if self._given < len(part.entries):
            # Up to the last line given nothing is missing; from it on it may be.
            reached = part.entries[self._given - 1].created_at if self._given else None
            floor = None if floor is None or reached is None else min(floor, reached)
        window.raise_floor(floor)
        first = 0
        if window.floor is not None:
            first = bisect_left(part.entries, window.floor, key=created_at)
        window.count(part.entries[max(first, self._noted) : self._given])
        self._noted = self._given


class LogBatches:
    """The lines of a tail in lists."""

    def __init__(self, tail: LogTail) -> None:
        self._tail = tail

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[LogEntry]:
        batch = await self._tail.peek()
        self._tail.give(len(batch))
        return batch
