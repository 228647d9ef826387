"""Deploying a service exactly once, whatever happens to the answers.

A deploy is a POST that the server does not recognise when it is sent again: repeated blindly after
its answer was lost, it deploys twice. So nothing is repeated before it is known that it had no
effect. The outcome of a lost answer is found like this:

1. Before the POST it is known which deployments the service had: the listing shows the last one.
   Where it shows none, a deleted one may leave older ones, which must not be taken for ours. What
   distinguishes them is a deployment that this run has made in between, of any service: the older
   ones came before it, and ours comes after it. Until the run has made one, the service's own list
   of deployments is requested.
2. The error of a POST says whether the server may have acted on it at all. A refusal, such as a 422
   or a 503, and a connection that was never made have had no effect.
3. Otherwise checks of the service, spread over `settle` seconds, show a newer deployment if there
   is one: that one is ours, as far as anyone can tell. A page of the listing answers for fifty
   services.
4. If they show none, the service's own list is requested once more, just before the POST is
   repeated. Only if that has none either, the POST had no effect. If it cannot be read, the service
   is given up with an error: not knowing is no reason to deploy again.

For example: 300 services, and a proxy that answers 502 to 60 of the POSTs, half of which arrived.
Two checks find the 30 that did, with six pages each; the other 30 cost a list and a POST each.

When POST after POST has no effect, the cause is not one service but the server or the network.
Then only a few POSTs are repeated, until one succeeds (see `CircuitBreaker`). Nor are lists of
deployments requested before the first POSTs then: most of them would be empty. Without such a list,
a deployment that the service itself shows afterwards is ours, since it showed none before; and if
its own list is empty, the POST had no effect. A deployment that only the list shows, and that is
later than all that the run has seen before, may be either: the service is given up with an error.

What is assumed: a server acts on a request within `settle`, or never, nobody else deploys the same
services meanwhile, and a later deployment has a higher identifier or a later time.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

import anyio

from aioservices.api.models import Deployment, DeploymentSummary
from aioservices.errors import (
    AuthenticationError,
    NotFoundError,
    PermissionDeniedError,
    RequestError,
    ServicesError,
)
from aioservices.http.options import Attempt

from .discovery import ServiceCheck, SharedChecks
from .history import recent_deployments
from .outcome import (
    LEAST_ATTEMPTS,
    CheckSchedule,
    CircuitBreaker,
    History,
    Made,
    has_acted,
    may_have_acted,
    newest_after,
)
from .progress import complete, newest_since
from .session import Session
from .tolerant import decode_tolerant

__all__ = ["Deployer"]

log = logging.getLogger(__name__)

T = TypeVar("T")

_REQUESTS = 3  # at most so many for a service, while none of them takes effect
_PERMANENT = (AuthenticationError, NotFoundError, PermissionDeniedError)


class Deployer:
    """Deploys services of one run, each exactly once.

    Parameters
    ----------
    session : Session
        Makes the calls.
    checks : SharedChecks
        Shows the services.
    redeploy : bool
        Whether to call ``redeploy`` instead of ``deployments``.
    concurrency : int
        How many calls are made at once.
    settle : float
        Seconds for which a deployment whose answer was lost is looked for.

    Attributes
    ----------
    started : dict of int to Deployment or None
        The deployments that were made, by service; None while it is not known if there is one.
    begun : dict of int to float
        When the first request of each service was made.
    """

    def __init__(
        self,
        session: Session,
        checks: SharedChecks,
        *,
        redeploy: bool,
        concurrency: int,
        settle: float,
    ) -> None:
        self.started: dict[int, Deployment | None] = {}
        self.begun: dict[int, float] = {}
        self._session = session
        self._checks = checks
        self._redeploy = redeploy
        self._slots = anyio.CapacityLimiter(concurrency)
        self._settle = settle
        self._last_made: Made | None = None  # the newest deployment that is known to be ours
        self._newest_seen: DeploymentSummary | None = None
        self._breaker = CircuitBreaker()
        self._breaker_changed = anyio.Event()

    async def deploy(self, service_id: int, check: ServiceCheck) -> Deployment:
        """Have one deployment made.

        Parameters
        ----------
        service_id : int
            The service, which nobody else deploys meanwhile.
        check : ServiceCheck
            Shows the service as it was before.

        Raises
        ------
        ServicesError
            If there is no deployment, or it is not known whether there is one.
        """
        try:
            return await self._deploy(service_id, check)
        finally:
            self._change_breaker(partial(self._breaker.give_up, service_id))

    async def _deploy(self, service_id: int, check: ServiceCheck) -> Deployment:
        history, answer = await self._retry_until_settled(
            partial(self._post_first, service_id, check)
        )
        requests = 1
        while isinstance(answer, RequestError):
            found = await self._find_made(service_id, history, answer)
            if found is not None:
                self._record_made(Made(self.begun[service_id], found))
                answer = found
                break
            self.started.pop(service_id, None)
            if requests == _REQUESTS or not may_have_acted(answer):
                raise answer
            if not await self._may_repeat(service_id):
                answer.add_note("It was not repeated: the other deploys fail too.")
                raise answer
            log.warning("%s; it had no effect and is repeated", answer)
            requests += 1
            async with self._slots:
                answer = await self._post(service_id)
        self._change_breaker(self._breaker.succeed)
        self.started[service_id] = answer
        return answer

    async def _post_first(
        self, service_id: int, check: ServiceCheck
    ) -> tuple[History, Deployment | RequestError]:
        """Find out which deployments a service had until now, and deploy it."""
        history = self._known_history(check)
        if history is None:
            if self._breaker.is_open:
                history = self._uncertain_history()
            else:
                older = await recent_deployments(self._session, service_id)
                self._record_seen(older)
                history = History(partial(newest_since, newest_since(None, older)))
        return history, await self._post(service_id)

    def _known_history(self, check: ServiceCheck) -> History | None:
        """Recognise earlier deployments by what the run knows, if possible."""
        shown = None
        if not isinstance(check.snapshot, ServicesError):
            shown = check.snapshot.current_deployment
        if shown is not None:
            self._record_seen((shown,))
            return History(partial(newest_since, shown))
        last_made = self._last_made
        if last_made is not None and last_made.asked_at >= check.begun_at:
            return History(partial(newest_after, last_made.deployment))
        return None

    def _uncertain_history(self) -> History:
        """Recognise earlier deployments by the fact that the service shows none."""
        seen = self._newest_seen  # what was seen before the POST is not its result
        newest_of = partial(newest_since, None) if seen is None else partial(newest_after, seen)
        return History(newest_of, is_certain=False)

    def _record_seen(self, deployments: Sequence[DeploymentSummary]) -> None:
        newest = newest_since(self._newest_seen, deployments)
        self._newest_seen = newest or self._newest_seen

    async def _retry_until_settled(self, call: Callable[[], Awaitable[T]]) -> T:
        """Retry a call while it may succeed within the time to settle."""
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
                is_permanent = isinstance(exc, _PERMANENT) or exc.attempts > 1
                is_over = schedule.is_last(begun_at) and attempts >= LEAST_ATTEMPTS
                if is_permanent or is_over:
                    raise

    async def _may_repeat(self, service_id: int) -> bool:
        """Decide whether to repeat a POST; waits while others probe whether that helps."""
        while (decision := self._breaker.may_repeat(service_id)) is None:
            await self._breaker_changed.wait()
        return decision

    def _change_breaker(self, change: Callable[[], None]) -> None:
        change()
        self._breaker_changed.set()
        self._breaker_changed = anyio.Event()

    async def _post(self, service_id: int) -> Deployment | RequestError:
        """Deploy a service, and record whether there may be a deployment."""
        asked_at = anyio.current_time()
        self.begun.setdefault(service_id, asked_at)
        view = self._session.with_options(on_attempt=partial(self._record_attempt, service_id))
        post = view.raw.post_redeploy if self._redeploy else view.raw.post_deployments
        try:
            made = decode_tolerant(await post(service_id), Deployment)
        except RequestError as exc:
            return exc
        self._record_made(Made(asked_at, made))
        return made

    def _record_made(self, made: Made) -> None:
        if self._last_made is None or made.asked_at > self._last_made.asked_at:
            self._last_made = made

    def _record_attempt(self, service_id: int, attempt: Attempt) -> None:
        """Record that a request is under way, or that it had no effect."""
        if attempt.state == "sending":
            self.started[service_id] = None
        elif attempt.error is not None and not may_have_acted(attempt.error):
            self.started.pop(service_id, None)

    async def _find_made(
        self, service_id: int, history: History, error: RequestError
    ) -> Deployment | None:
        """Find the deployment that a call has made although it failed, if there is one.

        Raises
        ------
        RequestError
            The given error, if that cannot be known.
        """
        if not may_have_acted(error):
            return None
        self._breaker.fail()
        newest = await self._watch_for_newer(service_id, history)
        if newest is None:
            # If the service itself shows another one or none, its list of deployments decides.
            own = partial(recent_deployments, self._session, service_id)
            try:
                newest = history.newest_of(await self._retry_until_settled(own))
            except ServicesError as exc:
                error.add_note(f"Whether the service was deployed is not known: {exc}")
                raise error from exc
            if newest is not None and not history.is_certain:
                made = f"deployment {newest.deployment_id} may have been made by it or before"
                error.add_note(f"Whether the service was deployed is not known: {made}.")
                raise error
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
                newest = history.newest_of(() if shown is None else (shown,))
                if newest is not None:
                    return newest
            if schedule.is_last(check.begun_at):
                return None
