"""Deploying many services, each of them exactly once.

A deploy is a POST that the server does not recognise when it is sent again: repeated blindly after
its answer was lost, it deploys twice. So nothing is repeated before it is known that it had no
effect. The outcome of a lost answer is found like this:

1. Before the POST it is known which deployments the service had: the listing shows the last one.
   Where it shows none, a deleted one may leave older ones, which must not be taken for ours. What
   tells them apart is a deployment that this run has made in between, of any service: the older
   ones came before it, and ours comes after it. Until the run has made one, the service's own list
   of deployments is asked for.
2. The error of a POST says whether the server may have acted on it at all. A refusal, such as a 422
   or a 503, and a connection that was never made have had no effect.
3. Else checks of the service, spread over `settle` seconds, show a newer deployment if there is
   one: that one is ours, as far as anyone can tell. A page of the listing answers for fifty
   services.
4. A service that shows none is asked for its own list once more, just before the POST is repeated.
   Only if that has none either, the POST had no effect. If it cannot be read, the service is given
   up with an error: not knowing is no reason to ask again.

For example: 300 services, and a proxy that answers 502 to 60 of the POSTs, half of which arrived.
Two checks find the 30 that did, with six pages each; the other 30 cost a list and a POST each.

When POST after POST has no effect, not one service is the trouble but all of them: then only a few
are repeated, until one succeeds (see `CircuitBreaker`).

What is assumed: a server acts on a request within `settle`, or never, nobody else deploys the same
services meanwhile, and a later deployment has a higher identifier or a later time.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import TypeVar

import anyio
import msgspec

from aioservices.api.models import Deployment, DeploymentSummary
from aioservices.api.states import is_final
from aioservices.concurrency import BackgroundTasks, Stream, for_each
from aioservices.errors import (
    SESSION_WIDE,
    APIError,
    AuthenticationError,
    ConnectionFailedError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    RequestError,
    ServicesError,
)
from aioservices.http.options import Attempt
from aioservices.http.retry import may_repeat
from aioservices.validation import validate_int, validate_ints, validate_seconds

from .discovery import ServiceCheck, ServiceIndex, ServiceSnapshot, SharedChecks
from .failure import as_services_error, failure_of
from .history import recent_deployments
from .outcome import (
    CheckSchedule,
    CircuitBreaker,
    History,
    Made,
    has_acted,
    may_have_acted,
    newest_after,
)
from .progress import READ_LAG, complete, is_newer, newest_since
from .session import Session
from .wait import DeploymentWaiter, fetch_deployment, without_repeating

__all__ = ["DeployOutcome", "DeployRun"]

log = logging.getLogger(__name__)

T = TypeVar("T")

_REQUESTS = 3  # at most so many for a service, while none of them takes effect
_LEAST_ATTEMPTS = 5  # to see a service, however long they take
_AT_ONCE = 8
_HOPELESS = (AuthenticationError, NotFoundError, PermissionDeniedError)


class DeployOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of the deploy of one service.

    Attributes
    ----------
    service_id : int
    deployment : Deployment or None
        The deployment that was made, as it was seen last; None if there is none, or none is known.
    error : ServicesError or None
        Why it does not run: a :class:`DeploymentFailedError` if it was made and failed, a
        :class:`DeploymentTimeoutError` if it did not run in time, or the error of the call. None
        if all is well.
    elapsed : float
        Seconds from when it was first asked for until this was known.
    """

    service_id: int
    deployment: Deployment | None
    error: ServicesError | None
    elapsed: float


class DeployRun(Stream[DeployOutcome]):
    """The outcomes of many deploys, in the order in which they are known.

    An async iterator, and an async context manager whose end stops what is under way. Nothing is
    deployed before the first outcome is asked for. The deploys do not wait for whoever reads their
    outcomes. See `Services.deploy_many`, which makes it.
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
        self._started: dict[int, Deployment | None] = {}
        self._work = _Deploys(
            session,
            self._started,
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
        """Check once more every service that came up, and give those that are not up any more.

        ``GET /services``: a page for each 50 of them. To be called when the outcomes were read: a
        service that crashes soon after it came up has counted as running until then.

        Returns
        -------
        list of DeployOutcome
            One with an error for each of these services, in no particular order.
        """
        return await self._work.recheck()

    @property
    def started(self) -> Mapping[int, Deployment | None]:
        """The deployments that were or may have been started, by service: `made` and `unknown`.

        It grows while the run goes on, and stays as it is after an interruption. The deployment is
        None as long as it is not known whether there is one.
        """
        return MappingProxyType(self._started)

    @property
    def made(self) -> dict[int, Deployment]:
        """The deployments that were made for sure until now, by service, as they were made."""
        return {each: made for each, made in self._started.items() if made is not None}

    @property
    def unknown(self) -> frozenset[int]:
        """The services of which it is not known whether they were deployed.

        Their request is under way or, after an interruption or an error, was never answered. One
        that the server has turned away, and that waits to be repeated, is not among them.
        """
        return frozenset(each for each, made in self._started.items() if made is None)


class _Deploys:
    """The work of a run."""

    def __init__(
        self,
        session: Session,
        started: dict[int, Deployment | None],
        *,
        redeploy: bool,
        concurrency: int,
        timeout: float | None,
        stay_up: float,
        settle: float,
        poll_interval: float,
    ) -> None:
        self._session = session
        self._redeploy = redeploy
        self._started = started
        self._begun: dict[int, float] = {}
        self._last_made: Made | None = None  # by a request that was answered
        self._up: dict[int, DeployOutcome] = {}
        self._slots = anyio.CapacityLimiter(concurrency)
        self._settle = settle
        self._retry = session.retry
        self._breaker = CircuitBreaker()
        self._breaker_changed = anyio.Event()
        self._index = ServiceIndex(session)
        impatient = without_repeating(session)
        self._checks = SharedChecks(ServiceIndex(impatient), spacing=poll_interval / 2)
        self._waiter: DeploymentWaiter | None = None
        if timeout is not None:
            self._waiter = DeploymentWaiter(
                impatient,
                self._checks,
                timeout=timeout,
                stay_up=stay_up,
                poll_interval=poll_interval,
                read_lag=max(settle, READ_LAG),
            )

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
        """Tell why a deployment that was up is not any more, if so."""
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
        """Deploy a service, wait for it if that is wanted, and send its outcome."""
        deployment: Deployment | None = None
        error: ServicesError | None = None
        try:
            check = await self._check_until_seen(service_id)
            deployment = await self._deploy(service_id, check)
            if self._waiter is not None:
                deployment, error = await self._waiter.wait(service_id, deployment)
        except Exception as exc:
            error = as_services_error(exc)
        finally:
            self._change_breaker(partial(self._breaker.give_up, service_id))
        now = anyio.current_time()
        elapsed = now - self._begun.get(service_id, now)
        outcome = DeployOutcome(
            service_id=service_id, deployment=deployment, error=error, elapsed=elapsed
        )
        if error is None and self._waiter is not None:
            self._up[service_id] = outcome
        await send(outcome)

    async def _check_until_seen(self, service_id: int) -> ServiceCheck:
        """Check a service until it is seen, as often as a call of the session would be repeated."""
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
            if schedule.due - begun_at > self._patience_with(check.snapshot, attempts):
                raise check.snapshot

    def _patience_with(self, error: ServicesError, attempts: int) -> float:
        """Seconds for which to repeat a request because of an error."""
        if isinstance(error, (PermissionDeniedError, *SESSION_WIDE)):
            return 0.0
        longest = self._retry.max_elapsed
        if isinstance(error, RateLimitedError) and (error.retry_after or 0.0) > longest:
            return 0.0  # no request can be sent in time
        if isinstance(error, NotFoundError):  # it may just have been made
            return READ_LAG
        if attempts < _LEAST_ATTEMPTS:
            return math.inf
        more = attempts < self._retry.max_attempts and _may_pass(error)
        return max(self._settle, longest if more else 0.0)

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call again and again, as long as it may succeed within the time to settle."""
        schedule = CheckSchedule(anyio.current_time(), self._settle)
        attempts = 0
        while True:
            await anyio.sleep_until(schedule.due)
            begun_at = anyio.current_time()
            attempts += 1
            try:
                async with self._slots:
                    return await call()
            except RequestError as exc:
                is_given_up = isinstance(exc, _HOPELESS) or exc.attempts > 1
                is_over = schedule.is_last(begun_at) and attempts >= _LEAST_ATTEMPTS
                if is_given_up or is_over:
                    raise

    async def _deploy(self, service_id: int, check: ServiceCheck) -> Deployment:
        """Have one deployment made, whatever happens to the answers."""
        history, answer = await self._patiently(partial(self._post_first, service_id, check))
        requests = 1
        while isinstance(answer, RequestError):
            found = await self._find_made(service_id, history, answer)
            if found is not None:
                answer = found
                break
            self._started.pop(service_id, None)
            if requests == _REQUESTS or not may_have_acted(answer):
                raise answer
            if not await self._may_repeat(service_id):
                answer.add_note("It was not asked for again: the other deploys fail too.")
                raise answer
            log.warning("%s; it had no effect: asking once more", answer)
            requests += 1
            async with self._slots:
                answer = await self._post(service_id)
        self._change_breaker(self._breaker.succeed)
        self._started[service_id] = answer
        return answer

    async def _post_first(
        self, service_id: int, check: ServiceCheck
    ) -> tuple[History, Deployment | RequestError]:
        """Find out which deployments a service had until now, and ask for a new one."""
        shown = None
        if not isinstance(check.snapshot, ServicesError):
            shown = check.snapshot.current_deployment
        last_made = self._last_made
        if shown is not None:
            history: History = partial(newest_since, shown)
        elif last_made is not None and last_made.asked_at >= check.begun_at:
            history = partial(newest_after, last_made.deployment)
        else:
            older = await recent_deployments(self._session, service_id)
            history = partial(newest_since, newest_since(None, older))
        return history, await self._post(service_id)

    async def _may_repeat(self, service_id: int) -> bool:
        """Tell whether to ask for a deploy again; waits while others probe whether that helps."""
        while (decision := self._breaker.may_repeat(service_id)) is None:
            await self._breaker_changed.wait()
        return decision

    def _change_breaker(self, change: Callable[[], None]) -> None:
        change()
        self._breaker_changed.set()
        self._breaker_changed = anyio.Event()

    async def _post(self, service_id: int) -> Deployment | RequestError:
        """Ask for a deployment, and record whether there may be one."""
        asked_at = anyio.current_time()
        self._begun.setdefault(service_id, asked_at)
        view = self._session.with_options(on_attempt=partial(self._record_attempt, service_id))
        post = view.post_redeploy if self._redeploy else view.post_deployments
        try:
            made = await post(service_id)
        except RequestError as exc:
            return exc
        if self._last_made is None or asked_at > self._last_made.asked_at:
            self._last_made = Made(asked_at, made)
        return made

    def _record_attempt(self, service_id: int, attempt: Attempt) -> None:
        """Record that a request is under way, or that it had no effect."""
        if attempt.state == "sending":
            self._started[service_id] = None
        elif attempt.error is not None and not may_have_acted(attempt.error):
            self._started.pop(service_id, None)

    async def _find_made(
        self, service_id: int, history: History, error: RequestError
    ) -> Deployment | None:
        """Find the deployment that a call has made although it failed, if there is one.

        Raises
        ------
        RequestError
            The error that was handed in, if that cannot be known.
        """
        if not may_have_acted(error):
            return None
        self._breaker.fail()
        newest = await self._watch_for_newer(service_id, history)
        if newest is None:
            # Where the service itself shows another one or none, its own list has the last word.
            own = partial(recent_deployments, self._session, service_id)
            try:
                newest = history(await self._patiently(own))
            except ServicesError as exc:
                error.add_note(f"Whether the service was deployed is not known: {exc}")
                raise error from exc
        if newest is not None:
            log.info("%s; it made deployment %d", error, newest.deployment_id)
            return complete(newest)
        if has_acted(error):
            error.add_note("The service shows no new deployment, although there must be one.")
            raise error
        return None

    async def _watch_for_newer(self, service_id: int, history: History) -> DeploymentSummary | None:
        """Check a service for as long as a new deployment may yet appear."""
        schedule = CheckSchedule(anyio.current_time(), self._settle)
        while True:
            check = await self._checks.check(service_id, due=schedule.due)
            if not isinstance(check.snapshot, ServicesError):
                shown = check.snapshot.current_deployment
                newest = history(() if shown is None else (shown,))
                if newest is not None:
                    return newest
            if schedule.is_last(check.begun_at):
                return None


def _may_pass(error: ServicesError) -> bool:
    """Whether a call that failed so may succeed when it is repeated."""
    if isinstance(error, APIError):
        return may_repeat("GET", status=error.status)
    return isinstance(error, ConnectionFailedError)
