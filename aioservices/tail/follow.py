"""The loops behind a tail: which logs to read, when, and until when."""

from __future__ import annotations

import datetime as dt
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import anyio
import msgspec

from aioservices.errors import (
    NotFoundError,
    PermissionDeniedError,
    ResponseTooLargeError,
    ServicesError,
)
from aioservices.models import Deployment, DeploymentSummary, LogEntry

from .cursor import Position
from .pace import Pace
from .plan import ServerTraits
from .reader import LogReader
from .source import LogSource, PatientSource
from .status import Health, LogGap
from .walk import Walk
from .window import Window

__all__ = ["Follower", "Part", "TailOptions"]

log = logging.getLogger("aioservices.tail")

FINAL_STATES = frozenset(
    {"terminated", "failed", "succeeded", "cancelled", "canceled", "stopped", "deleted"}
)
# A following tail asks for the log twice for each time it looks at the service. Both
# together keep the interval that was asked for, on average.
_LOG_SHARE = 1.5
_LOOK_SHARE = 3.0
_JITTER = 0.1


class TailOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a tail was asked for; see `Services.tail_logs`."""

    service_id: int
    deployment_id: int | None
    start_at: dt.datetime | None
    end_at: dt.datetime | None
    follow: bool
    poll_interval: float
    max_poll_interval: float
    overlap: float
    grace: float
    limit: int
    max_outage: float | None


class Part(NamedTuple):
    """What the loops hand to the tail, in the order in which its cursor is to pass it.

    Attributes
    ----------
    deployment_id : int
    entries : list of LogEntry
        New lines, by time.
    floor : datetime or None
        Below it nothing more can come.
    gap : LogGap or None
        A gap that was found with them.
    created_at : datetime or None
        When the deployment was created; of a log that was just taken up.
    over : bool
        Whether the log was read to its end.
    """

    deployment_id: int
    entries: list[LogEntry]
    floor: dt.datetime | None
    gap: LogGap | None = None
    created_at: dt.datetime | None = None
    over: bool = False


class _Log:
    """One log that is being read."""

    def __init__(self, deployment_id: int, reader: LogReader, pace: Pace) -> None:
        self.deployment_id = deployment_id
        self.reader = reader
        self.pace = pace
        self.first_seen = time.monotonic()
        self.ended: dt.datetime | None = None  # by the server's clock
        self.replaced = False
        self.asleep = False
        self.over = False


class Follower:
    """Reads the logs of one service and hands on what is new.

    It runs in a task of its own and must not refer to the tail, which ends it
    when it is dropped.

    Parameters
    ----------
    source : LogSource
    options : TailOptions
    traits : ServerTraits
    health : Health
    positions : sequence of Position
        Where to go on.
    latest_id, latest_at : int and datetime, optional
        The newest deployment that was taken up before.
    """

    def __init__(
        self,
        source: LogSource,
        options: TailOptions,
        traits: ServerTraits,
        health: Health,
        positions: tuple[Position, ...] = (),
        latest_id: int | None = None,
        latest_at: dt.datetime | None = None,
    ) -> None:
        self._options = options
        self._traits = traits
        self._health = health
        self._positions = positions
        self._latest_id = latest_id
        self._latest_at = latest_at
        self._knows_latest = latest_id is not None
        self._source = PatientSource(
            source,
            options.service_id,
            health,
            shortest=options.poll_interval,
            longest=options.max_poll_interval,
            max_outage=options.max_outage,
        )
        self._logs: dict[int, _Log] = {}
        self._failure: ServicesError | None = None
        self._clock_ahead = dt.timedelta(0)  # of the server's clock, as far as it is known

    async def run(self, emit: Callable[[Part], Awaitable[None]]) -> None:
        """Read until all that was asked for was handed on."""
        async with anyio.create_task_group() as group:
            self._emit = emit
            self._group = group
            group.start_soon(self._guarded, self._choose_logs)
        if self._failure is not None:
            raise self._failure

    async def _guarded(self, work: Callable[..., Awaitable[None]], *args: object) -> None:
        """Run a part of the work; an error ends the whole and is raised as it is."""
        try:
            await work(*args)
        except ServicesError as exc:
            if self._failure is None:
                self._failure = exc
            self._group.cancel_scope.cancel()

    # Which logs

    async def _choose_logs(self) -> None:
        for position in self._positions:
            await self._take_up(position.deployment_id, window=position.window())
        if self._options.deployment_id is not None:
            await self._watch_deployment(self._options.deployment_id)
        else:
            await self._watch_service()

    async def _watch_deployment(self, deployment_id: int) -> None:
        if deployment_id not in self._logs:
            await self._take_up(deployment_id)
        reading = self._logs[deployment_id]
        while self._options.follow and not reading.over:
            deployment = await self._source.deployment(deployment_id)
            self._note_state(reading, deployment)
            await self._pause_between_looks(reading)

    async def _watch_service(self) -> None:
        current: _Log | None = None
        first = True
        while not self._is_past_end():
            deployment = (await self._source.service()).current_deployment
            if deployment is None and first and self._latest_id is None:
                await self._note_latest()
            if deployment is not None and deployment.deployment_id not in self._logs:
                await self._take_up_all_until(deployment)
            current = self._logs.get(deployment.deployment_id) if deployment else None
            for reading in self._logs.values():
                if reading is not current and not reading.replaced:
                    reading.replaced = True
                    reading.ended = self._earlier(reading.ended, self._server_now())
            if current is not None and deployment is not None:
                if current.over and not _is_final(deployment):
                    self._read_again(current)
                self._note_state(current, deployment)
            if not self._options.follow:
                return
            first = False
            await self._pause_between_looks(current)

    async def _take_up_all_until(self, deployment: Deployment) -> None:
        """Take up a new deployment, after those that came and went since the last look."""
        between: list[DeploymentSummary] = []
        if self._knows_latest:
            between = await self._source.deployments_since(self._latest_id, self._latest_at)
        for other in between:
            if other.deployment_id not in self._logs and other.deployment_id != (
                deployment.deployment_id
            ):
                await self._take_up(other.deployment_id, created_at=other.created_at)
        await self._take_up(deployment.deployment_id, created_at=deployment.created_at)
        self._latest_id, self._latest_at = deployment.deployment_id, deployment.created_at
        self._knows_latest = True

    async def _note_latest(self) -> None:
        """Note what was deployed before: it is not asked for, what comes from now on is."""
        newest = await self._source.newest_deployment()
        if newest is not None:
            self._latest_id, self._latest_at = newest.deployment_id, newest.created_at
        self._knows_latest = True

    async def _take_up(
        self,
        deployment_id: int,
        *,
        window: Window | None = None,
        created_at: dt.datetime | None = None,
    ) -> None:
        options = self._options
        window = window or Window(options.start_at)
        reader = LogReader(
            window,
            overlap=options.overlap,
            limit=options.limit,
            traits=self._traits,
            end_at=options.end_at,
        )
        longest = options.max_poll_interval * (_LOG_SHARE if options.follow else 1.0)
        reading = _Log(deployment_id, reader, Pace(options.poll_interval, longest))
        reading.ended = options.end_at
        self._logs[deployment_id] = reading
        self._health.deployments.add(deployment_id)
        await self._emit(Part(deployment_id, [], window.floor, created_at=created_at))
        self._group.start_soon(self._guarded, self._read, reading)

    def _read_again(self, reading: _Log) -> None:
        reading.over = False
        self._group.start_soon(self._guarded, self._read, reading)

    def _note_state(self, reading: _Log, deployment: Deployment) -> None:
        reading.asleep = deployment.state == "sleeping"
        reading.replaced = False
        end_at = self._options.end_at
        if not _is_final(deployment):
            reading.ended = end_at  # also where a final state proved not to be
        elif reading.ended is None or reading.ended == end_at:
            reading.ended = self._earlier(end_at, deployment.updated_at or self._server_now())

    async def _pause_between_looks(self, reading: _Log | None) -> None:
        options = self._options
        interval = options.poll_interval if reading is None else reading.pace.interval
        longest = options.max_poll_interval * _LOOK_SHARE
        await anyio.sleep(_jittered(min(interval * _LOOK_SHARE, longest)))

    def _is_past_end(self) -> bool:
        end_at = self._options.end_at
        grace = dt.timedelta(seconds=self._options.grace)
        return end_at is not None and self._server_now() >= end_at + grace and bool(self._logs)

    # One log

    async def _read(self, reading: _Log) -> None:
        try:
            await self._poll_until_over(reading)
        except (NotFoundError, PermissionDeniedError):
            if self._options.deployment_id is not None or not reading.replaced:
                raise
            # The log of an earlier deployment went away; the service's own goes on.
            log.warning("the log of deployment %d is gone", reading.deployment_id)
        reading.over = True
        reading.reader.settle()
        self._health.deployments.discard(reading.deployment_id)
        await self._emit(Part(reading.deployment_id, [], reading.reader.window.floor, over=True))

    async def _poll_until_over(self, reading: _Log) -> None:
        while True:
            self._health.next_poll = None
            ended = reading.ended
            draining = ended is not None and self._server_now() >= ended
            clock = await self._poll(reading, whole=draining)
            news = reading.reader.news
            if not self._options.follow:
                return
            if ended is not None and ended == reading.ended and not news:
                over_at = ended + dt.timedelta(seconds=self._options.grace)
                if (clock or self._server_now()) >= over_at:
                    return
            wait = reading.pace.after(news, fill=news / self._options.limit, asleep=reading.asleep)
            if reading.ended is not None:
                wait = min(wait, self._until_over(reading.ended))
            self._health.next_poll = time.time() + wait
            await anyio.sleep(_jittered(wait))

    async def _poll(self, reading: _Log, *, whole: bool) -> dt.datetime | None:
        """Read what is there now; gives the server's time when it was first asked."""
        reader = reading.reader
        failures = self._source.failures
        walk = reader.begin(self._server_now(), whole=whole)
        clock: dt.datetime | None = None
        late = reader.late
        while (query := walk.query) is not None:
            try:
                page, served_at = await self._source.page(
                    reading.deployment_id, query, young=reading.first_seen
                )
            except ResponseTooLargeError:
                if query.limit == 1:
                    raise
                walk.shrink_pages()
                continue
            if served_at is not None:
                clock = clock or served_at
                self._clock_ahead = served_at - dt.datetime.now(dt.UTC)
            await self._hand_on(reading, walk, page, clock)
        reader.finish(walk)
        if self._source.failures > failures:
            reader.look_back_whole()
        self._health.polls += 1
        self._health.lines += reader.news
        self._health.late_lines += reader.late - late
        self._health.last_poll = time.time()
        return clock

    async def _hand_on(
        self, reading: _Log, walk: Walk, page: list[LogEntry], clock: dt.datetime | None
    ) -> None:
        segment = walk.feed(page)
        if segment is None:
            return
        stretch = reading.reader.take(segment, clock)
        gap: LogGap | None = None
        if stretch.gap:
            gap = LogGap(
                self._options.service_id, reading.deployment_id, stretch.start, stretch.end
            )
            self._health.gaps.append(gap)
            log.warning("%s", gap)
        if stretch.entries or gap is not None:
            await self._emit(Part(reading.deployment_id, stretch.entries, stretch.floor, gap))

    def _until_over(self, ended: dt.datetime) -> float:
        """Seconds until a log that has ended may be taken for complete."""
        over_at = ended + dt.timedelta(seconds=self._options.grace)
        left = (over_at - self._server_now()).total_seconds()
        return max(self._options.poll_interval, left)

    @staticmethod
    def _earlier(one: dt.datetime | None, other: dt.datetime) -> dt.datetime:
        return other if one is None else min(one, other)

    def _server_now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC) + self._clock_ahead


def _is_final(deployment: Deployment) -> bool:
    return deployment.state is not None and deployment.state.lower() in FINAL_STATES


def _jittered(seconds: float) -> float:
    """Spread the polls of many tails, which would else go in step."""
    return seconds * random.uniform(1 - _JITTER, 1 + _JITTER)
