"""Reports retries, outages and deployments on standard error while a command runs, one line each.

The library reports by typed hooks: attempts of calls (`Attempt`) and events of logs (`TailEvent`).
One notice stands for many reports if the same problem affects many calls or logs.
"""

from __future__ import annotations

import asyncio
import time

from aioservices.errors import RateLimitedError, RequestError
from aioservices.http.options import Attempt
from aioservices.tail.status import (
    DeploymentEnded,
    DeploymentStarted,
    GapFound,
    OutageEnded,
    OutageStarted,
    TailEvent,
    UnknownState,
)
from aioservices.terminal.output import stderr
from aioservices.terminal.sanitize import one_line
from aioservices.terminal.times import format_duration

from .console import note
from .errors import explain

__all__ = ["Notices"]

_MIN_REPORTED_DELAY = 2.0  # seconds of waiting below which nothing is reported
# An event of a log may be reported before its last lines have reached the output.
_HOLD_SECONDS = 0.3  # seconds


class Notices:
    """Reports attempts and events.

    Parameters
    ----------
    url : str
        The base URL of the API.
    verbose : bool
        Whether every attempt is reported.

    Attributes
    ----------
    names : dict of int to str
        Names of services, put before each notice about them; filled in by the commands.
    """

    def __init__(self, url: str, *, verbose: bool = False) -> None:
        self.names: dict[int, str] = {}
        self._url = url
        self._verbose = verbose
        self._limited_until = 0.0
        self._outages: set[tuple[int, int | None]] = set()
        self._reported: set[str] = set()  # the problems of the outages
        self._ended: dict[int, int] = {}  # by service, the deployment whose end was reported last
        self._held: list[str] = []
        self._starting: set[int] = set()  # deployments whose start is held back

    def attempt(self, attempt: Attempt) -> None:
        """Report an attempt of a call, if it is worth it."""
        if self._verbose:
            self._report_attempt(attempt)
            return
        delay = attempt.retry_in
        if delay is None or delay < _MIN_REPORTED_DELAY:
            return
        if attempt.state == "waiting" or isinstance(attempt.error, RateLimitedError):
            self._report_limit(delay)
        elif attempt.error is not None:
            note(f"{self._problem(attempt.error)}: trying again in {format_duration(delay)}")

    def event(self, event: TailEvent) -> None:
        """Report an event of a log that is followed."""
        match event:
            case OutageStarted(error=error):
                self._outages.add((event.service_id, event.deployment_id))
                self._report_outage(error)
            case OutageEnded():
                self._outages.discard((event.service_id, event.deployment_id))
                if not self._outages and self._reported:
                    self._reported.clear()
                    note("the log is served again")
            case DeploymentEnded(deployment_id=deployment_id):
                self._ended[event.service_id] = deployment_id
                reason = one_line(event.state_message or event.state or "")
                ending = f"has ended: {reason}" if reason else "has ended"
                self._hold(event.service_id, f"deployment {deployment_id} {ending}")
            case DeploymentStarted(deployment_id=deployment_id, replaces=int() as old):
                gone = self._ended.pop(event.service_id, None) == old
                replaced = "it" if gone else f"deployment {old}"
                self._hold(event.service_id, f"deployment {deployment_id} replaces {replaced}")
                self._starting.add(deployment_id)
                if gone and len(self._held) == 1:
                    self.flush()  # no line of the old one is pending; those of this one follow
            case DeploymentStarted():
                pass  # the requested one
            case GapFound(gap=gap):
                note(str(gap))
            case UnknownState(deployment_id=deployment_id, state=state):
                note(
                    f"deployment {deployment_id} is in the state {one_line(state)!r}, which this "
                    "version does not know: it counts as running"
                )

    def outage(self, event: TailEvent) -> None:
        """Report an event of a log that is shown up to now: outages, not deployments."""
        if not isinstance(event, DeploymentEnded | DeploymentStarted):
            self.event(event)

    def due_before(self, deployment_id: int | None) -> bool:
        """Whether what is held back is to be reported before a line of this deployment is shown."""
        return deployment_id in self._starting

    def flush(self) -> None:
        """Report now what was held back."""
        held, self._held = self._held, []
        self._starting.clear()
        for text in held:
            stderr().post(f"-- {text}\n")

    def _hold(self, service_id: int, text: str) -> None:
        name = self.names.get(service_id)
        self._held.append(f"{name}: {text}" if name else text)
        asyncio.get_running_loop().call_later(_HOLD_SECONDS, self.flush)

    def _report_attempt(self, attempt: Attempt) -> None:
        call = f"{attempt.method} {attempt.path}"
        took = f"in {attempt.elapsed:.3f} s (attempt {attempt.number})"
        again = ""
        if attempt.retry_in is not None:
            again = f": trying again in {format_duration(attempt.retry_in)}"
        match attempt.state:
            case "sending":
                return
            case "answered":
                note(f"{call}: {attempt.status} {took}")
            case "waiting":
                note(f"{call}: waiting for the rate limit{again}")
            case "failed":
                failure = attempt.status or one_line(str(attempt.error or "cancelled"))
                note(f"{call}: {failure} {took}{again}")

    def _report_outage(self, error: RequestError) -> None:
        if isinstance(error, RateLimitedError) and error.retry_after is not None:
            self._reported.add("")
            self._report_limit(error.retry_after)
            return
        problem = self._problem(error)
        if problem not in self._reported:
            self._reported.add(problem)
            note(f"the log is not served: {problem}: trying again")

    def _report_limit(self, delay: float) -> None:
        """Report once that the rate limit is reached, however many calls and logs wait for it."""
        until = time.monotonic() + delay
        if until > self._limited_until + 1:
            self._limited_until = until
            note(f"the rate limit is reached: continuing in {format_duration(delay)}")

    def _problem(self, error: RequestError) -> str:
        return explain(error, url=self._url).problem
