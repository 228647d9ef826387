"""Polling one deployment's log until it is over."""

from __future__ import annotations

import datetime as dt
import random
import time

import anyio

from aioservices.api.models import TailedEntry
from aioservices.api.states import SLEEPING, is_final
from aioservices.errors import APIError, RequestError, ResponseTooLargeError

from .dedup import DeliveredLines
from .fetcher import DeploymentSnapshot, LogFetcher, is_too_large, slow_start_end
from .options import TailOptions
from .outlet import Outlet
from .page_size import PageSize
from .reader import LogReader, PollSummary
from .scan import PageRequest, ServerProfile
from .schedule import PollInterval
from .status import DeploymentEnded, TailMetrics

__all__ = ["CHECK_EVERY", "Poller", "jittered"]

# A following tail asks for this many pages of the log for each time it checks the service. Both
# together keep the interval that was asked for, on average.
CHECK_EVERY = 2
_SHARE = (CHECK_EVERY + 1) / CHECK_EVERY
_JITTER = 0.25
# How a server may say that it takes no limit as large as that.
_REFUSALS = frozenset({400, 413, 422})
# How often in a row a page must fail as large ones do before less is asked for.
_TRIES = 2
_ENLARGED_TRIES = 3
_SMALL_PAGE = 200  # lines, of which a crowded instant may have more


class Poller:
    """Polls one deployment's log.

    Parameters
    ----------
    deployment : DeploymentSnapshot
    delivered : DeliveredLines
        What was delivered of it before.
    fetcher : LogFetcher
    outlet : Outlet
    options : TailOptions
    profile : ServerProfile
    metrics : TailMetrics

    Attributes
    ----------
    is_replaced : bool
        Whether another deployment took this one's place.
    requests : int
        Pages that were asked for, answered or not.
    """

    def __init__(
        self,
        deployment: DeploymentSnapshot,
        delivered: DeliveredLines,
        *,
        fetcher: LogFetcher,
        outlet: Outlet,
        options: TailOptions,
        profile: ServerProfile,
        metrics: TailMetrics,
    ) -> None:
        self.deployment_id = deployment.deployment_id
        self.is_replaced = False
        self.requests = 0
        self._created_at = deployment.created_at
        self._fetcher = fetcher
        self._patience = fetcher.patience(self.deployment_id)
        self._outlet = outlet
        self._options = options
        self._metrics = metrics
        self._reader = LogReader(
            options.service_id,
            self.deployment_id,
            delivered,
            profile=profile,
            overlap=options.overlap,
            limit=options.limit,
            end_at=options.end_at,
        )
        self._page_size = PageSize(options.limit)
        self._interval = PollInterval(options.poll_interval, options.max_poll_interval * _SHARE)
        self._is_asleep = False
        self._slow_start_end = slow_start_end()
        self._last_alive: dt.datetime | None = None  # by the server's clock, as the next one
        self._ended: dt.datetime | None = None
        self._unreported_end: DeploymentEnded | None = None
        self._wake = anyio.Event()  # set when the deployment ends, while the poller waits
        self._over = anyio.Event()
        self._requested = anyio.Event()  # set at each request, and when the log is over

    @property
    def interval(self) -> float:
        """Seconds between two polls, at present."""
        return self._interval.interval

    @property
    def is_over(self) -> bool:
        """Whether the log was read to its end, and is not read any more."""
        return self._over.is_set()

    async def over(self) -> None:
        """Wait until the log was read to its end."""
        await self._over.wait()

    async def requested(self, count: int) -> None:
        """Wait until so many pages were asked for, or the log is over."""
        while self.requests < count and not self.is_over:
            self._requested = anyio.Event()
            await self._requested.wait()

    # What becomes known of the deployment

    def record_state(self, deployment: DeploymentSnapshot) -> None:
        """Record the state of the deployment, which is the service's current one."""
        clock = self._fetcher.clock
        self.is_replaced = False
        self._is_asleep = (deployment.state or "").lower() == SLEEPING
        if not is_final(deployment.state):
            self._last_alive = clock.now()
            self._ended = self._unreported_end = None
        elif self._ended is None:
            self._record_end(self._end_of(deployment))
            self._unreported_end = DeploymentEnded(
                service_id=self._options.service_id,
                deployment_id=self.deployment_id,
                state=deployment.state,
                state_message=deployment.state_message,
                at=deployment.updated_at,
            )

    def record_replaced(self) -> None:
        """Record that the deployment is not the service's current one any more."""
        self.is_replaced = True
        self._is_asleep = False
        self._record_end(self._ended or self._fetcher.clock.latest())

    def record_gone(self) -> None:
        """Record that the server does not show the deployment any more."""
        self._slow_start_end = 0.0  # a 404 is no surprise now
        self.record_replaced()

    def _record_end(self, at: dt.datetime) -> None:
        self._ended = at
        self._wake.set()

    def _end_of(self, deployment: DeploymentSnapshot) -> dt.datetime:
        """When a deployment ended, at the latest; by a clock that is compared to `Date` later."""
        now = self._fetcher.clock.latest()
        told = deployment.updated_at
        if told is None or not self._fetcher.clock.known:
            return now
        if deployment.created_at is not None and told < deployment.created_at:
            return now
        # The clock that wrote `updated_at` may be ahead of the one that writes `Date`.
        ended = min(told, now)
        return ended if self._last_alive is None else max(ended, self._last_alive)

    # Polling

    async def run(self) -> None:
        """Poll until the log is over."""
        await self._outlet.put(self._reader.opened(self._created_at))
        try:
            await self._poll_until_over()
        finally:
            self._patience.close()
            self._metrics.due.pop(self.deployment_id, None)

    async def finalize(self) -> None:
        """Tell the consumer that the log is over."""
        self._over.set()
        self._requested.set()
        await self._outlet.put(self._reader.ended())

    def resume(self) -> None:
        """Make ready to run again: the deployment is alive after all."""
        self._over = anyio.Event()

    async def _poll_until_over(self) -> None:
        clock, options = self._fetcher.clock, self._options
        while True:
            self._metrics.due[self.deployment_id] = None
            await self._outlet.ready()
            end = self._end
            is_last = not options.follow or (end is not None and clock.now() >= end)
            unreported_end, self._unreported_end = self._unreported_end, None
            asked_at, summary = await self._poll(whole=is_last)
            if unreported_end is not None:
                self._metrics.emit(unreported_end)
            if not options.follow:
                return
            is_over = end is not None and self._seconds_left(end, asked_at) <= 0
            if is_last and is_over and end == self._end and not summary.lines:
                return
            if summary.is_behind:
                continue
            wait = self._interval.after(summary.lines, fill=summary.filled, asleep=self._is_asleep)
            if self._end is not None:
                left = self._seconds_left(self._end, clock.now())
                wait = min(wait, max(options.poll_interval, left))
            wait = jittered(wait)
            self._metrics.due[self.deployment_id] = time.time() + wait
            self._wake = anyio.Event()
            with anyio.move_on_after(wait):
                await self._wake.wait()

    @property
    def _end(self) -> dt.datetime | None:
        """When the last line was or will be written, if that is known."""
        ends = [end for end in (self._ended, self._options.end_at) if end is not None]
        return min(ends, default=None)

    def _seconds_left(self, end: dt.datetime, now: dt.datetime) -> float:
        """Seconds until everything that was written by the end can be seen."""
        return (end - now).total_seconds() + self._options.drain

    async def _poll(self, *, whole: bool) -> tuple[dt.datetime, PollSummary]:
        """Read what is there now; gives the server's time when it was first asked, too."""
        reader, metrics = self._reader, self._metrics
        failures = self._patience.failures
        began_at = self._fetcher.clock.now()
        reader.begin(began_at, page_size=self._page_size.current, whole=whole)
        first_asked_at: dt.datetime | None = None
        while (request := reader.next_request()) is not None:
            page = await self._page(request)
            if page is None:
                continue
            lines, asked_at = page
            first_asked_at = first_asked_at or asked_at
            for batch in reader.feed(request, lines, asked_at=asked_at):
                for gap in batch.gaps:
                    metrics.record_gap(gap)
                await self._outlet.put(batch)
            reader.resize_pages(self._page_size.current)
        summary = reader.finish()
        if self._patience.failures > failures:
            reader.look_back_whole()
        metrics.polls += 1
        metrics.lines += summary.lines
        metrics.late_lines += summary.late
        metrics.sheds += summary.evictions
        metrics.last_poll = time.time()
        return first_asked_at or began_at, summary

    async def _page(
        self, request: PageRequest
    ) -> tuple[list[TailedEntry], dt.datetime | None] | None:
        """Get a page of the log; None if it has to be asked for in another way."""
        tries = 0  # in a row that failed as pages do that are too large
        while True:
            try:
                return await self._ask(request)
            except RequestError as exc:
                error = exc
            tries = tries + 1 if is_too_large(error) else 0
            if request.enlarged:
                if not await self._may_repeat_enlarged(request, error, tries):
                    self._reader.refuse_enlargement(request)
                    return None
            elif tries and self._has_to_shrink(request, error, tries):
                self._reader.resize_pages(self._page_size.current)
                self._reader.retry(request)
                if not _is_certainly_too_large(error):
                    await self._patience.wait(error)
                return None
            else:
                await self._patience.wait(error, doubted_until=self._slow_start_end)

    async def _ask(self, request: PageRequest) -> tuple[list[TailedEntry], dt.datetime | None]:
        """Ask for a page once."""
        asked_at = time.monotonic()
        try:
            response = await self._fetcher.page(self.deployment_id, request)
        finally:
            self.requests += 1
            self._requested.set()
        lines = self._fetcher.lines(self.deployment_id, response)
        self._patience.served()
        self._page_size.served(len(lines))
        clock = self._fetcher.clock
        return lines, clock.at(asked_at) if clock.known else None

    def _has_to_shrink(self, request: PageRequest, error: RequestError, tries: int) -> bool:
        """Whether to ask for less, as a retry that changes nothing cannot succeed."""
        size = self._page_size
        if _is_certainly_too_large(error):
            return size.failed(request.limit)
        if request.limit <= _SMALL_PAGE:
            return False
        return (size.is_failing or size.is_trial or tries >= _TRIES) and size.failed(request.limit)

    async def _may_repeat_enlarged(
        self, request: PageRequest, error: RequestError, tries: int
    ) -> bool:
        """Whether to ask again for more lines than usual, which a crowded instant takes.

        To do without them loses lines, so an outage must not look like a refusal: between two
        tries a page of the usual size is read, which waits until the server serves again.
        """
        if isinstance(error, ResponseTooLargeError):
            return False
        try:
            await self._patience.wait(error, doubted_until=self._slow_start_end)
        except APIError as refusal:
            if refusal.status in _REFUSALS:
                return False
            raise
        if tries:
            await self._page(request._replace(limit=self._page_size.current))
        return tries < _ENLARGED_TRIES


def jittered(seconds: float) -> float:
    """Spread the requests of many tails, which would otherwise go in step."""
    return seconds * random.uniform(1 - _JITTER, 1 + _JITTER)


def _is_certainly_too_large(error: RequestError) -> bool:
    return isinstance(error, ResponseTooLargeError) or (
        isinstance(error, APIError) and error.status == 413
    )
