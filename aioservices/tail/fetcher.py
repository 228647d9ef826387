"""What a tail asks the API for, and how it puts up with what goes wrong."""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import AsyncIterable, Awaitable, Callable
from types import TracebackType
from typing import Literal, Protocol, Self, TypeVar

import anyio

from aioservices.api.models import Deployment, DeploymentSummary, Service, TailedEntry, reading_log
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
from aioservices.http.response import RawResponse, decode
from aioservices.http.retry import backoff_delays

from .clock import ServerClock
from .plan import Query
from .salvage import legible, salvaged
from .status import TailMetrics

__all__ = ["LogSource", "PatientSource"]

log = logging.getLogger("aioservices.tail")

T = TypeVar("T")

# How often a 403 or 404 must be repeated before it is believed ...
_CONFIRMATIONS = 3
# ... and for how many seconds a new deployment's log may not be there yet.
_SLOW_START = 60.0


class RawSource(Protocol):
    """The endpoints that a tail needs, with their answers as they came."""

    def get(self, id: int) -> Awaitable[RawResponse]:
        """Get a service."""
        ...

    def get_deployments(self, service_id: int, deployment_id: int) -> Awaitable[RawResponse]:
        """Get a deployment."""
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

    def list_deployments(
        self,
        service_id: int,
        *,
        order: Literal["created_at"] | None = None,
        order_dir: Literal["asc", "desc"] | None = None,
    ) -> AsyncIterable[DeploymentSummary]:
        """List the deployments of a service."""
        ...


class PatientSource:
    """Asks until there is an answer, except where there will never be one.

    Parameters
    ----------
    source : LogSource
        Its calls should not be repeated by itself.
    service_id : int
    metrics : TailMetrics
    shortest, longest : float
        Seconds to wait after a failure, at first and at last.
    max_outage : float, optional
        Seconds after which an outage is an error.

    Attributes
    ----------
    clock : ServerClock
    failures : int
        How often there was no answer.
    """

    def __init__(
        self,
        source: LogSource,
        service_id: int,
        metrics: TailMetrics,
        *,
        shortest: float,
        longest: float,
        max_outage: float | None = None,
    ) -> None:
        self.clock = ServerClock()
        self.failures = 0
        self._odd_pages = 0  # whose lines were not as promised
        self._source = source
        self._service_id = service_id
        self._metrics = metrics
        self._shortest = shortest
        self._longest = longest
        self._max_outage = max_outage

    async def service(self) -> Service:
        """Get the service."""
        return await self._patiently(
            lambda: self._get(self._source.raw.get(self._service_id), Service)
        )

    async def deployment(self, deployment_id: int) -> Deployment:
        """Get a deployment."""
        return await self._patiently(
            lambda: self._get(
                self._source.raw.get_deployments(self._service_id, deployment_id), Deployment
            )
        )

    async def deployments_since(
        self, latest_id: int, latest_at: dt.datetime | None
    ) -> list[DeploymentSummary]:
        """List the deployments that came after one, oldest first."""

        async def read() -> list[DeploymentSummary]:
            found: list[DeploymentSummary] = []
            async for deployment in self._newest_first():
                at = deployment.created_at
                if deployment.deployment_id == latest_id or (at and latest_at and at < latest_at):
                    break
                found.append(deployment)
            return found[::-1]

        return await self._patiently(read)

    async def newest_deployment(self) -> DeploymentSummary | None:
        """Get the deployment that was created last, if there is any."""

        async def read() -> DeploymentSummary | None:
            async for deployment in self._newest_first():
                return deployment
            return None

        return await self._patiently(read)

    async def page(
        self, deployment_id: int, query: Query, *, first_seen: float
    ) -> tuple[list[TailedEntry], dt.datetime | None]:
        """Fetch a page of a log.

        Parameters
        ----------
        deployment_id : int
        query : Query
        first_seen : float
            When, by the monotonic clock, the deployment was seen first.

        Returns
        -------
        list of TailedEntry
        datetime or None
            The server's time when it was asked, or a little earlier.

        Raises
        ------
        ResponseTooLargeError
            If fewer lines must be asked for.
        """

        async def read() -> tuple[list[TailedEntry], dt.datetime | None]:
            response = await self._source.raw.list_deployments_logs(
                self._service_id,
                deployment_id,
                start_at=query.start,
                end_at=query.end,
                limit=query.limit,
            )
            with reading_log(self._service_id, deployment_id):
                entries = self._lines(response)
            return entries, self.clock.hear(response.headers, response.elapsed)

        return await self._patiently(
            read, deployment_id=deployment_id, doubted_until=first_seen + _SLOW_START
        )

    def _lines(self, response: RawResponse) -> list[TailedEntry]:
        try:
            lines = decode(response, list[TailedEntry])
        except ResponseDecodeError as exc:
            read = legible(response.content)
            lines = self._odd_lines(response, exc) if read is None else read
        if self._odd_pages < _CONFIRMATIONS:  # else there are such lines, to be taken at once
            self._odd_pages = 0
        return lines

    def _odd_lines(self, response: RawResponse, error: ResponseDecodeError) -> list[TailedEntry]:
        lines = salvaged(response.content)
        if lines is None:
            raise error
        self._odd_pages += 1
        if self._odd_pages < _CONFIRMATIONS:
            raise error
        if self._odd_pages == _CONFIRMATIONS:
            log.warning("odd lines are taken as well as can be: %s", str(error))
        return lines

    async def _get(self, call: Awaitable[RawResponse], type_: type[T]) -> T:
        response = await call
        value = decode(response, type_)
        self.clock.hear(response.headers, response.elapsed)
        return value

    def _newest_first(self) -> AsyncIterable[DeploymentSummary]:
        return self._source.list_deployments(self._service_id, order="created_at", order_dir="desc")

    async def _patiently(
        self,
        call: Callable[[], Awaitable[T]],
        *,
        deployment_id: int | None = None,
        doubted_until: float = 0.0,
    ) -> T:
        """Repeat a call; a 403 or 404 is believed when it was confirmed, and not too soon."""
        delays = backoff_delays(self._shortest, self._longest)
        began: float | None = None
        refusals = 0
        with _Failing(self._metrics, deployment_id) as failing:
            while True:
                try:
                    return await call()
                except (NotFoundError, PermissionDeniedError) as exc:
                    refusals += 1
                    doubted = isinstance(exc, NotFoundError) and time.monotonic() < doubted_until
                    if refusals >= _CONFIRMATIONS and not doubted:
                        raise
                    error: RequestError = exc
                except RequestError as exc:
                    if not _will_pass(exc):
                        raise
                    refusals = 0
                    failing.record(error := exc)
                self.failures += 1
                now = time.monotonic()
                began = now if began is None else began
                if self._max_outage is not None and now - began >= self._max_outage:
                    raise error
                await anyio.sleep(next(delays))


class _Failing:
    """The part of one call in an outage."""

    def __init__(self, metrics: TailMetrics, deployment_id: int | None) -> None:
        self._metrics = metrics
        self._deployment_id = deployment_id
        self._has_failed = False

    def record(self, error: RequestError) -> None:
        """Record a failure."""
        is_first, self._has_failed = not self._has_failed, True
        self._metrics.record_failure(error, self._deployment_id, is_first=is_first)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._has_failed:
            self._metrics.end_failure(served=exc is None)


def _will_pass(error: RequestError) -> bool:
    """Whether a failure is one of those that end by themselves."""
    if isinstance(error, ResponseTooLargeError | AuthenticationError):
        return False
    if isinstance(error, APIError):
        return isinstance(error, RateLimitedError) or error.status >= 500 or error.status == 408
    return True
