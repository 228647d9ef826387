"""What a tail asks the API for, and how long it repeats what fails.

A tail outlives outages, so a failure is either repeated for as long as it takes, or final:

- 401 is final at once: the key will not become a good one.
- Any other 4xx (but 408 and 429) is believed when it came three times in a row. A 403 or 404 of
  something that was never seen is not believed for some seconds more, because reads may lag behind
  the write that made it; that of a new deployment's log not for a minute.
- The rest (5xx, 429, no connection, no whole body, no valid body) passes by itself.

Of an answer about a service or a deployment only what a tail needs is read, so that nothing else
in it can be in the way.
"""

from __future__ import annotations

import datetime as dt
import functools
import itertools
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Literal, NamedTuple, Protocol, TypeAlias, TypeVar

import anyio
import msgspec

from aioservices.api.models import (
    Service,
    ServiceSummary,
    TailedEntry,
    Timestamp,
)
from aioservices.api.pagination import total_pages
from aioservices.api.states import state_as_text
from aioservices.errors import (
    APIError,
    AuthenticationError,
    ConnectionFailedError,
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
from .malformed import decode_lenient as decode_lenient_lines
from .malformed import decode_lossy
from .scan import PageRequest
from .status import TailMetrics
from .turns import TurnQueue, Urgency
from .untimed import PageLines

__all__ = ["DeploymentSnapshot", "LogFetcher", "LogSource", "Look", "Patience", "is_too_large"]

log = logging.getLogger("aioservices.tail")

T = TypeVar("T")

# How often in a row a refusal must come before it is believed ...
_CONFIRMATIONS = 3
# ... and for how many seconds what was never seen may be on its way to where it is read.
_READ_LAG = 5.0
_DEPLOYMENTS_PER_PAGE = 50


class RawSource(Protocol):
    """The endpoints that a tail needs, with their answers as they came."""

    def get(self, id: int) -> Awaitable[RawResponse]:
        """Get a service."""
        ...

    def get_deployments(self, service_id: int, deployment_id: int) -> Awaitable[RawResponse]:
        """Get a deployment."""
        ...

    def list_deployments(
        self,
        service_id: int,
        *,
        limit: int | None = None,
        page_num: int | None = None,
        order: Literal["created_at"] | None = None,
        order_dir: Literal["asc", "desc"] | None = None,
    ) -> Awaitable[RawResponse]:
        """List the deployments of a service."""
        ...

    def list_deployments_logs(
        self,
        id: int,
        deployment_id: int,
        *,
        start_at: dt.datetime | str | None = None,
        end_at: dt.datetime | str | None = None,
        limit: int | None = None,
    ) -> Awaitable[RawResponse]:
        """Get a page of a log."""
        ...


class LogSource(Protocol):
    """The part of a session that a tail needs."""

    @property
    def raw(self) -> RawSource:
        """The endpoints with their answers as they came."""
        ...


# Gets the service in another way than by a request of the tail's own.
Look: TypeAlias = Callable[[], Awaitable[Service | ServiceSummary]]


class DeploymentSnapshot(NamedTuple):
    """What a tail needs to know of a deployment.

    Attributes
    ----------
    deployment_id : int
    state, state_message : str or None
    created_at, updated_at : datetime or None
    """

    deployment_id: int
    state: str | None = None
    state_message: str | None = None
    created_at: dt.datetime | None = None
    updated_at: dt.datetime | None = None

    def is_newer(self, than_id: int, than: dt.datetime | None) -> bool:
        """Whether it was created after another one; ids decide where times do not."""
        if self.created_at is None or than is None or self.created_at == than:
            return self.deployment_id > than_id
        return self.created_at > than


class Patience:
    """How one call is repeated while it fails.

    Parameters
    ----------
    metrics : TailMetrics
        Where outages are counted.
    shortest, longest : float
        Seconds to wait after a failure, at first and at most.
    max_outage : float or None
        Seconds after which an outage is an error.
    deployment_id : int, optional
        Whose log the call is about.

    Attributes
    ----------
    failures : int
        How often the call failed, ever.
    """

    def __init__(
        self,
        metrics: TailMetrics,
        shortest: float,
        longest: float,
        max_outage: float | None,
        *,
        deployment_id: int | None = None,
    ) -> None:
        self.failures = 0
        self._metrics = metrics
        self._shortest = shortest
        self._longest = longest
        self._max_outage = max_outage
        self._deployment_id = deployment_id
        self._is_out = False
        self._reset()

    def _reset(self) -> None:
        self._delays = backoff_delays(self._shortest, self._longest)
        self._began: float | None = None
        self._refusals = 0

    @property
    def is_failing(self) -> bool:
        """Whether the call failed when it was made last."""
        return self._began is not None

    async def wait(self, error: RequestError, *, doubted_until: float = 0.0) -> None:
        """Wait until the call may be repeated.

        Parameters
        ----------
        error : RequestError
            How it failed.
        doubted_until : float
            Until when, by the monotonic clock, a 403 or 404 is not believed.

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
            is_doubted = (
                isinstance(error, NotFoundError | PermissionDeniedError) and now < doubted_until
            )
            if self._refusals >= _CONFIRMATIONS and not is_doubted:
                raise error
        else:
            self._refusals = 0
            is_first, self._is_out = not self._is_out, True
            self._metrics.record_failure(error, self._deployment_id, is_first=is_first)
        self.failures += 1
        if self._began is None:
            self._began = now
        if self._max_outage is not None and now - self._began >= self._max_outage:
            raise error
        delay = next(self._delays)
        if is_doubted:  # no longer than that
            delay = min(delay, doubted_until - now)
        await anyio.sleep(delay)

    def served(self) -> None:
        """Note that the call was answered."""
        if self._began is not None:
            self._end(served=True)

    def close(self) -> None:
        """Note that the call will not be made again."""
        self._end(served=False)

    def _end(self, *, served: bool) -> None:
        if self._is_out:
            self._is_out = False
            self._metrics.end_failure(served=served)
        self._reset()


class LogFetcher:
    """Asks the API on behalf of one tail.

    Parameters
    ----------
    source : LogSource
        Its calls should not be repeated by itself.
    service_id : int
    metrics : TailMetrics
    turns : TurnQueue
        In which the session's tails make their requests.
    shortest, longest : float
        Seconds to wait after a failure, at first and at most.
    max_outage : float, optional
        Seconds after which an outage is an error.
    look : callable, optional
        Gets the service, in place of a request of the tail's own.

    Attributes
    ----------
    clock : ServerClock
    """

    def __init__(
        self,
        source: LogSource,
        service_id: int,
        metrics: TailMetrics,
        turns: TurnQueue,
        *,
        shortest: float,
        longest: float,
        max_outage: float | None = None,
        look: Look | None = None,
    ) -> None:
        self.clock = ServerClock()
        self._turns = turns
        self._look = look
        self._urgency = Urgency(shortest, time.monotonic())
        self._source = source
        self._service_id = service_id
        self._metrics = metrics
        self._shortest = shortest
        self._longest = longest
        self._max_outage = max_outage
        self._newest_first: bool | None = None  # whether a page has its lines from new to old
        self._malformed_pages = 0  # in a row, until such pages are taken as they are
        # Until when a 403 or 404 of a deployment is not believed; None is the service:
        self._doubted_until: dict[int | None, float] = {}

    def patience(self, deployment_id: int | None = None) -> Patience:
        """Make what a call is repeated by."""
        return Patience(
            self._metrics,
            self._shortest,
            self._longest,
            self._max_outage,
            deployment_id=deployment_id,
        )

    async def current_deployment(self) -> DeploymentSnapshot | None:
        """Get the service's current deployment, if it has one."""
        if self._look is not None:
            service = await self._repeat_get(None, self._look)
            current = service.current_deployment
            if current is None:
                return None
            return DeploymentSnapshot(
                current.deployment_id,
                current.state,
                current.state_message,
                _plausible(current.created_at),
                _plausible(current.updated_at),
            )
        told = await self._get(None, lambda: self._source.raw.get(self._service_id), _Service)
        return None if told.current_deployment is None else _snapshot(told.current_deployment)

    async def learn_time(self) -> None:
        """Have the server tell its time, unless an answer has told it already."""
        if not self.clock.known:
            await self._get(None, lambda: self._source.raw.get(self._service_id), _Service)

    async def deployment(self, deployment_id: int, *, is_young: bool = True) -> DeploymentSnapshot:
        """Get a deployment; one that may be young is doubted to be missing for a while."""
        if not is_young:
            self._doubted_until[deployment_id] = 0.0
        deployment = await self._get(
            deployment_id,
            lambda: self._source.raw.get_deployments(self._service_id, deployment_id),
            _Deployment,
        )
        return _snapshot(deployment) or DeploymentSnapshot(deployment_id)

    async def deployments(
        self, is_old: Callable[[DeploymentSnapshot], bool]
    ) -> list[DeploymentSnapshot]:
        """List deployments, oldest first: all that are not old, and some that are.

        They are asked for from the newest to the oldest, but a server may ignore that. The listing
        is read until two old ones follow each other, all of what was read so far being in order.
        """

        async def read() -> list[DeploymentSnapshot]:
            found: list[DeploymentSnapshot] = []
            is_ordered, old_in_a_row = True, 0
            async for each in self._listed():
                if found and each.is_newer(found[-1].deployment_id, found[-1].created_at):
                    is_ordered = False
                found.append(each)
                old_in_a_row = old_in_a_row + 1 if is_old(each) else 0
                if old_in_a_row > 1 and is_ordered:
                    break
            found.reverse()
            return found if is_ordered else sorted(found, key=_age)

        return await self._repeat(read)

    async def page(self, deployment_id: int, request: PageRequest) -> RawResponse:
        """Ask once for a page of a log; `lines` reads it.

        Parameters
        ----------
        deployment_id : int
        request : PageRequest

        Raises
        ------
        RequestError
            If there is none.
        """
        return await self._send(
            lambda: self._source.raw.list_deployments_logs(
                self._service_id,
                deployment_id,
                start_at=request.start,
                end_at=request.end,
                limit=request.limit,
            )
        )

    def record_poll(self, *, has_news: bool) -> None:
        """Record that the log was read: those that have new lines are asked for more often."""
        self._urgency.record_poll(time.monotonic(), has_news=has_news)

    def lines(self, response: RawResponse) -> PageLines:
        """Read a page of a log.

        Malformed lines are taken as well as can be, but not at once: what a proxy cuts or garbles
        is whole the next time.

        Parameters
        ----------
        response : RawResponse

        Raises
        ------
        ResponseDecodeError
            If it has to be asked for again.
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

    async def _get(
        self, deployment_id: int | None, call: Callable[[], Awaitable[RawResponse]], type_: type[T]
    ) -> T:
        """Get the service, or a deployment."""

        async def get() -> T:
            return decode(await self._send(call), type_)

        return await self._repeat_get(deployment_id, get)

    async def _repeat_get(self, deployment_id: int | None, get: Callable[[], Awaitable[T]]) -> T:
        """Get the service or a deployment; what was never seen may be on its way to be read."""
        doubted_until = self._doubted_until.setdefault(deployment_id, time.monotonic() + _READ_LAG)
        value = await self._repeat(get, doubted_until=doubted_until)
        self._doubted_until[deployment_id] = 0.0
        return value

    async def _listed(self) -> AsyncIterator[DeploymentSnapshot]:
        """Give each deployment that is listed, asked for from the newest to the oldest."""
        met: set[int] = set()
        for page_num in itertools.count(1):
            response = await self._send(functools.partial(self._listing_page, page_num))
            entries, malformed = decode_lenient(response, _Deployment)
            for problem in malformed:
                log.warning("%s", problem)
            new = [each for each in entries if each.deployment_id not in met]
            for each in new:
                met.add(each.deployment_id)
                if (snapshot := _snapshot(each)) is not None:
                    yield snapshot
            pages = total_pages(response.headers)
            is_last = page_num >= pages if pages is not None else not new
            if is_last or not entries:
                return

    def _listing_page(self, page_num: int) -> Awaitable[RawResponse]:
        return self._source.raw.list_deployments(
            self._service_id,
            limit=_DEPLOYMENTS_PER_PAGE,
            page_num=page_num,
            order="created_at",
            order_dir="desc",
        )

    async def _send(self, call: Callable[[], Awaitable[RawResponse]]) -> RawResponse:
        """Make a call when it is this tail's turn."""
        turn = await self._turns.take(self._urgency)
        try:
            response = await call()
        finally:
            self._turns.end(turn)
        self.clock.observe(response.headers)
        return response

    async def _repeat(self, call: Callable[[], Awaitable[T]], *, doubted_until: float = 0.0) -> T:
        """Repeat a call until it is answered, or until its refusal is believed."""
        patience = self.patience()
        try:
            while True:
                try:
                    value = await call()
                except RequestError as exc:
                    await patience.wait(exc, doubted_until=doubted_until)
                else:
                    patience.served()
                    return value
        finally:
            patience.close()


def is_too_large(error: RequestError) -> bool:
    """Whether a page may have failed because of its size: it took too long, or broke off."""
    if isinstance(error, ResponseTooLargeError):
        return True
    if isinstance(error, APIError):
        return error.status in (413, 502, 504)
    if isinstance(error, ConnectionFailedError):
        return error.sent
    return isinstance(error, ResponseDecodeError)


def _is_refusal(error: RequestError) -> bool:
    """Whether a failure may be the server's last word."""
    if not isinstance(error, APIError) or isinstance(error, RateLimitedError):
        return False
    return error.status < 500 and error.status != 408


class _Deployment(msgspec.Struct, rename="camel"):
    """A deployment as it came: what is not as promised counts as not told."""

    deployment_id: int = 0
    state: object = None
    state_message: object = None
    created_at: object = None
    updated_at: object = None


class _Service(msgspec.Struct, rename="camel"):
    current_deployment: _Deployment | None = None


def _snapshot(deployment: _Deployment) -> DeploymentSnapshot | None:
    if not deployment.deployment_id:
        return None
    return DeploymentSnapshot(
        deployment.deployment_id,
        state_as_text(deployment.state),
        _text(deployment.state_message),
        _time(deployment.created_at),
        _time(deployment.updated_at),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _time(value: object) -> dt.datetime | None:
    try:
        time = msgspec.convert(value, Timestamp)
    except msgspec.ValidationError:
        return None
    return _plausible(time)


def _plausible(time: dt.datetime | None) -> dt.datetime | None:
    """Leave out the zero times of languages and databases, which stand for no time."""
    return time if time is not None and 1970 < time.year < 9999 else None


def _age(deployment: DeploymentSnapshot) -> tuple[bool, float, int]:
    at = deployment.created_at
    return (at is not None, 0.0 if at is None else at.timestamp(), deployment.deployment_id)
