"""Waiting until deployments are up: one by itself, or many with the same requests."""

from __future__ import annotations

import logging
import math
from typing import TypeVar

import anyio
import msgspec

from aioservices.api.models import Deployment, DeploymentSummary
from aioservices.api.states import UnknownStates
from aioservices.errors import (
    DeploymentTimeoutError,
    NotFoundError,
    ServicesError,
)
from aioservices.http.options import Attempt
from aioservices.validation import validate_int, validate_seconds

from .discovery import SharedChecks
from .failure import as_services_error, failure_of
from .progress import Observation, Outcome, Progress, is_newer
from .session import Session
from .tolerant import decode_tolerant

__all__ = ["DeploymentWaiter", "fetch_deployment", "wait_until_running", "without_repeating"]

log = logging.getLogger(__name__)

SessionT = TypeVar("SessionT", bound=Session)


def without_repeating(session: SessionT) -> SessionT:
    """Make a view for checks that are followed by the next one, whatever their result.

    Retrying it would only delay the next one. It has the same timeout as every call of the session.
    """
    return session.with_options(retry=msgspec.structs.replace(session.retry, max_attempts=1))


async def wait_until_running(
    session: Session,
    service_id: int,
    deployment_id: int,
    *,
    timeout: float,
    stay_up: float,
    poll_interval: float,
) -> Deployment:
    """Wait until one deployment is up; see `Services.wait_until_running`."""
    validate_int(service_id, "id")
    validate_int(deployment_id, "deployment_id")
    validate_seconds(timeout, "timeout", unbounded=True)
    validate_seconds(stay_up, "stay_up", zero=True)
    validate_seconds(poll_interval, "poll_interval")
    unknown = UnknownStates()
    now = anyio.current_time()
    progress = Progress(
        now=now,
        due=now,
        timeout=timeout,
        stay_up=stay_up,
        poll_interval=poll_interval,
        longest_block=session.retry.max_elapsed,
    )
    while True:
        observation = await _check_deployment(session, service_id, deployment_id, progress)
        _report(unknown, service_id, observation.seen)
        outcome = progress.observe(observation, anyio.current_time())
        if outcome is not None:
            break
    seen = progress.deployment
    if outcome.kind == "up" and seen is not None:
        return seen
    raise await _error_of(session, service_id, deployment_id, seen, outcome, timeout)


class DeploymentWaiter:
    """Waits for deployments of many services.

    Parameters
    ----------
    session : Session
        Makes the calls.
    checks : SharedChecks
        Shows the services.
    timeout : float
        Seconds that each deployment may take to come up.
    stay_up : float
        Seconds for which it must stay up after that.
    poll_interval : float
        Seconds between two checks at first.
    read_lag : float
        Seconds for which a 404 is not believed.
    """

    def __init__(
        self,
        session: Session,
        checks: SharedChecks,
        *,
        timeout: float,
        stay_up: float,
        poll_interval: float,
        read_lag: float,
    ) -> None:
        self._session = session
        self._checks = checks
        self._timeout = timeout
        self._stay_up = stay_up
        self._poll_interval = poll_interval
        self._read_lag = read_lag
        self._unknown = UnknownStates()

    async def wait(
        self, service_id: int, deployment: Deployment
    ) -> tuple[Deployment, ServicesError | None]:
        """Wait until a deployment is up.

        Parameters
        ----------
        service_id : int
            Its service, which no other task waits for at the same time.
        deployment : Deployment
            As it was made.

        Returns
        -------
        tuple
            The deployment as it was seen last, and why it is not up if it is not.
        """
        number = deployment.deployment_id
        now = anyio.current_time()
        progress = Progress(
            now=now,
            due=now + min(self._poll_interval, self._timeout),
            timeout=self._timeout,
            stay_up=self._stay_up,
            poll_interval=self._poll_interval,
            longest_block=self._session.retry.max_elapsed,
            read_lag=self._read_lag,
            deployment=deployment,
        )
        while True:
            check = await self._checks.check(service_id, due=progress.due)
            seen: DeploymentSummary | ServicesError
            newer: DeploymentSummary | None = None
            if isinstance(check.snapshot, ServicesError):
                seen = check.snapshot
            else:
                shown = check.snapshot.current_deployment
                seen = await fetch_deployment(self._session, service_id, number, shown)
                if shown and not isinstance(seen, ServicesError) and is_newer(shown, seen):
                    newer = shown
            _report(self._unknown, service_id, seen)
            observation = Observation(check.begun_at, seen, newer)
            outcome = progress.observe(observation, anyio.current_time())
            if outcome is not None:
                break
        last = progress.deployment or deployment
        if outcome.kind == "up":
            return last, None
        if outcome.kind == "gone" and _is_about(outcome.error, number):
            was = last.state or "in no state"
            outcome = Outcome("failed", f"it is gone; it was {was} before")
            last = msgspec.structs.replace(last, state="deleted")
        error = await _error_of(self._session, service_id, number, last, outcome, self._timeout)
        return last, error


async def fetch_deployment(
    session: Session, service_id: int, deployment_id: int, shown: DeploymentSummary | None
) -> DeploymentSummary | ServicesError:
    """Fetch a deployment, unless its service shows it.

    ``GET /services/{service_id}/deployments/{deployment_id}``

    Parameters
    ----------
    session : Session
    service_id, deployment_id : int
    shown : DeploymentSummary, optional
        What its service shows.
    """
    if shown is not None and shown.deployment_id == deployment_id:
        return shown
    try:
        response = await session.raw.get_deployments(service_id, deployment_id)
        return decode_tolerant(response, Deployment)
    except Exception as exc:
        return as_services_error(exc)


async def _check_deployment(
    session: Session, service_id: int, deployment_id: int, progress: Progress
) -> Observation:
    """Check a deployment when that is due."""
    await anyio.sleep_until(progress.due)
    begun_at = anyio.current_time()
    scope = anyio.CancelScope()

    def bound_attempt(attempt: Attempt) -> None:
        # Waiting for a server that does not answer uses up the time left; a rate limit does not.
        now, under_way = anyio.current_time(), attempt.state == "sending"
        scope.deadline = now + progress.time_left(now) if under_way else math.inf

    view = without_repeating(session).with_options(on_attempt=bound_attempt)
    seen: DeploymentSummary | ServicesError = ServicesError("there was no answer")
    with scope:
        seen = await fetch_deployment(view, service_id, deployment_id, None)
    if isinstance(seen, ServicesError):
        log.warning("deployment %d could not be checked: %s", deployment_id, seen)
    return Observation(begun_at, seen)


async def _error_of(
    session: Session,
    service_id: int,
    deployment_id: int,
    seen: Deployment | None,
    outcome: Outcome,
    timeout: float,
) -> ServicesError:
    """Make the error of a deployment that is not up."""
    if outcome.kind in {"gone", "refused"} and outcome.error is not None:
        return outcome.error
    if outcome.kind == "failed" and seen is not None:
        return await failure_of(session, service_id, seen, outcome.message)
    error = DeploymentTimeoutError(
        service_id=service_id,
        deployment_id=deployment_id,
        timeout=timeout,
        state=None if seen is None else seen.state,
        state_message=None if seen is None else seen.state_message,
    )
    if outcome.error is not None:
        error.__cause__ = outcome.error
        error.add_note(f"It could not be checked: {outcome.error}")
    return error


def _is_about(error: ServicesError | None, deployment_id: int) -> bool:
    """Whether a 404 is that of a deployment, and not of its service."""
    return isinstance(error, NotFoundError) and error.path.endswith(f"/{deployment_id}")


def _report(
    unknown: UnknownStates, service_id: int, seen: DeploymentSummary | ServicesError
) -> None:
    """Report each unknown state once."""
    if not isinstance(seen, ServicesError) and unknown.is_new(seen.state):
        log.warning(
            "deployment %d of service %d is in the unknown state %r: it counts as running",
            seen.deployment_id,
            service_id,
            seen.state,
        )
