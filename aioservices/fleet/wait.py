"""Waiting until deployments run, all of them with the same requests."""

import logging

import anyio
import msgspec

from aioservices.api.models import Deployment, DeploymentSummary
from aioservices.errors import (
    AuthenticationError,
    DeploymentTimeoutError,
    NotFoundError,
    PermissionDeniedError,
    RequestError,
    ServicesError,
)
from aioservices.validation import validate_seconds

from .discovery import Roster
from .failure import failure_of
from .progress import Progress, complete, is_newer, progress_of
from .session import Session
from .workers import work_through

__all__ = ["HOPELESS", "Lookout", "wait_until_running"]

log = logging.getLogger(__name__)

_GROWTH = 1.5
_SLOWEST = 10  # times the first interval
_AT_ONCE = 8
HOPELESS = (AuthenticationError, NotFoundError, PermissionDeniedError)


async def wait_until_running(
    session: Session,
    service_id: int,
    deployment_id: int,
    *,
    timeout: float,
    poll_interval: float,
) -> Deployment:
    """Wait until one deployment runs; see `Services.wait_until_running`."""
    validate_seconds(timeout, "timeout")
    validate_seconds(poll_interval, "poll_interval")
    seen: Deployment | None = None
    interval = poll_interval
    has_ended = False
    with anyio.move_on_after(timeout):
        while True:
            try:
                looked = await session.get_deployments(service_id, deployment_id)
            except HOPELESS:
                raise
            except RequestError as exc:
                log.warning("%s; looking again in %.1f s", exc, interval)
            else:
                progress = progress_of(deployment_id, looked)
                if progress is Progress.RUNNING:
                    return looked
                if seen is not None and seen.state != looked.state:
                    interval = poll_interval
                seen, has_ended = looked, progress is Progress.ENDED
                if has_ended:
                    break
            await anyio.sleep(interval)
            interval = min(interval * _GROWTH, poll_interval * _SLOWEST)
    if seen is not None and has_ended:  # of which the time for its log must not make a timeout
        raise await failure_of(session, service_id, seen)
    raise _timed_out(service_id, deployment_id, seen, timeout)


class Lookout:
    """Looks out for many deployments at once.

    Parameters
    ----------
    session : Session
        Makes the calls.
    roster : Roster
        Shows the services.
    poll_interval : float
        Seconds between two looks; they become more while nothing changes.
    """

    def __init__(self, session: Session, roster: Roster, *, poll_interval: float) -> None:
        self._session = session
        self._roster = roster
        self._poll_interval = poll_interval
        self._awaited: dict[int, _Awaited] = {}
        self._wanted = anyio.Event()

    async def run(self) -> None:
        """Look as long as there is something to look for; for ever, until cancelled."""
        interval = self._poll_interval
        while True:
            if not self._awaited:
                self._wanted = anyio.Event()
                await self._wanted.wait()
                interval = self._poll_interval
            await anyio.sleep(interval)
            news = await self._look()
            longer = min(interval * _GROWTH, self._poll_interval * _SLOWEST)
            interval = self._poll_interval if news else longer

    async def wait(
        self, service_id: int, deployment: Deployment, *, timeout: float
    ) -> tuple[Deployment, ServicesError | None]:
        """Wait until a deployment runs.

        Parameters
        ----------
        service_id : int
            Its service, of which no other deployment may be awaited.
        deployment : Deployment
            As it was created.
        timeout : float
            Seconds to wait at most.

        Returns
        -------
        tuple
            The deployment as it was seen last, and why it does not run, if it does not.
        """
        awaited = self._awaited[service_id] = _Awaited(deployment)
        self._wanted.set()
        try:
            with anyio.move_on_after(timeout):
                await awaited.settled.wait()
        finally:
            del self._awaited[service_id]
        seen = awaited.deployment
        error = awaited.error
        if not awaited.settled.is_set():
            error = _timed_out(service_id, seen.deployment_id, seen, timeout)
        elif awaited.failure is not None:
            error = await failure_of(self._session, service_id, seen, awaited.failure)
        return seen, error

    async def _look(self) -> bool:
        """Look once at everything that is awaited, and tell whether anything has changed."""
        before = self._states()
        try:
            sights = await self._roster.look(frozenset(self._awaited), thrifty=True)
        except AuthenticationError as exc:
            for awaited in self._awaited.values():
                awaited.settle(error=exc)
            return True
        except ServicesError as exc:
            log.warning("the services could not be looked at: %s", exc)
            return False

        async def judge(service_id: int) -> None:
            sight = sights[service_id]
            awaited = self._awaited.get(service_id)
            if awaited is None:  # given up meanwhile
                return
            if isinstance(sight, HOPELESS):
                awaited.settle(error=sight)
            elif not isinstance(sight, ServicesError):
                await self._judge(service_id, awaited, sight.current_deployment)

        await work_through(sights, judge, at_once=_AT_ONCE)
        return before != self._states()

    def _states(self) -> dict[int, str | None]:
        return {number: each.deployment.state for number, each in self._awaited.items()}

    async def _judge(
        self, service_id: int, awaited: "_Awaited", shown: DeploymentSummary | None
    ) -> None:
        """Draw the consequence of what a service shows."""
        before = awaited.deployment
        number = before.deployment_id
        seen = shown
        if seen is None or progress_of(number, seen) is Progress.UNSEEN:
            try:
                seen = await self._session.get_deployments(service_id, number)
            except NotFoundError:
                awaited.deployment = msgspec.structs.replace(before, state="deleted")
                awaited.settle(failure=f"it is gone; it was {before.state or 'in no state'} before")
                return
            except RequestError as exc:
                log.warning("a deployment could not be looked at: %s", exc)
                return
        awaited.deployment = complete(seen, before)
        progress = progress_of(number, seen)
        if progress is Progress.RUNNING:
            awaited.settle()
        elif progress is Progress.ENDED:
            awaited.settle(failure=seen.state_message or "")
        elif shown is not None and is_newer(shown, seen):
            awaited.settle(failure=f"replaced by deployment {shown.deployment_id} before it ran")


class _Awaited:
    """A deployment that is awaited, as it was seen last."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.settled = anyio.Event()
        self.error: ServicesError | None = None
        self.failure: str | None = None

    def settle(self, *, error: ServicesError | None = None, failure: str | None = None) -> None:
        self.error = error
        self.failure = failure
        self.settled.set()


def _timed_out(
    service_id: int, deployment_id: int, seen: DeploymentSummary | None, timeout: float
) -> DeploymentTimeoutError:
    return DeploymentTimeoutError(
        service_id=service_id,
        deployment_id=deployment_id,
        state=None if seen is None else seen.state,
        state_message=None if seen is None else seen.state_message,
        timeout=timeout,
    )
