"""Deploying many services, each of them exactly once."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType

import anyio
import msgspec

from aioservices.api.models import Deployment, DeploymentSummary
from aioservices.concurrency import BackgroundTasks, Stream
from aioservices.errors import RequestError, ServicesError
from aioservices.http.options import Attempt
from aioservices.validation import validate_int, validate_ints, validate_seconds

from .discovery import Roster, Sight
from .history import newest_deployment, recent_deployments
from .outcome import has_acted, look_delays, may_have_acted
from .progress import complete, newest_since
from .session import Session
from .wait import HOPELESS, Lookout

__all__ = ["DeployOutcome", "DeployRun"]

log = logging.getLogger(__name__)

_REQUESTS = 3  # at most so many for a service, while none of them takes


class DeployOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the deploy of one service.

    Attributes
    ----------
    service_id : int
    deployment : Deployment or None
        The deployment that was made, as it was seen last; None if there is none, or none is known.
    error : ServicesError or None
        Why it does not run: a :class:`DeploymentFailedError` if it was made and failed, a
        :class:`DeploymentTimeoutError` if it did not run in time, or what the call came to. None
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
        settle: float,
        poll_interval: float,
    ) -> None:
        self._ids = tuple(dict.fromkeys(validate_ints(ids, "ids")))
        validate_int(concurrency, "concurrency", least=1)
        validate_seconds(timeout, "timeout")
        validate_seconds(poll_interval, "poll_interval")
        validate_seconds(settle, "settle", zero=True)
        self._started: dict[int, Deployment | None] = {}
        work = _Deploys(
            session,
            self._started,
            redeploy=redeploy,
            concurrency=concurrency,
            timeout=timeout if wait else None,
            settle=settle,
            poll_interval=poll_interval,
        )
        super().__init__(tasks, partial(work.run, self._ids), buffer=len(self._ids))

    @property
    def ids(self) -> tuple[int, ...]:
        """The services, each once."""
        return self._ids

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
        settle: float,
        poll_interval: float,
    ) -> None:
        self._session = session
        self._redeploy = redeploy
        self._started = started
        self._begun: dict[int, float] = {}
        self._slots = anyio.CapacityLimiter(concurrency)
        self._timeout = timeout
        self._settle = settle
        self._roster = Roster(session)
        self._lookout = Lookout(session, self._roster, poll_interval=poll_interval)

    async def run(
        self, ids: tuple[int, ...], send: Callable[[DeployOutcome], Awaitable[None]]
    ) -> None:
        """Deploy services, and send the outcome of each."""
        sights = await self._look(ids)
        async with anyio.create_task_group() as polling:
            polling.start_soon(self._lookout.run)
            async with anyio.create_task_group() as deploys:
                for service_id in ids:
                    deploys.start_soon(self._see_through, service_id, sights[service_id], send)
            polling.cancel_scope.cancel()

    async def _look(self, ids: Iterable[int]) -> dict[int, Sight | ServicesError]:
        """Learn what there is before anything is deployed, with some patience."""
        sights: dict[int, Sight | ServicesError] = {}
        unseen = frozenset(ids)
        for delay in look_delays(self._settle):
            await anyio.sleep(delay)
            try:
                sights |= await self._roster.look(unseen)
            except ServicesError as exc:
                sights |= dict.fromkeys(unseen, exc)
            unseen = frozenset(each for each in unseen if _may_be_seen_later(sights[each]))
            if not unseen:
                break
        return sights

    async def _see_through(
        self,
        service_id: int,
        sight: Sight | ServicesError,
        send: Callable[[DeployOutcome], Awaitable[None]],
    ) -> None:
        """Deploy a service, wait for it if that is wanted, and send its outcome."""
        deployment: Deployment | None = None
        error: ServicesError | None = None
        try:
            deployment = await self._deploy(service_id, sight)
        except ServicesError as exc:
            error = exc
        else:
            if self._timeout is not None:
                deployment, error = await self._lookout.wait(
                    service_id, deployment, timeout=self._timeout
                )
        now = anyio.current_time()
        elapsed = now - self._begun.get(service_id, now)
        await send(
            DeployOutcome(
                service_id=service_id, deployment=deployment, error=error, elapsed=elapsed
            )
        )

    async def _deploy(self, service_id: int, sight: Sight | ServicesError) -> Deployment:
        """Have one deployment made, whatever becomes of the answers."""
        if isinstance(sight, ServicesError):
            raise sight  # not knowing what there is, a lost answer could not be made good
        before = sight.current_deployment
        if before is None:  # there may be older ones all the same, which must not be taken for ours
            before = await self._learn_newest(service_id)
        requests = 0
        while True:
            requests += 1
            try:
                async with self._slots:
                    self._begun.setdefault(service_id, anyio.current_time())
                    made = await self._post(service_id)
            except RequestError as exc:
                found = await self._find(service_id, before, exc)
                if found is None:
                    self._started.pop(service_id, None)
                    if requests == _REQUESTS or not may_have_acted(exc):
                        raise
                    log.warning("%s; it had no effect: asking once more", exc)
                    continue
                made = found
            self._started[service_id] = made
            return made

    async def _learn_newest(self, service_id: int) -> DeploymentSummary | None:
        """Learn which deployment a service had last, with some patience."""
        delays = look_delays(self._settle)
        next(delays)  # none before the first look
        while True:
            try:
                async with self._slots:
                    return await newest_deployment(self._session, service_id)
            except RequestError as exc:
                delay = next(delays, None)
                if delay is None or not _may_be_seen_later(exc):
                    raise
            await anyio.sleep(delay)

    async def _post(self, service_id: int) -> Deployment:
        """Ask for a deployment, and record whether there may be one."""
        record = partial(self._record_attempt, service_id)
        view = self._session.with_options(on_attempt=record)
        return await (view.post_redeploy if self._redeploy else view.post_deployments)(service_id)

    def _record_attempt(self, service_id: int, attempt: Attempt) -> None:
        """Record that a request is under way, or that it had no effect."""
        if attempt.state == "sending":
            self._started[service_id] = None
        elif attempt.error is not None and not may_have_acted(attempt.error):
            self._started.pop(service_id, None)

    async def _find(
        self, service_id: int, before: DeploymentSummary | None, error: RequestError
    ) -> Deployment | None:
        """Look whether a call that failed has made a deployment all the same.

        Raises
        ------
        RequestError
            The error that was handed in, if that cannot be known.
        """
        if not may_have_acted(error):
            return None
        trouble: RequestError | None = None
        for delay in look_delays(self._settle):
            await anyio.sleep(delay)
            try:
                newest = await self._newest_since(before, service_id)
            except RequestError as exc:
                trouble = exc
                continue
            trouble = None
            if newest is not None:
                log.info("%s; deployment %d has come of it", error, newest.deployment_id)
                return complete(newest)
        if trouble is not None:
            error.add_note(f"Whether the service was deployed is not known: {trouble}")
            raise error from trouble
        if has_acted(error):
            error.add_note("The service shows no new deployment, although there must be one.")
            raise error
        return None

    async def _newest_since(
        self, before: DeploymentSummary | None, service_id: int
    ) -> DeploymentSummary | None:
        """Look for a new deployment, in both places where it may show."""
        listed = await recent_deployments(self._session, service_id)
        newest = newest_since(before, listed)
        if newest is None:
            current = (await self._session.get(service_id)).current_deployment
            newest = newest_since(before, () if current is None else (current,))
        return newest


def _may_be_seen_later(sight: Sight | ServicesError) -> bool:
    # What the session repeated until it gave up is given up here too.
    return (
        isinstance(sight, RequestError) and not isinstance(sight, HOPELESS) and sight.attempts == 1
    )
