"""A call in progress: its attempts, its time, and whether there is another attempt."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator
from typing import cast

import msgspec
from yarl import URL

from aioservices.errors import APIError, ConnectionFailedError, RequestError

from .options import Attempt, AttemptState, Options
from .ratelimit import RateLimit
from .response import RawResponse, parse_rate_limit, retry_after_of
from .retry import backoff_delays, may_repeat, next_delay

__all__ = ["AttemptGuard", "Call", "GuardedAttempt"]

_VARIABLES = frozenset({"environmentVariables", "environment_variables"})


class Call(msgspec.Struct, eq=False):
    """What is known about a call in progress.

    Attributes
    ----------
    method, path : str
    url : URL
    body : bytes or None
    options : Options
    is_observed : bool
        Whether a hook or the log reports its attempts.
    attempts : int
        How many have begun.
    started, begun : float
        When the first attempt, and the latest one, began.
    error : RequestError or None
        Why the latest attempt failed.
    is_at_home : bool
        Whether the latest answer came from the API itself, not from a host it redirects to.
    rate_limit : RateLimit or None
        What the API itself said in the latest attempt.
    """

    method: str
    path: str
    url: URL
    body: bytes | None
    options: Options
    is_observed: bool
    attempts: int = 0
    started: float = math.nan
    begun: float = math.nan
    error: RequestError | None = None
    is_at_home: bool = True
    rate_limit: RateLimit | None = None
    delays: Iterator[float] | None = None

    @property
    def secrets(self) -> list[str]:
        """Values of environment variables that it sends, which no message may repeat."""
        return list(_secrets_in(msgspec.json.decode(self.body))) if self.body else []

    def begin(self, now: float) -> None:
        """Record that an attempt begins."""
        if self.attempts:
            self.is_at_home, self.rate_limit = True, None
        else:
            self.started = now
        self.begun = now
        self.attempts += 1

    @property
    def deadline(self) -> float:
        """The time after which no other attempt may begin; before the first one there is none."""
        return self.started + self.options.retry.max_elapsed if self.attempts else math.inf

    def next_backoff(self) -> float:
        """Seconds to wait by the policy's own rule."""
        if self.delays is None:
            policy = self.options.retry
            self.delays = backoff_delays(policy.base_delay, policy.max_delay)
        return next(self.delays)

    def describe(
        self,
        state: AttemptState,
        now: float,
        *,
        response: RawResponse | None,
        error: RequestError | None,
        retry_in: float | None,
    ) -> Attempt:
        """Describe the attempt for hooks, whether it waits, is in progress or has ended."""
        status: int | None = None
        rate_limit: RateLimit | None = None
        if isinstance(error, APIError):
            status, rate_limit = error.status, parse_rate_limit(error.headers)
        elif response is not None:
            status = response.status
            rate_limit = self.rate_limit if self.is_at_home else response.rate_limit
        return Attempt(
            method=self.method,
            path=self.path,
            number=self.attempts + (state == "waiting"),
            state=state,
            status=status,
            error=error,
            elapsed=now - self.begun if state in {"answered", "failed"} else 0.0,
            retry_in=retry_in,
            rate_limit=rate_limit,
        )

    def delay_after(self, error: RequestError, jittered: float) -> float | None:
        """Seconds until the next attempt, or None if there is to be none."""
        retry_after: float | None = None
        if isinstance(error, APIError):
            repeat = may_repeat(self.method, status=error.status)
            retry_after = retry_after_of(error.headers)
        else:
            repeat = (
                isinstance(error, ConnectionFailedError)
                and not error.is_permanent
                and may_repeat(self.method, sent=error.sent)
            )
        if not repeat:
            return None
        return next_delay(
            self.options.retry,
            attempts=self.attempts,
            elapsed=time.monotonic() - self.started,
            jittered=jittered,
            retry_after=retry_after,
        )


class GuardedAttempt(msgspec.Struct, eq=False):
    """An attempt in progress, which a guard may end.

    Attributes
    ----------
    task : Task
        That makes it.
    deadline : float
        The time at which it is ended.
    cancelling : int
        How many wanted the task to end when the attempt began.
    is_cancelled : bool
        Whether the guard has ended it.
    """

    task: asyncio.Task[object]
    deadline: float
    cancelling: int
    is_cancelled: bool = False

    def cancel(self) -> None:
        """End it."""
        if not self.is_cancelled:
            self.is_cancelled = True
            self.task.cancel()

    def take_back(self) -> bool:
        """Take a cancellation back, as `asyncio.timeout` does.

        Returns
        -------
        bool
            Whether it was cancelled by `cancel` alone, and nobody else wants the task to end.
        """
        return self.is_cancelled and self.task.uncancel() <= self.cancelling


class AttemptGuard:
    """The attempts in progress: each is ended at its deadline, and all when the session is closed.

    One timer serves all of them, because a timer for each request would be more work than most
    requests take. It is set for the deadline that is next, and is not moved when an attempt ends:
    most do long before their deadline, so the timer hardly ever runs.
    """

    def __init__(self) -> None:
        self._attempts: dict[asyncio.Task[object], GuardedAttempt] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due = math.inf  # when the timer runs

    def enter(self, deadline: float) -> GuardedAttempt:
        """Guard an attempt that the current task begins; `leave` must follow."""
        task: asyncio.Task[object] = asyncio.current_task()  # type: ignore[assignment]
        attempt = self._attempts[task] = GuardedAttempt(task, deadline, task.cancelling())
        if deadline < self._due:
            self._set_timer(deadline)
        return attempt

    def leave(self, attempt: GuardedAttempt) -> None:
        """Record that an attempt has ended."""
        del self._attempts[attempt.task]

    def cancel_all(self) -> None:
        """End every attempt."""
        for attempt in self._attempts.values():
            attempt.cancel()
        self._stop_timer()

    def _set_timer(self, deadline: float) -> None:
        self._stop_timer()
        loop = asyncio.get_running_loop()
        delay = max(0.0, deadline - time.monotonic())
        self._timer = loop.call_at(loop.time() + delay, self._let_answers_in)
        self._due = deadline

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._due = math.inf

    def _let_answers_in(self) -> None:
        # Where the loop was blocked, answers may lie in the sockets: they are read first.
        asyncio.get_running_loop().call_soon(self._end_late_ones)

    def _end_late_ones(self) -> None:
        self._stop_timer()
        now = time.monotonic()
        following = math.inf
        for attempt in self._attempts.values():
            if attempt.deadline <= now:
                attempt.cancel()
            else:
                following = min(following, attempt.deadline)
        if following < math.inf:
            self._set_timer(following)


def _secrets_in(value: object, *, inside: bool = False) -> Iterator[str]:
    match value:
        case dict():
            for name, each in cast("dict[str, object]", value).items():
                yield from _secrets_in(each, inside=inside or name in _VARIABLES)
        case list():
            for each in cast("list[object]", value):
                yield from _secrets_in(each, inside=inside)
        case bool():  # not a secret: to hide it would hide every `true` of a message
            pass
        case str() | int() | float() if inside and value:
            yield str(value)
        case _:
            pass
