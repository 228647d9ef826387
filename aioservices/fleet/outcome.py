"""Whether a deploy whose answer is lost may be repeated; pure.

Events and times are passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from aioservices.api.models import Deployment, DeploymentSummary
from aioservices.errors import APIError, ConnectionFailedError, RequestError, ResponseDecodeError

from .progress import newest_since

__all__ = [
    "LEAST_ATTEMPTS",
    "CheckSchedule",
    "CircuitBreaker",
    "History",
    "Made",
    "has_acted",
    "is_refusal",
    "may_have_acted",
    "newest_after",
]

LEAST_ATTEMPTS = 5  # to read something, however long they take
_CHECKS = 5
_FAILURES = 20
_PROBES = 5
_ROUNDING = 1e-6  # seconds


def may_have_acted(error: RequestError) -> bool:
    """Return whether there may be a deployment in spite of an error.

    Parameters
    ----------
    error : RequestError
        The error that the request raised.
    """
    if isinstance(error, ConnectionFailedError):
        return error.sent
    if isinstance(error, APIError):
        return not is_refusal(error.status)
    return has_acted(error)


def is_refusal(status: int) -> bool:
    """Return whether a status means that there is no deployment."""
    # 3xx: it went elsewhere. 408: it took too long. 503: by contract it was rejected.
    return status == 503 or (400 <= status < 500 and status != 408)


def has_acted(error: RequestError) -> bool:
    """Return whether there must be a deployment, although the answer could not be read."""
    return isinstance(error, ResponseDecodeError)


class History(NamedTuple):
    """What is known of the deployments that a service had before it was deployed.

    Attributes
    ----------
    newest_of : callable
        Finds the newest of the deployments it takes that may be later than all of those; None if
        none may be.
    is_certain : bool
        Whether what it finds is later for sure, wherever it is found. If not, that is only so for
        what the service itself shows, because it showed none before.
    """

    newest_of: Callable[[Iterable[DeploymentSummary]], DeploymentSummary | None]
    is_certain: bool = True


class Made(NamedTuple):
    """A deployment that was made.

    Attributes
    ----------
    asked_at : float
        When it was requested: it was made after that.
    deployment : Deployment
    """

    asked_at: float
    deployment: Deployment


def newest_after(
    other: DeploymentSummary, listed: Iterable[DeploymentSummary]
) -> DeploymentSummary | None:
    """Find the newest of the deployments that were made after one of another service.

    Parameters
    ----------
    other : DeploymentSummary
    listed : iterable of DeploymentSummary

    Returns
    -------
    DeploymentSummary or None
        None if there is none. If identifier and time contradict each other, as with the clocks of
        two servers, a deployment counts as later, so that it is not requested again.
    """

    def is_later(each: DeploymentSummary) -> bool:
        if each.deployment_id > other.deployment_id:
            return True
        times = each.created_at, other.created_at
        return times[0] is not None and times[1] is not None and times[0] > times[1]

    return newest_since(None, filter(is_later, listed))


class CheckSchedule:
    """When to check for something that a server may not show at once.

    Five checks: the first at once, each wait twice as long as the one before, and the last check
    when the time is over. A check that comes earlier than it is due moves the ones after it.

    Parameters
    ----------
    now : float
        When the time begins.
    settle : float
        Seconds over which the checks are spread.

    Attributes
    ----------
    due : float
        When to check next.
    """

    def __init__(self, now: float, settle: float) -> None:
        self.due = now
        self._wait = settle / (2 ** (_CHECKS - 1) - 1)
        self._end = now + settle

    def is_last(self, begun_at: float) -> bool:
        """Return whether a check that began now was the last one; if not, plan the next."""
        if begun_at >= self._end - _ROUNDING:
            return True
        self.due = min(max(self.due, begun_at) + self._wait, self._end)
        self._wait *= 2
        return False


class CircuitBreaker:
    """Stops the repetition of requests while none of them takes effect.

    One lost answer is no reason to stop; twenty in a row, of as many services, are an outage, and
    repeating them all would only use up the rate limit. Then a few services probe, by repeating
    theirs; all others wait until one of these succeeds.
    """

    def __init__(self) -> None:
        self._failures = 0
        self._probing: set[int] = set()
        self._probes_left = _PROBES

    @property
    def is_open(self) -> bool:
        """Whether there is an outage."""
        return self._failures >= _FAILURES

    def succeed(self) -> None:
        """Record that a request took effect."""
        self._failures = 0
        self._probing.clear()
        self._probes_left = _PROBES

    def fail(self) -> None:
        """Record that the answer to a request was lost."""
        self._failures += 1

    def may_repeat(self, service_id: int) -> bool | None:
        """Decide whether to repeat the request of a service.

        Returns
        -------
        bool or None
            None while that depends on the probes of others.
        """
        if not self.is_open or service_id in self._probing:
            return True
        if self._probes_left:
            self._probes_left -= 1
            self._probing.add(service_id)
            return True
        return None if self._probing else False

    def give_up(self, service_id: int) -> None:
        """Record that the work on a service has ended."""
        self._probing.discard(service_id)
