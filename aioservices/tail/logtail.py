"""A log being followed, as its user sees it."""

from __future__ import annotations

import datetime as dt
import math
import warnings
from bisect import bisect_left
from types import TracebackType
from typing import Self

from aioservices.models import LogEntry
from aioservices.stream import BackgroundTasks, Stream

from .bounds import created_at
from .cursor import LogCursor, position
from .follow import Follower, Part, TailOptions
from .plan import ServerTraits
from .source import LogSource
from .status import Health, TailStatus
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
        self._latest_id: int | None = None
        self._latest_at: dt.datetime | None = None
        self._part: Part | None = None
        self._given = 0  # entries of the part that the caller has
        self._noted = 0  # ... that are noted in its window
        if resume is not None:
            self._windows = {place.deployment_id: place.window() for place in resume.positions}
            self._latest_id, self._latest_at = resume.latest_id, resume.latest_at
        follower = Follower(
            source,
            options,
            traits,
            self._health,
            () if resume is None else resume.positions,
            self._latest_id,
            self._latest_at,
        )
        # One part waits while the caller is busy with the last, and another one is fetched.
        self._parts = Stream(tasks, follower.run, buffer=1)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> LogEntry:
        while self._part is None or self._given == len(self._part.entries):
            await self._next_part()
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
        return LogCursor(
            service_id=self._options.service_id,
            deployment_id=self._options.deployment_id,
            positions=tuple(position(id_, window) for id_, window in self._windows.items()),
            latest_id=self._latest_id,
            latest_at=self._latest_at,
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

    async def take_batch(self) -> list[LogEntry]:
        """Give what is left of the last part, or the next one."""
        while self._part is None or self._given == len(self._part.entries):
            await self._next_part()
        entries = self._part.entries
        batch = entries[self._given :] if self._given else entries
        self._given = len(entries)
        return batch

    async def _next_part(self) -> None:
        self._note_given()
        self._part = None
        part = await anext(self._parts)
        self._part, self._given, self._noted = part, 0, 0
        if part.deployment_id not in self._windows:
            self._windows[part.deployment_id] = Window(part.floor)
            for over in self._over:
                del self._windows[over]
            self._over.clear()
            if self._options.deployment_id is None:
                self._latest_id, self._latest_at = part.deployment_id, part.created_at
        if part.over:
            self._over.add(part.deployment_id)
        elif part.deployment_id in self._over:
            self._over.remove(part.deployment_id)  # it runs again
        if part.gap is not None:
            warnings.warn(part.gap, stacklevel=3)

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
        return await self._tail.take_batch()


def checked_options(
    *,
    service_id: int,
    deployment_id: int | None,
    start_at: dt.datetime | None,
    end_at: dt.datetime | None,
    resume: LogCursor | None,
    follow: bool,
    poll_interval: float,
    max_poll_interval: float,
    overlap: float,
    grace: float,
    limit: int,
    max_outage: float | None,
) -> TailOptions:
    """Check what a tail is asked for.

    Raises
    ------
    ValueError
        If it makes no sense.
    """
    for name, value, least in (
        ("poll_interval", poll_interval, 0.001),
        ("max_poll_interval", max_poll_interval, poll_interval),
        ("overlap", overlap, 0.0),
        ("grace", grace, 0.0),
        ("max_outage", 0.0 if max_outage is None else max_outage, 0.0),
    ):
        if not (math.isfinite(value) and value >= least):
            raise ValueError(f"{name} must be {least:g} or more seconds, not {value!r}")
    if limit < 1:
        raise ValueError(f"limit must be 1 or more lines, not {limit!r}")
    if start_at is not None and end_at is not None and end_at < start_at:
        raise ValueError("end_at must not be before start_at")
    if resume is not None:
        if start_at is not None:
            raise ValueError("resume says where to start: leave out start_at")
        if resume.service_id != service_id or resume.deployment_id != deployment_id:
            raise ValueError(
                f"the cursor is that of service {resume.service_id}, deployment "
                f"{resume.deployment_id}: it cannot be resumed elsewhere"
            )
    return TailOptions(
        service_id=service_id,
        deployment_id=deployment_id,
        start_at=start_at,
        end_at=end_at,
        follow=follow,
        poll_interval=poll_interval,
        max_poll_interval=max_poll_interval,
        overlap=overlap,
        grace=grace,
        limit=limit,
        max_outage=max_outage,
    )
