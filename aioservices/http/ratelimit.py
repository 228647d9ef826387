"""Pacing by the server's rate limit.

`Budget` is arithmetic over a clock that is handed in; `Gate` is the one place
where calls wait for it.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable

import anyio
import msgspec

from aioservices.errors import SessionClosedError

__all__ = ["Budget", "Gate", "RateLimit"]

# The share of the limit, and of the connections, that background calls leave to ordinary ones.
_RESERVE = 0.2
# How long the window of a rate limit may be, in seconds.
_SHORTEST_WINDOW = 1.0
_LONGEST_WINDOW = 600.0
# Where nothing seems to be left, how many seconds an answer is awaited before another call
# is risked: a connection that stalls must not hold up the others.
_PATIENCE = 5.0


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
        self.in_flight = 0
        self.quiet_until = -math.inf
        self._slots = slots
        self._background_slots = max(1, slots - math.ceil(slots * _RESERVE))
        self._exhausted = False  # the last word was a 429
        self._last_sent = self._last_background = -math.inf
        self._last_answered = -math.inf  # when the request was sent that was answered last
        self._window = _Window()

    @property
    def rate_limit(self) -> RateLimit | None:
        """What is known of the server's count."""
        return self._window.figure

    def wait(self, now: float, *, background: bool = False) -> float:
        """Seconds until a call may be sent: 0 is now, infinity is not before one has ended."""
        if now < self.quiet_until:
            return self.quiet_until - now
        if self.in_flight >= (self._background_slots if background else self._slots):
            return math.inf
        if self._exhausted:
            return self._one_at_a_time(now)
        if background:
            return self._background_wait(now)
        limit = self._window.figure
        if limit is None or limit.remaining > self.in_flight:
            return 0.0
        return self._one_at_a_time(now)

    def sent(self, now: float, *, background: bool = False) -> None:
        """Note that a request goes out."""
        self.in_flight += 1
        self._last_sent = now
        if background:
            self._last_background = now

    def done(self) -> None:
        """Note that a request is no longer under way, whatever became of it."""
        self.in_flight -= 1

    def served(self, sent_at: float, now: float, rate_limit: RateLimit | None) -> None:
        """Learn from an answer that is not a 429 to a request that was sent at `sent_at`."""
        if sent_at >= self.quiet_until:
            self._exhausted = False
        self._hear(sent_at, now, rate_limit)

    def refused(self, sent_at: float, now: float, quiet: float) -> None:
        """Learn from a 429: for `quiet` seconds nothing is sent."""
        self._exhausted = True
        self.quiet_until = max(self.quiet_until, now + quiet)
        limit = self.rate_limit
        self._hear(sent_at, now, limit and RateLimit(limit.limit, 0))

    def _hear(self, sent_at: float, now: float, figure: RateLimit | None) -> None:
        if sent_at > self._last_answered:
            self._last_answered = sent_at
        if figure is not None:  # what a proxy answers by itself does not tell
            self._window.hear(sent_at, now, figure)

    def _one_at_a_time(self, now: float) -> float:
        if not self.in_flight or self._last_answered >= self._last_sent:
            return 0.0
        return max(0.0, self._last_sent + _PATIENCE - now)

    def _background_wait(self, now: float) -> float:
        limit, window = self.rate_limit, self._window
        if limit is None:
            known_to_answer = self._last_answered > -math.inf
            return 0.0 if known_to_answer else self._one_at_a_time(now)
        left = limit.remaining - self.in_flight
        spare = max(0, left - math.ceil(limit.limit * _RESERVE))
        if window.end is None:
            if left > limit.limit / 2:
                return 0.0  # does no harm, and shows how long the window is
            due = window.next_look(self._last_background, max(spare, limit.limit // 20, 2))
        else:
            since = max(self._last_background, window.start)
            due = min(window.end, since + (window.end - since) / (spare + 1))
        if due > now:
            return due - now
        if left > 0 and (window.end is None or now < window.end):
            return 0.0
        return self._one_at_a_time(now)


class _Window:
    """When the server began to count anew, and when it will do so next.

    Neither is told. A figure that did not fall from one request to the next shows
    that the count began anew between the two; two such pairs bound the length of the
    window from above, and the least of these bounds is taken for the length until a
    window turns out to be longer. Where the server has no fixed windows, that
    happens soon, and the length counts as unknown.
    """

    def __init__(self) -> None:
        self.figure: RateLimit | None = None
        self.start = -math.inf
        self.end: float | None = None  # None: nobody knows
        self._length = math.inf
        self._sent_at = self._heard_at = -math.inf  # the request that brought the figure
        self._begun_after: float | None = None  # no sooner than this did the last window begin

    def hear(self, sent_at: float, now: float, figure: RateLimit) -> None:
        """Take in what the server said in answer to a request."""
        before = self.figure
        if before is None:
            self.start = sent_at
        elif figure.remaining < before.remaining:
            self._go_on(sent_at)
        elif sent_at <= self._heard_at:
            return  # overtaken: it was given before the figure that is known
        elif figure.remaining <= figure.limit / 2:
            self._go_on(sent_at)
        elif self._sent_at >= self.start:  # or it was under way when the window began
            self._begin(now)
        self.figure, self._sent_at, self._heard_at = figure, sent_at, now

    def next_look(self, last: float, calls: int) -> float:
        """When to send again while the length is unknown, if so many calls are left for it.

        As it may as well be a second as ten minutes, they are spread evenly over the
        logarithm of the time since the window's start.
        """
        elapsed = max(_SHORTEST_WINDOW, last - self.start)
        growth = math.pow(max(2.0, _LONGEST_WINDOW / elapsed), 1 / calls)
        return min(self.start + elapsed * min(growth, 4.0), last + _LONGEST_WINDOW)

    def _begin(self, now: float) -> None:
        if self._begun_after is not None:
            self._length = min(self._length, now - self._begun_after)
        self._begun_after = self._sent_at
        self.start = now
        self.end = now + self._length if self._length <= _LONGEST_WINDOW else None

    def _go_on(self, sent_at: float) -> None:
        if self.end is not None and sent_at >= self.end:
            self._length, self.end = math.inf, None


class Gate:
    """Where calls wait until the budget admits them: ordinary ones first, each kind in turn.

    Parameters
    ----------
    budget : Budget
    clock : callable
        Seconds of a clock that never goes back.

    Attributes
    ----------
    closed : bool
        Whether `close` was called.
    """

    def __init__(self, budget: Budget, clock: Callable[[], float]) -> None:
        self.budget = budget
        self._clock = clock
        self._ordinary: _Queue = OrderedDict()
        self._background: _Queue = OrderedDict()
        self._closed = anyio.Event()
        self.closed = False

    def try_enter(self, now: float, *, background: bool = False) -> bool:
        """Enter if that is possible at once; `leave` must follow."""
        queued = self._ordinary or (background and self._background)
        if queued or self.closed or self.budget.wait(now, background=background) > 0:
            return False
        self.budget.sent(now, background=background)
        return True

    async def enter(self, *, background: bool = False) -> float:
        """Wait for admission; `leave` must follow.

        Returns
        -------
        float
            The time of admission, which the budget wants to know with the answer.

        Raises
        ------
        SessionClosedError
            If the gate is, or meanwhile was, closed.
        """
        queue = self._background if background else self._ordinary
        waiter = _Waiter()
        queue[waiter] = None
        try:
            while not self.closed:
                now = self._clock()
                first = next(iter(self._ordinary or self._background)) is waiter
                wait = self.budget.wait(now, background=background) if first else math.inf
                if wait <= 0:
                    self.budget.sent(now, background=background)
                    return now
                waiter.wake = anyio.Event()
                with anyio.move_on_after(wait):
                    await waiter.wake.wait()
            raise SessionClosedError
        finally:
            del queue[waiter]
            self._wake_next()

    def leave(self) -> None:
        """Note that a request is no longer under way."""
        self.budget.done()
        self._wake_next()

    async def sleep(self, seconds: float) -> None:
        """Wait outside the queue, at most until the gate is closed."""
        with anyio.move_on_after(seconds):
            await self._closed.wait()
            raise SessionClosedError

    def close(self) -> None:
        """Turn away all who wait, and all who come."""
        self.closed = True
        self._closed.set()
        for waiter in (*self._ordinary, *self._background):
            waiter.wake.set()

    def _wake_next(self) -> None:
        for waiter in self._ordinary or self._background:
            waiter.wake.set()
            break


class _Waiter:
    __slots__ = ("wake",)

    def __init__(self) -> None:
        self.wake = anyio.Event()


_Queue = OrderedDict[_Waiter, None]
