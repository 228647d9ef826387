"""A log being followed, as its user sees it."""

from __future__ import annotations

import asyncio
import datetime as dt
import warnings
from types import TracebackType
from typing import Self

from aioservices.api.models import TailedEntry
from aioservices.api.raw import RawServices
from aioservices.concurrency import BackgroundTasks, Stream

from .budget import LineAccount, LineBudget
from .cursor import Batch, CursorTracker, LogCursor
from .fetcher import FetchService, LogFetcher
from .follower import Follower
from .options import TailOptions
from .poller import PollContext
from .scan import ServerProfile
from .schedule import TailUrgency
from .status import TailMetrics, TailStatus

__all__ = ["LogTail"]


class LogTail:
    """The lines of a log, as they come.

    An async iterator of `TailedEntry`, in order of `created_at`; a line that
    turned up late comes late. It is best used in ``async with``, which ends its
    work at once when it is left; dropped without that, it ends all the same.
    Several tasks may iterate it: each line is given to one of them.

    Made by `Services.tail_logs`.
    """

    __slots__ = (
        "_account",
        "_batch",
        "_batches",
        "_clock",
        "_delivered",
        "_follower",
        "_metrics",
        "_taken",
        "_tracker",
        "_turn",
    )

    def __init__(
        self,
        raw: RawServices,
        tasks: BackgroundTasks,
        options: TailOptions,
        profile: ServerProfile,
        urgency: TailUrgency,
        budget: LineBudget,
        resume: LogCursor | None = None,
        *,
        fetch_service: FetchService | None = None,
    ) -> None:
        self._metrics = TailMetrics(options.service_id, options.on_event)
        self._account = LineAccount(budget)  # from the reading of lines until they were given
        self._tracker = CursorTracker(options.service_id, options.deployment_id, resume)
        fetcher = LogFetcher(raw, options, self._metrics, urgency, fetch_service=fetch_service)
        self._clock = fetcher.clock
        context = PollContext(
            options=options,
            fetcher=fetcher,
            profile=profile,
            account=self._account,
            metrics=self._metrics,
        )
        positions = () if resume is None else resume.positions
        self._follower = Follower(context, positions, self._tracker.latest)
        # One part waits while the caller is busy with the last, and another one is fetched.
        self._batches = Stream(tasks, self._follower.run, buffer=1)
        self._batch: Batch | None = None  # from which lines are given one by one
        self._taken = 0  # lines of the last batch
        self._delivered = 0
        # Tasks may share a tail: each line is given to one of them.
        self._turn = asyncio.Lock()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> TailedEntry:
        batch = self._batch
        if batch is None or batch.is_given:
            async with self._turn:
                batch = await self._next_batch(stacklevel=3)
        self._delivered += 1
        return batch.next()

    @property
    def delivered(self) -> int:
        """How many lines the iteration has given so far."""
        return self._delivered

    def batches(self) -> LogBatches:
        """Give the lines in lists, as they were fetched: for those who want throughput.

        Returns
        -------
        LogBatches
            An async iterator of ``list[TailedEntry]``, none of which is empty.
        """
        return LogBatches(self)

    @property
    def server_time(self) -> dt.datetime | None:
        """The server's time, or up to a second later; None until the server has told it."""
        return self._clock.latest() if self._clock.known else None

    def finish(self) -> None:
        """Follow no new deployment, and end when those that are read have ended.

        A service that goes away is read to its end like this, however slowly its lines are taken.
        """
        self._follower.follow(new=False)

    def keep_following(self) -> None:
        """Undo `finish`, unless the tail has ended meanwhile."""
        self._follower.follow(new=True)

    @property
    def cursor(self) -> LogCursor:
        """Where the tail stands: behind the last entry that was given."""
        return self._tracker.cursor(self._follower.before, self._follower.start_at)

    @property
    def status(self) -> TailStatus:
        """How the tail is doing."""
        return self._metrics.snapshot()

    async def aclose(self) -> None:
        """End the tail, and wait until nothing of it runs any more."""
        await self._batches.aclose()
        self._account.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def take(self) -> Batch:
        """Wait for lines, and take them without counting them as given.

        Not part of the public interface.

        Returns
        -------
        Batch
            Never empty. The cursor stands behind as many of its lines as `given` says.

        Raises
        ------
        StopAsyncIteration
            If there will be none.
        """
        async with self._turn:
            batch = await self._next_batch(stacklevel=4)
            self._batch = None
        return batch

    def give_rest(self, batch: Batch) -> list[TailedEntry]:
        """Give the lines of a batch that were not given yet.

        Not part of the public interface.
        """
        lines = batch.give_rest()
        self._delivered += len(lines)
        return lines

    async def _next_batch(self, *, stacklevel: int) -> Batch:
        while self._batch is None or self._batch.is_given:
            self._account.hold(-self._taken)  # who asks for more has done with these
            self._taken = 0
            try:
                batch = self._batch = await anext(self._batches)
            except Exception:  # there will be none
                self._account.close()
                raise
            self._taken = len(batch.entries)
            self._tracker.take(batch)
            for gap in batch.gaps:
                warnings.warn(gap, stacklevel=stacklevel)
        return self._batch


class LogBatches:
    """The lines of a tail in lists."""

    def __init__(self, tail: LogTail) -> None:
        self._tail = tail

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[TailedEntry]:
        batch = await self._tail.take()
        return self._tail.give_rest(batch)
