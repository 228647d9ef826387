"""Deploying many services: the run, its outcomes and what it has started.

`exactly_once` explains how each of them is deployed exactly once.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType

import anyio
import msgspec

from aioservices.api.models import Deployment
from aioservices.api.states import is_final
from aioservices.concurrency import BackgroundTasks, Stream, for_each
from aioservices.errors import (
    SESSION_WIDE,
    APIError,
    ConnectionFailedError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    ServicesError,
)
from aioservices.http.retry import may_repeat
from aioservices.validation import validate_int, validate_ints, validate_seconds

from .discovery import ServiceCheck, ServiceIndex, ServiceSnapshot, SharedChecks
from .exactly_once import Deployer
from .failure import as_services_error, failure_of
from .outcome import LEAST_ATTEMPTS, CheckSchedule
from .progress import READ_LAG, is_newer
from .session import Session
from .wait import DeploymentWaiter, fetch_deployment, without_repeating

__all__ = ["DeployOutcome", "DeployRun"]

_AT_ONCE = 8


class DeployOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of the deploy of one service.

    Attributes
    ----------
    service_id : int
    deployment : Deployment or None
        The deployment that was made, as it was last seen; None if there is none, or none is known.
    error : ServicesError or None
        Why it does not run: a :class:`DeploymentFailedError` if it was made and failed, a
        :class:`DeploymentTimeoutError` if it did not run in time, or the error of the call. None
        if all is well.
    elapsed : float
        Seconds from the first request until this was known.
    """

    service_id: int
    deployment: Deployment | None
    error: ServicesError | None
    elapsed: float


class DeployRun(Stream[DeployOutcome]):
    """The outcomes of many deploys, in the order in which they are known.

    An async iterator, and an async context manager whose end stops all work. Nothing is deployed
    before the first outcome is requested. The deploys do not wait for the reader of their outcomes.
    See `Services.deploy_many`, which makes it.
    """

    def __init__(
        self,
        tasks: BackgroundTasks,
        session: Session,
        ids: Iterable[int],
        *,
        redeploy: bool,
        concurrency: int,
        wait: bool,
        timeout: float,
        stay_up: float,
        settle: float,
        poll_interval: float,
    ) -> None:
        self._ids = tuple(dict.fromkeys(validate_ints(ids, "ids")))
        validate_int(concurrency, "concurrency", least=1)
        validate_seconds(timeout, "timeout", unbounded=True)
        validate_seconds(stay_up, "stay_up", zero=True)
        validate_seconds(poll_interval, "poll_interval")
        validate_seconds(settle, "settle", zero=True)
        self._work = _Deploys(
            session,
            redeploy=redeploy,
            concurrency=concurrency,
            timeout=timeout if wait else None,
            stay_up=stay_up,
            settle=settle,
            poll_interval=poll_interval,
        )
        super().__init__(tasks, partial(self._work.run, self._ids), buffer=len(self._ids))

    @property
    def ids(self) -> tuple[int, ...]:
        """The services, each once."""
        return self._ids

    async def recheck(self) -> list[DeployOutcome]:
        """Check once more every service that came up, and return those that are no longer up.

        ``GET /services``: a page for each 50 of them. Call it when all outcomes have been read: a
        service that crashed soon after it came up has counted as running until then.

        Returns
        -------
        list of DeployOutcome
            One with an error for each of these services, in no particular order.
        """
        return await self._work.recheck()

    @property
    def started(self) -> Mapping[int, Deployment | None]:
        """The deployments that were or may have been started, by service: `made` and `unknown`.

        It grows during the run, and stays as it is after an interruption. The deployment is
        None while it is not known whether there is one.
        """
        return MappingProxyType(self._work.started)

    @property
    def made(self) -> dict[int, Deployment]:
        """The deployments that were certainly made so far, by service, as they were made."""
        return {each: made for each, made in self.started.items() if made is not None}

    @property
    def unknown(self) -> frozenset[int]:
        """The services of which it is not known whether they were deployed.

        Their request is in progress or, after an interruption or an error, was never answered. A
        service whose request the server has rejected, and that waits to be repeated, is not
        included.
        """
        return frozenset(each for each, made in self.started.items() if made is None)


class _Deploys:
    """The work of a run."""

    def __init__(
        self,
        session: Session,
        *,
        redeploy: bool,
        concurrency: int,
        timeout: float | None,
        stay_up: float,
        settle: float,
        poll_interval: float,
    ) -> None:
        self._session = session
        self._up: dict[int, DeployOutcome] = {}
        self._settle = settle
        self._retry = session.retry
        self._index = ServiceIndex(session)
        unrepeated = without_repeating(session)
        self._checks = SharedChecks(ServiceIndex(unrepeated), spacing=poll_interval / 2)
        self._deployer = Deployer(
            session, self._checks, redeploy=redeploy, concurrency=concurrency, settle=settle
        )
        self._waiter: DeploymentWaiter | None = None
        if timeout is not None:
            self._waiter = DeploymentWaiter(
                unrepeated,
                self._checks,
                timeout=timeout,
                stay_up=stay_up,
                poll_interval=poll_interval,
                read_lag=max(settle, READ_LAG),
            )

    @property
    def started(self) -> dict[int, Deployment | None]:
        """See `DeployRun.started`."""
        return self._deployer.started

    async def run(
        self, ids: tuple[int, ...], send: Callable[[DeployOutcome], Awaitable[None]]
    ) -> None:
        """Deploy services, and send the outcome of each."""
        async with anyio.create_task_group() as looking:
            looking.start_soon(self._checks.run)
            async with anyio.create_task_group() as deploys:
                for service_id in ids:
                    deploys.start_soon(self._deploy_one, service_id, send)
            looking.cancel_scope.cancel()

    async def recheck(self) -> list[DeployOutcome]:
        """See `DeployRun.recheck`."""
        snapshots: dict[int, ServiceSnapshot | ServicesError] = {}
        await self._index.fetch(self._up.keys(), snapshots.__setitem__)
        outcomes: list[DeployOutcome] = []

        async def check(outcome: DeployOutcome) -> None:
            error = await self._error_now(outcome, snapshots[outcome.service_id])
            if error is not None:
                outcomes.append(msgspec.structs.replace(outcome, error=error))

        await for_each(list(self._up.values()), check, at_once=_AT_ONCE)
        for each in outcomes:
            del self._up[each.service_id]
        return outcomes

    async def _error_now(
        self, outcome: DeployOutcome, snapshot: ServiceSnapshot | ServicesError
    ) -> ServicesError | None:
        """Return why a deployment that was up no longer is; None if it still is."""
        made = outcome.deployment
        if made is None or isinstance(snapshot, ServicesError):
            return snapshot if isinstance(snapshot, ServicesError) else None
        service_id, shown = outcome.service_id, snapshot.current_deployment
        seen = await fetch_deployment(self._session, service_id, made.deployment_id, shown)
        if isinstance(seen, ServicesError):
            return seen
        if is_final(seen.state):
            return await failure_of(self._session, service_id, seen)
        if shown is not None and is_newer(shown, seen):
            reason = f"replaced by deployment {shown.deployment_id}"
            return await failure_of(self._session, service_id, seen, reason)
        return None

    async def _deploy_one(
        self, service_id: int, send: Callable[[DeployOutcome], Awaitable[None]]
    ) -> None:
        """Deploy a service, wait for it if requested, and send its outcome."""
        deployment: Deployment | None = None
        error: ServicesError | None = None
        try:
            check = await self._check_until_seen(service_id)
            deployment = await self._deployer.deploy(service_id, check)
            if self._waiter is not None:
                deployment, error = await self._waiter.wait(service_id, deployment)
        except Exception as exc:
            error = as_services_error(exc)
        now = anyio.current_time()
        elapsed = now - self._deployer.begun.get(service_id, now)
        outcome = DeployOutcome(
            service_id=service_id, deployment=deployment, error=error, elapsed=elapsed
        )
        if error is None and self._waiter is not None:
            self._up[service_id] = outcome
        await send(outcome)

    async def _check_until_seen(self, service_id: int) -> ServiceCheck:
        """Check a service until it is seen, as often as a call of the session would be retried."""
        begun_at = anyio.current_time()
        schedule = CheckSchedule(begun_at, self._settle)
        delay = self._retry.base_delay
        attempts = 0
        while True:
            check = await self._checks.check(service_id, due=schedule.due)
            if not isinstance(check.snapshot, ServicesError):
                return check
            attempts += 1
            if schedule.is_last(check.begun_at):
                delay = min(2 * delay, self._retry.max_delay)
                schedule.due = anyio.current_time() + delay
            if schedule.due - begun_at > self._retry_seconds(check.snapshot, attempts):
                raise check.snapshot

    def _retry_seconds(self, error: ServicesError, attempts: int) -> float:
        """Seconds for which to repeat a request because of an error."""
        if isinstance(error, (PermissionDeniedError, *SESSION_WIDE)):
            return 0.0
        longest = self._retry.max_elapsed
        if isinstance(error, RateLimitedError) and (error.retry_after or 0.0) > longest:
            return 0.0  # no request can be sent in time
        if isinstance(error, NotFoundError):  # it may just have been made
            return READ_LAG
        if attempts < LEAST_ATTEMPTS:
            return math.inf
        more = attempts < self._retry.max_attempts and _may_succeed_later(error)
        return max(self._settle, longest if more else 0.0)


def _may_succeed_later(error: ServicesError) -> bool:
    """Whether a call that failed like this may succeed when it is repeated."""
    if isinstance(error, APIError):
        return may_repeat("GET", status=error.status)
    return isinstance(error, ConnectionFailedError)
