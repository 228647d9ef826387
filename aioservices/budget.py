"""Pacing by the server's rate limit.

`Budget` is arithmetic over a clock that is handed in; `Gate` is the one place
where calls wait for it.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Callable

import anyio
import msgspec

from .errors import SessionClosedError

__all__ = ["Budget", "Gate", "RateLimit"]

# The length of the limit's window is not told. Until it is learnt, the
# platform's own 1,000 requests in 5 minutes are assumed, scaled to the limit.
_ASSUMED_SECONDS_A_REQUEST = 0.3
_LONGEST_WINDOW = 600.0
# The share of the limit that background calls leave to ordinary ones.
_RESERVE = 0.2


class RateLimit(msgspec.Struct, frozen=True):
    """What the server last said of its rate limit.

    Attributes
    ----------
    limit : int
        Requests allowed in a window of time.
    remaining : int
        How many of them are left.
    """

    limit: int
    remaining: int


class Budget:
    """What may be sent now, and what must wait.

    Ordinary calls are held back only where the server would refuse them.
    Background calls leave a reserve to them, and spread what is left beyond it
    over the rest of the window.

    Parameters
    ----------
    slots : int
        How many requests may be under way at once.
    """

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.in_flight = 0
        self.rate_limit: RateLimit | None = None
        self.quiet_until = -math.inf
        self._exhausted = False  # the last word was a 429
        self._tickets = 0
        self._newest_heard = 0
        self._heard_at = -math.inf
        self._last_background = -math.inf
        self._window_start = -math.inf
        self._last_reset: float | None = None
        self._windows: deque[float] = deque(maxlen=5)

    def wait(self, now: float, *, background: bool = False) -> float:
        """Seconds until a call may be sent: 0 is now, infinity is not before an answer comes."""
        if now < self.quiet_until:
            return self.quiet_until - now
        if self.in_flight >= self.slots:
            return math.inf
        if self._exhausted:
            # One call at a time finds out whether the server serves again.
            return math.inf if self.in_flight else 0.0
        if self.rate_limit is None:
            return 0.0
        if background:
            return max(0.0, self._next_background(now, self.rate_limit) - now)
        if self.rate_limit.remaining > self.in_flight or not self.in_flight:
            return 0.0
        return math.inf

    def sent(self, now: float, *, background: bool = False) -> int:
        """Note that a request goes out; gives the ticket that its answer hands in."""
        if background:
            self._last_background = now
        if self._last_reset is None:
            self._last_reset = self._window_start = now
        self.in_flight += 1
        self._tickets += 1
        return self._tickets

    def done(self) -> None:
        """Note that a request is no longer under way, whatever became of it."""
        self.in_flight -= 1

    def served(self, ticket: int, now: float, rate_limit: RateLimit | None) -> None:
        """Learn from an answer that is not a 429."""
        if not self._is_news(ticket, now):
            return
        self._exhausted = False
        before, self.rate_limit = self.rate_limit, rate_limit
        # Answers that overtake each other let the figure rise by as many as are under way.
        if before and rate_limit and rate_limit.remaining > before.remaining + self.in_flight + 1:
            self._learn_reset(now)

    def refused(self, ticket: int, now: float, quiet: float) -> None:
        """Learn from a 429: for `quiet` seconds nothing is sent."""
        if self._is_news(ticket, now):
            self._exhausted = True
        self.quiet_until = max(self.quiet_until, now + quiet)
        self._window_start = self.quiet_until

    def _is_news(self, ticket: int, now: float) -> bool:
        if ticket < self._newest_heard:
            return False
        self._newest_heard = ticket
        self._heard_at = now
        return True

    def _next_background(self, now: float, limit: RateLimit) -> float:
        """When the next background call is due; at the window's end if only the reserve is left."""
        window = min(self._windows, default=limit.limit * _ASSUMED_SECONDS_A_REQUEST)
        if now >= self._window_start + window:
            self._window_start = now  # a new window has begun, though nothing has told of it yet
        remaining = limit.remaining if self._heard_at >= self._window_start else limit.limit
        remaining -= self.in_flight
        if not self._windows and remaining > limit.limit / 2:
            return now  # plenty is left, and spending some of it shows how long the window is
        spare = remaining - math.ceil(limit.limit * _RESERVE)
        window_end = self._window_start + window
        if spare <= 0:
            return window_end
        return self._last_background + (window_end - now) / spare

    def _learn_reset(self, now: float) -> None:
        if self._last_reset is not None and now - self._last_reset <= _LONGEST_WINDOW:
            # The shortest of the last few: one that passed in silence counts as part of the next.
            self._windows.append(now - self._last_reset)
        self._last_reset = self._window_start = now


class Gate:
    """Where calls wait until the budget admits them: ordinary ones first, each kind in turn.

    Parameters
    ----------
    budget : Budget
    clock : callable
        Seconds of a clock that never goes back.
    """

    def __init__(self, budget: Budget, clock: Callable[[], float]) -> None:
        self.budget = budget
        self._clock = clock
        self._ordinary: _Queue = OrderedDict()
        self._background: _Queue = OrderedDict()
        self._closed = anyio.Event()

    async def enter(self, *, background: bool = False) -> int:
        """Wait for admission.

        Returns
        -------
        int
            The ticket of the request, to be handed to the budget with its
            answer; `leave` must follow in any case.

        Raises
        ------
        SessionClosedError
            If the gate is, or meanwhile was, closed.
        """
        now = self._clock()
        if self._ordinary or self._background or self.budget.wait(now, background=background) > 0:
            await self._queue_up(background)
            now = self._clock()
        elif self._closed.is_set():
            raise _closed_error()
        return self.budget.sent(now, background=background)

    def leave(self) -> None:
        """Note that a request is no longer under way."""
        self.budget.done()
        self._wake_next()

    async def sleep(self, seconds: float) -> None:
        """Wait outside the queue, at most until the gate is closed."""
        with anyio.move_on_after(seconds):
            await self._closed.wait()
            raise _closed_error()

    def close(self) -> None:
        """Turn away all who wait, and all who come."""
        self._closed.set()
        for waiter in (*self._ordinary, *self._background):
            waiter.wake.set()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed.is_set()

    async def _queue_up(self, background: bool) -> None:
        queue = self._background if background else self._ordinary
        waiter = _Waiter()
        queue[waiter] = None
        try:
            while not self._closed.is_set():
                first = next(iter(self._ordinary or self._background)) is waiter
                wait = self.budget.wait(self._clock(), background=background) if first else math.inf
                if wait <= 0:
                    return
                waiter.wake = anyio.Event()
                with anyio.move_on_after(wait):
                    await waiter.wake.wait()
            raise _closed_error()
        finally:
            del queue[waiter]
            self._wake_next()

    def _wake_next(self) -> None:
        for waiter in self._ordinary or self._background:
            waiter.wake.set()
            break


class _Waiter:
    __slots__ = ("wake",)

    def __init__(self) -> None:
        self.wake = anyio.Event()


_Queue = OrderedDict[_Waiter, None]


def _closed_error() -> SessionClosedError:
    return SessionClosedError("the session is closed: make a new Services to go on")
