"""What a tail asks the API for, and how long it repeats what fails."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from operator import attrgetter
from typing import TypeAlias, TypeVar

import anyio

from aioservices.api.models import Service, ServiceSummary, TailedEntry
from aioservices.api.pagination import total_pages
from aioservices.api.raw import RawServices
from aioservices.errors import (
    APIError,
    AuthenticationError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    RequestError,
    ResponseDecodeError,
    ResponseTooLargeError,
)
from aioservices.http.response import RawResponse, decode, decode_lenient
from aioservices.http.retry import backoff_delays

from .clock import ServerClock
from .deployments import DeploymentAnswer, DeploymentSnapshot, ServiceAnswer, snapshot
from .malformed import PageLines, decode_lossy
from .malformed import decode_lenient as decode_lenient_lines
from .options import TailOptions
from .scan import PageRequest
from .schedule import TailUrgency
from .status import TailMetrics

__all__ = ["FetchService", "LogFetcher", "Patience"]

log = logging.getLogger("aioservices.tail")

T = TypeVar("T")

# For how many seconds what was never seen may be on its way to where it is read.
_READ_LAG = 5.0
_DEPLOYMENTS_PER_PAGE = 50
# How often in a row a refusal must come before it is believed.
_CONFIRMATIONS = 3

_Get: TypeAlias = Callable[[], Awaitable[T]]
# Gets the service in another way than by a request of the tail's own.
FetchService: TypeAlias = _Get[Service | ServiceSummary]


class LogFetcher:
    """Asks the API on behalf of one tail, until there is an answer."""

    __slots__ = (
        "_doubted_until",
        "_fetch_service",
        "_malformed_pages",
        "_metrics",
        "_newest_first",
        "_options",
        "_raw",
        "_service_id",
        "_urgency",
        "clock",
    )

    def __init__(
        self,
        raw: RawServices,
        options: TailOptions,
        metrics: TailMetrics,
        urgency: TailUrgency,
        *,
        fetch_service: FetchService | None = None,
    ) -> None:
        self.clock = ServerClock()
        self._raw = raw  # it repeats no call by itself, and makes all with the tail's urgency
        self._options = options
        self._service_id = options.service_id
        self._metrics = metrics
        self._urgency = urgency
        self._fetch_service = fetch_service
        self._newest_first: bool | None = None  # whether a page has its lines from new to old
        self._malformed_pages = 0  # in a row, until such pages are taken as they are
        # Until when a 403 or 404 of a deployment is not believed; None is the service:
        self._doubted_until: dict[int | None, float] = {}

    def patience(self, deployment_id: int | None = None, *, doubted_until: float = 0.0) -> Patience:
        """Make what a call is repeated by."""
        return Patience(self._metrics, self._options, deployment_id, doubted_until=doubted_until)

    # The service and its deployments

    async def current_deployment(self) -> DeploymentSnapshot | None:
        """Get the service's current deployment, if it has one."""
        get: _Get[Service | ServiceSummary | ServiceAnswer] = (
            self._fetch_service or self._request_service
        )
        return snapshot((await self._repeat(None, get)).current_deployment)

    async def learn_time(self) -> None:
        """Have the server tell its time, unless an answer has told it already."""
        if not self.clock.known:
            await self._repeat(None, self._request_service)

    async def deployment(self, deployment_id: int, *, is_young: bool) -> DeploymentSnapshot:
        """Get a deployment; one that may be young is doubted to be missing for a while."""
        if not is_young:
            self._doubted_until[deployment_id] = 0.0

        async def get() -> DeploymentAnswer:
            response = await self._raw.get_deployments(self._service_id, deployment_id)
            return decode(self._observed(response), DeploymentAnswer)

        answer = await self._repeat(deployment_id, get)
        return snapshot(answer) or DeploymentSnapshot(deployment_id)

    async def deployments(
        self, is_old: Callable[[DeploymentSnapshot], bool]
    ) -> list[DeploymentSnapshot]:
        """List deployments, oldest first: all that are not old, and some that are."""
        return await self.patience().repeat(lambda: self._read_listing(is_old))

    async def _read_listing(
        self, is_old: Callable[[DeploymentSnapshot], bool]
    ) -> list[DeploymentSnapshot]:
        """Read the listing until two old ones follow each other, all so far being in order.

        It is asked for from the newest to the oldest, but a server may ignore that.
        """
        found: dict[int, DeploymentSnapshot] = {}
        last: DeploymentSnapshot | None = None
        is_ordered, old_in_a_row = True, 0
        for page_num in itertools.count(1):
            response = await self._raw.list_deployments(
                self._service_id,
                limit=_DEPLOYMENTS_PER_PAGE,
                page_num=page_num,
                order="created_at",
                order_dir="desc",
            )
            entries, malformed = decode_lenient(self._observed(response), DeploymentAnswer)
            for problem in malformed:
                log.warning("%s", problem)
            count = len(found)
            for each in filter(None, map(snapshot, entries)):
                if each.deployment_id in found:
                    continue
                is_ordered = is_ordered and not (last and each.is_newer(last))
                found[each.deployment_id] = last = each
                old_in_a_row = old_in_a_row + 1 if is_old(each) else 0
                if old_in_a_row > 1 and is_ordered:
                    return list(found.values())[::-1]
            pages = total_pages(response.headers)
            is_last = page_num >= pages if pages is not None else len(found) == count
            if is_last or not entries:
                break
        if is_ordered:
            return list(found.values())[::-1]
        return sorted(found.values(), key=attrgetter("age"))

    async def _request_service(self) -> ServiceAnswer:
        return decode(self._observed(await self._raw.get(self._service_id)), ServiceAnswer)

    async def _repeat(self, deployment_id: int | None, get: _Get[T]) -> T:
        """Get the service or a deployment; what was never seen may be on its way to be read."""
        until = self._doubted_until.setdefault(deployment_id, time.monotonic() + _READ_LAG)
        value = await self.patience(doubted_until=until).repeat(get)
        self._doubted_until[deployment_id] = 0.0
        return value

    # Logs

    async def page(self, deployment_id: int, request: PageRequest) -> RawResponse:
        """Ask once for a page of a log; `lines` reads it."""
        response = await self._raw.list_deployments_logs(
            self._service_id,
            deployment_id,
            start_at=request.start,
            end_at=request.end,
            limit=request.limit,
        )
        return self._observed(response)

    def lines(self, response: RawResponse) -> PageLines:
        """Read a page of a log; a `ResponseDecodeError` if it has to be asked for again.

        Malformed lines are taken as well as can be, but not at once: what a proxy cuts or garbles
        is whole the next time.
        """
        try:
            lines = PageLines(decode(response, list[TailedEntry]))
        except ResponseDecodeError as exc:
            lossy = decode_lossy(response.content)
            lines = self._malformed_lines(response, exc) if lossy is None else PageLines(lossy)
        if self._malformed_pages < _CONFIRMATIONS:
            self._malformed_pages = 0
        entries = lines.entries
        if entries and entries[0].created_at != entries[-1].created_at:
            self._newest_first = entries[-1].created_at < entries[0].created_at
        return lines

    def _malformed_lines(self, response: RawResponse, error: ResponseDecodeError) -> PageLines:
        lines = decode_lenient_lines(response.content, newest_first=self._newest_first)
        if lines is None:
            raise error
        self._malformed_pages += 1
        if self._malformed_pages < _CONFIRMATIONS:
            raise error
        if self._malformed_pages == _CONFIRMATIONS:
            log.warning("malformed lines are taken as well as can be: %s", error)
        return lines

    def record_poll(self, *, has_news: bool) -> None:
        """Record that the log was read: those that have new lines are asked for more often."""
        self._urgency.record_poll(time.monotonic(), has_news=has_news)

    def _observed(self, response: RawResponse) -> RawResponse:
        """Take note of the time at which an answer was given."""
        self.clock.observe(response.headers)
        return response


class Patience:
    """How one call is repeated while it fails, at the intervals of the tail's polls.

    A tail outlives outages, so a failure is either repeated for as long as it takes, or final:

    - 401 is final at once: the key will not become a good one.
    - Any other 4xx (but 408 and 429) is believed when it came three times in a row. A 403 or 404 of
      something that was never seen is not believed for some seconds more, because reads may lag
      behind the write that made it; that of a new deployment's log not for a minute.
    - The rest (5xx, 429, no connection, no whole body, no valid body) passes by itself.

    Attributes
    ----------
    doubted_until : float
        Until when, by the monotonic clock, a 403 or 404 is not believed.
    failures : int
        How often the call failed, ever.
    """

    __slots__ = (
        "_began",
        "_delays",
        "_deployment_id",
        "_metrics",
        "_options",
        "_refusals",
        "doubted_until",
        "failures",
    )

    def __init__(
        self,
        metrics: TailMetrics,
        options: TailOptions,
        deployment_id: int | None = None,
        *,
        doubted_until: float = 0.0,
    ) -> None:
        self.doubted_until = doubted_until
        self.failures = 0
        self._metrics = metrics
        self._options = options
        self._deployment_id = deployment_id  # whose log the call is about
        self._reset()

    def _reset(self) -> None:
        self._delays: Iterator[float] | None = None
        self._began: float | None = None
        self._refusals = 0

    @property
    def is_failing(self) -> bool:
        """Whether the call failed when it was made last."""
        return self._began is not None

    async def repeat(self, call: Callable[[], Awaitable[T]]) -> T:
        """Repeat a call until it is answered, or until its refusal is believed."""
        try:
            while True:
                try:
                    value = await call()
                except RequestError as exc:
                    await self.wait(exc)
                else:
                    self.end(served=True)
                    return value
        finally:
            self.end(served=False)

    async def wait(self, error: RequestError) -> None:
        """Wait until the call, which has failed, may be repeated.

        Raises
        ------
        RequestError
            The failure, if there is no sense in repeating the call.
        """
        now = time.monotonic()
        is_doubted = False
        if isinstance(error, AuthenticationError | ResponseTooLargeError):
            raise error
        if _is_refusal(error):
            self._refusals += 1
            may_be_young = isinstance(error, NotFoundError | PermissionDeniedError)
            is_doubted = may_be_young and now < self.doubted_until
            if self._refusals >= _CONFIRMATIONS and not is_doubted:
                raise error
            self._metrics.end_call(self, served=False)  # this is an answer, and no outage
        else:
            self._refusals = 0
            self._metrics.record_failure(self, error, self._deployment_id)
        self.failures += 1
        if self._began is None:
            self._began = now
        longest = self._options.max_outage
        if longest is not None and now - self._began >= longest:
            raise error
        if self._delays is None:
            options = self._options
            self._delays = backoff_delays(options.poll_interval, options.max_poll_interval)
        delay = next(self._delays)
        if _is_refusal(error):
            await anyio.sleep(min(delay, self.doubted_until - now) if is_doubted else delay)
        else:
            await self._metrics.answered.wait(delay)

    def end(self, *, served: bool) -> None:
        """Note that the call was answered, or will not be made again."""
        self._metrics.end_call(self, served=served)
        if self._began is not None:
            self._reset()


def _is_refusal(error: RequestError) -> bool:
    """Whether a failure may be the server's last word."""
    if not isinstance(error, APIError) or isinstance(error, RateLimitedError):
        return False
    return error.status < 500 and error.status != 408
