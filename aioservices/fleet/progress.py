"""What checks of a deployment say about it, and when to check next; pure.

Observations and times are passed in.

A deployment has a limited time to come up. `Progress` decides when that is over, by two rules:

- A deployment has not come up in time only if a check that began after its time was over shows so.
- Its time passes only while it can be checked. What counts is the time between one check and the
  moment at which the next one was due. What a check takes beyond that does not count: it waits for
  the rate limit, behind the other calls of the session, or for a server that is slow.

For example: a limit of 10 s, a check at 0 s, the next one due at 5 s. The rate limit holds that one
up until 40 s, and it shows the deployment pending. 5 s are used up then, and the check that is due
at 45 s decides. Checks that fail show nothing, so they use up no time; but if all checks fail
for as long as the limit, the deployment is given up too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

import msgspec

from aioservices.api.models import Deployment, DeploymentSummary
from aioservices.api.states import is_final, is_running
from aioservices.errors import (
    SESSION_WIDE,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    ServicesError,
)

__all__ = ["READ_LAG", "Observation", "Outcome", "Progress", "complete", "is_newer", "newest_since"]

# Seconds for which a server's answers may not show what it has just done, as reads of replicas
# and caches lag behind.
READ_LAG = 5.0
_GROWTH = 1.5
_SLOWEST = 10  # times the first interval
_ROUNDING = 1e-6  # seconds
_FINAL = (PermissionDeniedError, *SESSION_WIDE)


class Observation(NamedTuple):
    """What one check showed of a deployment.

    Attributes
    ----------
    begun_at : float
        When the check began.
    seen : DeploymentSummary or ServicesError
        The deployment, or why it could not be seen.
    newer : DeploymentSummary or None
        The deployment that replaced it, if there is one.
    """

    begun_at: float
    seen: DeploymentSummary | ServicesError
    newer: DeploymentSummary | None = None


class Outcome(NamedTuple):
    """How the wait for a deployment ended.

    Attributes
    ----------
    kind : {'up', 'failed', 'gone', 'refused', 'late', 'unseen'}
        It is up; it ended or was replaced; it does not exist; it may not be seen; it is not up in
        time; it could not be seen for so long that its time counts as over.
    message : str
        Why it failed, where its own state message does not say.
    error : ServicesError or None
        Why it could not be seen.
    """

    kind: Literal["up", "failed", "gone", "refused", "late", "unseen"]
    message: str = ""
    error: ServicesError | None = None


class Progress:
    """The progress of a deployment that is awaited.

    Parameters
    ----------
    now : float
        When its time begins.
    due : float
        When to check first.
    timeout : float
        Seconds that it may take to come up.
    stay_up : float
        Seconds for which it must stay up after that.
    poll_interval : float
        Seconds between two checks at first. They grow tenfold while nothing changes.
    longest_block : float
        Seconds for which the rate limit may reject all calls.
    read_lag : float, optional
        Seconds for which a 404 is not believed. Default: `READ_LAG`.
    deployment : Deployment, optional
        As it was made.

    Attributes
    ----------
    due : float
        When to check next.
    deployment : Deployment or None
        As it was seen last.
    """

    def __init__(
        self,
        *,
        now: float,
        due: float,
        timeout: float,
        stay_up: float,
        poll_interval: float,
        longest_block: float,
        read_lag: float | None = None,
        deployment: Deployment | None = None,
    ) -> None:
        self.deployment = deployment
        self.due = due
        self._planned_at = now  # when it was decided when to check next
        self._left = timeout
        self._timeout = timeout
        self._stay_up = stay_up
        self._poll_interval = self._interval = poll_interval
        self._longest_block = longest_block
        self._read_lag = READ_LAG if read_lag is None else read_lag
        self._up_since: float | None = None
        self._missing_since: float | None = None
        self._unseen_since: float | None = None  # since when all checks have failed
        self._limited_since: float | None = None  # since when the rate limit has rejected them

    def time_left(self, now: float) -> float:
        """Seconds until a check in progress counts as failed."""
        unseen = 0.0 if self._unseen_since is None else now - self._unseen_since
        return self._timeout - unseen

    def observe(self, observation: Observation, now: float) -> Outcome | None:
        """Record what a check showed, and plan the next one.

        Parameters
        ----------
        observation : Observation
        now : float
            When the check ended.

        Returns
        -------
        Outcome or None
            None if the wait continues.
        """
        if isinstance(observation.seen, NotFoundError):
            outcome = self._record_missing(observation, observation.seen, now)
        elif isinstance(observation.seen, ServicesError):
            outcome = self._record_failure(observation, observation.seen, now)
        else:
            outcome = self._record_state(observation, observation.seen, now)
        self._planned_at = now
        self._interval = min(self._interval * _GROWTH, self._poll_interval * _SLOWEST)
        return outcome

    def _record_missing(
        self, observation: Observation, error: NotFoundError, now: float
    ) -> Outcome | None:
        if self._missing_since is None:
            self._missing_since = observation.begun_at
        lag_left = self._missing_since + self._read_lag - observation.begun_at
        if lag_left <= 0:
            return Outcome("gone", error=error)
        self.due = now + min(self._interval, lag_left)
        return None

    def _record_failure(
        self, observation: Observation, error: ServicesError, now: float
    ) -> Outcome | None:
        if isinstance(error, _FINAL):
            return Outcome("refused", error=error)
        if isinstance(error, RateLimitedError):
            return self._wait_for_rate_limit(observation, error, now)
        self._limited_since = None
        if self._unseen_since is None:
            self._unseen_since = observation.begun_at
        time_left = self.time_left(now)
        if time_left <= _ROUNDING:
            return Outcome("unseen", error=error)
        self.due = now + min(self._interval, time_left)
        return None

    def _wait_for_rate_limit(
        self, observation: Observation, error: RateLimitedError, now: float
    ) -> Outcome | None:
        if self._limited_since is None:
            self._limited_since = observation.begun_at
        self._unseen_since = None
        if now - self._limited_since > self._longest_block:
            return Outcome("unseen", error=error)
        if (error.retry_after or 0.0) > self._longest_block:  # waiting is useless
            return Outcome("refused", error=error)
        self.due = now + self._interval
        return None

    def _record_state(
        self, observation: Observation, seen: DeploymentSummary, now: float
    ) -> Outcome | None:
        self._left -= max(0.0, min(self.due, observation.begun_at) - self._planned_at)
        self._missing_since = self._unseen_since = self._limited_since = None
        if self.deployment is not None and self.deployment.state != seen.state:
            self._interval = self._poll_interval
        self.deployment = complete(seen, self.deployment)
        if is_final(seen.state):
            return Outcome("failed", seen.state_message or "")
        if observation.newer is not None:
            when = "before it was up" if self._up_since is None else "while it was to stay up"
            replacing = observation.newer.deployment_id
            return Outcome("failed", f"replaced by deployment {replacing} {when}")
        if is_running(seen.state):
            if self._up_since is None:
                self._up_since = observation.begun_at
            up_until = self._up_since + self._stay_up
            self.due = min(now + self._interval, up_until)
            return Outcome("up") if observation.begun_at >= up_until else None
        self._up_since = None
        if self._left <= _ROUNDING:
            return Outcome("late")
        self.due = now + min(self._interval, self._left)
        return None


def is_newer(deployment: DeploymentSummary, than: DeploymentSummary) -> bool:
    """Return whether a deployment was made after another one of the same service."""
    if deployment.created_at and than.created_at and deployment.created_at != than.created_at:
        return deployment.created_at > than.created_at
    return deployment.deployment_id > than.deployment_id


def newest_since(
    before: DeploymentSummary | None, listed: Iterable[DeploymentSummary]
) -> DeploymentSummary | None:
    """Find the deployment that was made since a service was checked.

    Parameters
    ----------
    before : DeploymentSummary, optional
        What it showed then; None if it was not deployed.
    listed : iterable of DeploymentSummary
        Its deployments now.

    Returns
    -------
    DeploymentSummary or None
        The newest that is newer, if there is any.
    """
    newest = before
    for deployment in listed:
        if newest is None or is_newer(deployment, newest):
            newest = deployment
    return None if newest is before else newest


def complete(seen: DeploymentSummary, earlier: Deployment | None = None) -> Deployment:
    """Complete what a listing shows of a deployment with what only its own answer has.

    Parameters
    ----------
    seen : DeploymentSummary
        What is shown.
    earlier : Deployment, optional
        The same deployment in an earlier answer about it.
    """
    if isinstance(seen, Deployment):
        return seen
    url = None if earlier is None else earlier.display_url
    return Deployment(**msgspec.structs.asdict(seen), display_url=url)
