"""Polling one deployment's log until it is over."""

from __future__ import annotations

import datetime as dt
import logging
import random
import time

import anyio

from aioservices.api.models import Deployment, TailedEntry
from aioservices.api.states import SLEEPING, is_final
from aioservices.errors import APIError, ResponseTooLargeError

from .fetcher import PatientSource
from .options import TailOptions
from .part import Outlet, Part
from .reader import LogReader
from .schedule import Pace
from .status import DeploymentEnded, LogGap, TailMetrics
from .traits import ServerTraits
from .walk import Walk
from .window import Window

__all__ = ["Poller", "jittered"]

log = logging.getLogger("aioservices.tail")

# A following tail asks for the log twice for each time it looks at the service. Both
# together keep the interval that was asked for, on average.
_SHARE = 1.5
_JITTER = 0.25
# How a server may say that it takes no limit as large as that.
_REFUSALS = frozenset({400, 413, 422})


class Poller:
    """Polls one deployment's log.

    Parameters
    ----------
    deployment_id : int
    window : Window
        What was delivered of it before.
    source : PatientSource
    outlet : Outlet
    options : TailOptions
    traits : ServerTraits
    metrics : TailMetrics
    created_at : datetime, optional
        When the deployment was created.

    Attributes
    ----------
    interval : float
        Seconds between two polls, at present.
    replaced : bool
        Whether another deployment took this one's place.
    over : bool
        Whether the log was read to its end, and is not read any more.
    """

    def __init__(
        self,
        deployment_id: int,
        window: Window,
        *,
        source: PatientSource,
        outlet: Outlet,
        options: TailOptions,
        traits: ServerTraits,
        metrics: TailMetrics,
        created_at: dt.datetime | None = None,
    ) -> None:
        self.deployment_id = deployment_id
        self.replaced = False
        self.over = False
        self._source = source
        self._outlet = outlet
        self._options = options
        self._traits = traits
        self._metrics = metrics
        self._created_at = created_at
        self._reader = LogReader(
            window,
            overlap=options.overlap,
            limit=options.limit,
            traits=traits,
            end_at=options.end_at,
        )
        self._pace = Pace(options.poll_interval, options.max_poll_interval * _SHARE)
        self._asleep = False
        self._first_seen = time.monotonic()
        self._last_alive: dt.datetime | None = None  # by the server's clock, as the next one
        self._ended: dt.datetime | None = None
        self._has_ended = anyio.Event()  # what a poller that waits wants to know
        self._final: DeploymentEnded | None = None  # to be told behind the last lines

    @property
    def interval(self) -> float:
        """Seconds between two polls, at present."""
        return self._pace.interval

    def note_state(self, deployment: Deployment) -> None:
        """Note what the deployment, which is current, looks like."""
        clock = self._source.clock
        self.replaced = False
        self._asleep = (deployment.state or "").lower() == SLEEPING
        if not is_final(deployment.state):
            self._last_alive, self._ended = clock.now(), None
        elif self._ended is None:
            told = deployment.updated_at if clock.known else None
            ended = told or clock.latest()
            self._ended = max(ended, self._last_alive or ended)
            self._has_ended.set()
            self._final = DeploymentEnded(
                service_id=self._options.service_id,
                deployment_id=self.deployment_id,
                state=deployment.state,
                state_message=deployment.state_message,
                at=deployment.updated_at,
            )

    def note_replaced(self) -> None:
        """Note that the deployment is not the service's current one any more."""
        self.replaced = True
        self._asleep = False
        self._ended = self._ended or self._source.clock.latest()
        self._has_ended.set()

    def forget_lines(self) -> None:
        """Keep no more than where the log ended."""
        self._reader.settle()

    async def run(self) -> None:
        """Poll until the log is over."""
        place = Part(self.deployment_id, [], self._reader.window.floor, created_at=self._created_at)
        await self._outlet.put(place)
        try:
            await self._poll_until_over()
        finally:
            self._metrics.due.pop(self.deployment_id, None)

    async def finish(self) -> None:
        """Tell the consumer that the log is over."""
        self.over = True
        await self._outlet.put(
            Part(self.deployment_id, [], self._reader.window.floor, over=True),
        )

    async def _poll_until_over(self) -> None:
        clock, options = self._source.clock, self._options
        while True:
            self._metrics.due[self.deployment_id] = None
            await self._outlet.ready()
            end = self._end
            is_last = not options.follow or (end is not None and clock.now() >= end)
            final, self._final = self._final, None
            asked_at = await self._poll(whole=is_last)
            if final is not None:
                self._metrics.emit(final)
            news = self._reader.news
            if not options.follow:
                return
            is_over = end is not None and self._left(end, asked_at) <= 0
            if is_last and is_over and end == self._end and not news:
                return
            fill = news / self._traits.room(options.limit)
            wait = self._pace.after(news, fill=fill, asleep=self._asleep)
            if self._end is not None:
                wait = min(wait, max(options.poll_interval, self._left(self._end, clock.now())))
            wait = jittered(wait)
            self._metrics.due[self.deployment_id] = time.time() + wait
            self._has_ended = anyio.Event()
            with anyio.move_on_after(wait):
                await self._has_ended.wait()

    @property
    def _end(self) -> dt.datetime | None:
        """When the last line was or will be written, if that is known."""
        ends = [end for end in (self._ended, self._options.end_at) if end is not None]
        return min(ends, default=None)

    def _left(self, end: dt.datetime, now: dt.datetime) -> float:
        """Seconds until everything that was written by the end can be seen."""
        return (end - now).total_seconds() + self._options.grace

    async def _poll(self, *, whole: bool) -> dt.datetime:
        """Read what is there now; gives the server's time when it was first asked."""
        reader, metrics, options = self._reader, self._metrics, self._options
        failures, late, shed = self._source.failures, reader.late, reader.window.raised
        asked_at = self._source.clock.now()
        walk = reader.begin(asked_at, whole=whole)
        told_at: dt.datetime | None = None
        while (query := walk.query) is not None:
            try:
                page, served_at = await self._source.page(
                    self.deployment_id, query, first_seen=self._first_seen
                )
            except ResponseTooLargeError:
                if query.limit == 1:
                    raise
                walk.shrink_pages()
                continue
            except APIError as exc:
                if exc.status not in _REFUSALS or query.limit <= options.limit:
                    raise
                walk.refuse_enlargement()
                continue
            told_at = told_at or served_at
            await self._hand_on(walk, page, told_at)
        reader.finish(walk)
        if self._source.failures > failures:
            reader.look_back_whole()
        metrics.polls += 1
        metrics.lines += reader.news
        metrics.late_lines += reader.late - late
        metrics.sheds += reader.window.raised - shed
        metrics.last_poll = time.time()
        return told_at or asked_at

    async def _hand_on(
        self, walk: Walk, page: list[TailedEntry], told_at: dt.datetime | None
    ) -> None:
        segment = walk.feed(page)
        if segment is None:
            return
        stretch = self._reader.take(segment, told_at)
        gap: LogGap | None = None
        if stretch.gap:
            gap = LogGap(self._options.service_id, self.deployment_id, stretch.start, stretch.end)
            self._metrics.record_gap(gap)
        if stretch.entries or gap is not None:
            await self._outlet.put(Part(self.deployment_id, stretch.entries, stretch.floor, gap))


def jittered(seconds: float) -> float:
    """Spread the requests of many tails, which would else go in step."""
    return seconds * random.uniform(1 - _JITTER, 1 + _JITTER)
