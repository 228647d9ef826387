"""Polling one deployment's log until it is over."""

from __future__ import annotations

import datetime as dt
import logging
import random
import time
from dataclasses import dataclass, field

from aioservices.api.states import SLEEPING, is_final
from aioservices.concurrency import Signal

from .budget import LineAccount, Outlet
from .dedup import DeliveredLines
from .deployments import DeploymentSnapshot
from .fetcher import LogFetcher
from .options import TailOptions
from .pages import LogPages, Page
from .pipeline import read_ahead
from .reader import LogReader, PollSummary
from .scan import PageRequest, ServerProfile
from .schedule import PollInterval
from .status import DeploymentEnded, TailMetrics

__all__ = ["CHECK_EVERY", "PollContext", "Poller", "jittered"]

log = logging.getLogger("aioservices.tail")

# A following tail asks for this many pages of the log for each time it checks the service. Both
# together keep the interval that was asked for, on average.
CHECK_EVERY = 2
_SHARE = (CHECK_EVERY + 1) / CHECK_EVERY
_JITTER = 0.25
# Pages that may be under way while another one is decoded: more save time only where the way is
# long, and cost requests, of which the API allows few.
_AHEAD = 1
# New lines that the page of a quiet log may have.
_FEW_LINES = 64


@dataclass(slots=True, eq=False, kw_only=True)
class PollContext:
    """What the pollers of one tail share."""

    options: TailOptions
    fetcher: LogFetcher
    profile: ServerProfile
    account: LineAccount
    metrics: TailMetrics
    # Is sent when a log is over, and when as many pages were asked for as are waited for:
    progress: Signal = field(default_factory=Signal)


class Poller:
    """Polls one deployment's log, of which some lines were delivered before.

    Attributes
    ----------
    is_replaced : bool
        Whether another deployment took this one's place.
    is_over : bool
        Whether the log was read to its end, and is not read any more.
    """

    __slots__ = (
        "_account",
        "_allowed",
        "_announced",
        "_began",
        "_created_at",
        "_ended",
        "_expected",
        "_fetcher",
        "_first_asked_at",
        "_has_explained",
        "_interval",
        "_is_asleep",
        "_is_end_known",
        "_last_alive",
        "_metrics",
        "_options",
        "_outlet",
        "_pages",
        "_profile",
        "_progress",
        "_reader",
        "_unreported_end",
        "_wake",
        "deployment_id",
        "is_over",
        "is_replaced",
    )

    def __init__(
        self,
        context: PollContext,
        outlet: Outlet,
        deployment: DeploymentSnapshot,
        delivered: DeliveredLines,
    ) -> None:
        options = context.options
        self.deployment_id = deployment.deployment_id
        self.is_replaced = False
        self.is_over = False
        self._created_at = deployment.created_at
        self._options = options
        self._fetcher = context.fetcher
        self._profile = context.profile
        self._account = context.account
        self._metrics = context.metrics
        self._progress = context.progress
        self._outlet = outlet
        self._pages = LogPages(context.fetcher, self.deployment_id, options.limit, context.progress)
        self._expected = options.limit  # new lines of the next page, at most
        self._allowed = options.limit  # lines that it may have
        self._announced: dict[PageRequest, int] = {}  # new lines of the pages on their way
        self._has_explained = False
        self._reader = LogReader(
            options.service_id,
            self.deployment_id,
            delivered,
            profile=context.profile,
            overlap=options.overlap,
            limit=options.limit,
            end_at=options.end_at,
        )
        self._interval = PollInterval(
            options.poll_interval, options.max_poll_interval * _SHARE, overlap=options.overlap
        )
        self._is_asleep = False
        self._last_alive: dt.datetime | None = None  # by the server's clock, as the next one
        self._ended: dt.datetime | None = None
        self._is_end_known = False  # it may be replaced, or seem to be, before its end is known
        self._unreported_end: DeploymentEnded | None = None
        self._wake = Signal()  # the deployment has ended
        # Of the poll that is under way:
        self._began = 0.0  # by the monotonic clock
        self._first_asked_at: dt.datetime | None = None

    @property
    def interval(self) -> float:
        """Seconds between two polls, at present."""
        return self._interval.interval

    @property
    def requests(self) -> int:
        """Pages that were asked for, answered or not."""
        return self._pages.requests

    def signal_at(self, requests: int) -> None:
        """Send `progress` when so many pages were asked for."""
        self._pages.awaited = requests

    # What becomes known of the deployment

    def record_state(self, deployment: DeploymentSnapshot) -> None:
        """Record the state of the deployment, which is the service's current one."""
        clock = self._fetcher.clock
        self.is_replaced = False
        self._is_asleep = (deployment.state or "").lower() == SLEEPING
        if not is_final(deployment.state):
            self._last_alive = clock.now()
            self._ended = self._unreported_end = None
            self._is_end_known = False
        elif not self._is_end_known:
            self._is_end_known = True
            ended = self._end_of(deployment)
            self._record_end(max(ended, self._ended or ended))
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
        self._pages.patience.doubted_until = 0.0
        self.record_replaced()

    def _record_end(self, at: dt.datetime) -> None:
        self._ended = at
        self._wake.send()

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
            while (wait := await self._poll_once()) is not None:
                await self._wake.wait(wait)
        finally:
            self._pages.patience.end(served=False)
            self._metrics.due.pop(self.deployment_id, None)

    async def finalize(self) -> None:
        """Tell the consumer that the log is over."""
        self.is_over = True
        self._progress.send()
        await self._outlet.put(self._reader.ended())

    def resume(self) -> None:
        """Make ready to run again: the deployment is alive after all."""
        self.is_over = False

    async def _poll_once(self) -> float | None:
        """Poll; gives the seconds until the next poll, or None if the log is over."""
        clock, options = self._fetcher.clock, self._options
        self._metrics.due[self.deployment_id] = None
        await self._outlet.ready()
        end = self._end
        is_last = not options.follow or (end is not None and clock.now() >= end)
        unreported_end, self._unreported_end = self._unreported_end, None
        asked_at, summary = await self._poll(whole=is_last)
        if unreported_end is not None:
            self._metrics.emit(unreported_end)
        if summary.is_behind:
            return 0.0
        if not options.follow:
            return None
        is_over = end is not None and self._seconds_left(end, asked_at) <= 0
        if is_last and is_over and end == self._end and not summary.lines:
            return None
        wait = self._interval.after(summary.lines, fill=summary.filled, asleep=self._is_asleep)
        if self._end is not None:
            left = self._seconds_left(self._end, clock.now())
            wait = min(wait, max(options.poll_interval, left))
        wait = jittered(wait)
        self._metrics.due[self.deployment_id] = time.time() + wait
        return wait

    @property
    def _end(self) -> dt.datetime | None:
        """When the last line was or will be written, if that is known."""
        ended, end_at = self._ended, self._options.end_at
        return min(ended, end_at) if ended and end_at else ended or end_at

    def _seconds_left(self, end: dt.datetime, now: dt.datetime) -> float:
        """Seconds until everything that was written by the end can be seen."""
        return (end - now).total_seconds() + self._options.drain

    async def _poll(self, *, whole: bool) -> tuple[dt.datetime, PollSummary]:
        """Read what is there now; gives the server's time when it was first asked, too."""
        reader, metrics = self._reader, self._metrics
        failures = self._pages.patience.failures
        await self._make_room()
        began_at = self._begin(whole=whole)
        try:
            if (request := self._next_request(0)) is not None:  # mostly all there is
                page = await self._get(request)
                if page is not None:
                    await self._take(request, page)
            if not reader.is_complete:
                await read_ahead(self._next_request, self._get, self._take)
        finally:
            self._account.announce(-sum(self._announced.values()))
            self._announced.clear()
        summary = reader.finish()
        self._expected = min(max(_FEW_LINES, 2 * summary.lines), self._options.limit)
        if self._pages.patience.failures > failures:
            reader.look_back_whole()
        metrics.record_poll(summary.lines, summary.late, summary.evictions)
        self._fetcher.record_poll(has_news=bool(summary.lines))
        return self._first_asked_at or began_at, summary

    def _begin(self, *, whole: bool) -> dt.datetime:
        """Begin a poll; gives the server's time."""
        self._began = time.monotonic()
        began_at = self._fetcher.clock.now()
        self._reader.begin(began_at, page_size=self._page_size, whole=whole)
        self._first_asked_at = None
        return began_at

    async def _make_room(self) -> None:
        """Wait until another page may be held in memory."""
        self._allowed = await self._account.room(self._pages.size.current, self._expected)

    @property
    def _page_size(self) -> int:
        return min(self._pages.size.current, self._allowed)

    def _next_request(self, outstanding: int) -> PageRequest | None:
        """Return the next page to ask for, while others are outstanding."""
        # A consumer that is slower than the server gains nothing by pages that wait for it.
        is_slow = self._outlet.is_blocked or not self._account.budget.has_room(self._expected)
        ahead = 0 if is_slow or self._pages.patience.is_failing else _AHEAD
        request = self._reader.next_request(ahead=ahead) if outstanding <= ahead else None
        if request is not None:
            self._announced[request] = min(request.limit, self._expected)
            self._account.announce(self._announced[request])
        return request

    def _settle(self, request: PageRequest) -> None:
        """Take back what was announced of a page."""
        self._account.announce(-self._announced.pop(request, 0))

    async def _get(self, request: PageRequest) -> Page | None:
        """Get a page; None if it has been planned again."""
        page = await self._pages.get(request)
        if isinstance(page, Page):
            return page
        self._settle(request)
        self._reader.resize_pages(self._page_size)
        self._reader.replan(request, page)
        return None

    async def _take(self, request: PageRequest, page: Page) -> None:
        """Hand on what is new in a page."""
        self._first_asked_at = self._first_asked_at or page.asked_at
        elapsed = time.monotonic() - self._began
        batches = self._reader.feed(request, page.lines, asked_at=page.asked_at, elapsed=elapsed)
        self._account.hold(sum(len(batch.entries) for batch in batches))
        self._settle(request)
        for batch in batches:
            for gap in batch.gaps:
                self._metrics.record_gap(gap)
                self._explain_gap()
            await self._outlet.put(batch)
        if not self._reader.is_complete:
            self._expected = self._options.limit  # who has more than a page may have much more
            await self._make_room()
            self._reader.resize_pages(self._page_size)

    def _explain_gap(self) -> None:
        """Log once why full pages are gaps, where the server is the reason."""
        if self._profile.ignores_end and not self._has_explained:
            self._has_explained = True
            log.warning(
                "the server ignores end_at, so a full page of the log of deployment %d of service "
                "%d cannot be read in smaller parts: a larger limit may help",
                self.deployment_id,
                self._options.service_id,
            )


def jittered(seconds: float) -> float:
    """Spread the requests of many tails, which would otherwise go in step."""
    return seconds * random.uniform(1 - _JITTER, 1 + _JITTER)
