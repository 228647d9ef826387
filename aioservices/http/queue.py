"""Where calls wait until the rate limiter admits them, and which of them is next.

Theory of operation
-------------------
The limiter says when a call may be sent; it does not say which. The queue decides that only at the
moment at which one may be: until then nobody is first, so whoever comes meanwhile is considered
like all others, and a waiter that is cancelled leaves nothing behind.

1. Ordinary calls go before background ones, in the order in which they came.
2. Background calls may have an urgency, as those of tails do: the most urgent goes first, by the
   urgencies of that moment. In the order of arrival a tail of a silent log would get as many
   requests as one of a busy log.
3. The other background calls go in the order in which they came. Where calls of both kinds wait,
   the kinds take turns, so that neither starves the other.

To find the most urgent takes a look at each of those that wait, but only once for each request that
had to wait. Where nothing is limited, nobody waits and nothing is compared.

One timer serves all: it runs when the next call may be sent. What may let one be sent sooner (a
request that ends, a waiter that leaves) sets it to now. It then runs after the present turn of the
event loop, when the limiter has learned from the answer, too.

Example: the tails of a busy log and of a silent one wait, and a background `get` came after them.
The busy log's page is sent, then the `get`, then the silent log's page, unless the busy one's tail
is back by then and more urgent.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Protocol, TypeAlias

from aioservices.concurrency import Signal
from aioservices.errors import SessionClosedError

from .ratelimit import RateLimiter

__all__ = ["RequestQueue", "Urgency", "Waiter", "WaitingCalls"]


class Urgency(Protocol):
    """How urgent the background calls are that share it."""

    def at(self, now: float) -> float:
        """Return the urgency, which is compared with that of others at the same moment."""
        ...

    def record_request(self, now: float) -> None:
        """Record that one of the calls is sent."""
        ...


class RequestQueue:
    """Admits calls one after the other, as the limiter allows.

    Each caller says for how long it can wait. When the session is blocked for longer than that, by
    a 429 that arrives meanwhile, the wait ends at once.

    Parameters
    ----------
    limiter : RateLimiter
    clock : callable
        Seconds of a clock that never goes back.

    Attributes
    ----------
    closed : bool
        Whether `close` was called.
    """

    def __init__(self, limiter: RateLimiter, clock: Callable[[], float]) -> None:
        self.limiter = limiter
        self.closed = False
        self._clock = clock
        self._waiting = WaitingCalls()
        self._sleeping: _Line = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None
        self._due = math.inf  # when the timer runs

    def try_acquire(
        self, now: float, *, background: bool = False, urgency: Urgency | None = None
    ) -> bool:
        """Take a turn if that is possible at once; `release` must follow."""
        if self.closed or self._waiting.any_before(background=background):
            return False
        if self.limiter.delay(now, background=background) > 0:
            return False
        self.limiter.record_sent(now, background=background)
        if urgency is not None:
            urgency.record_request(now)
        return True

    async def acquire(
        self,
        *,
        background: bool = False,
        urgency: Urgency | None = None,
        deadline: float = math.inf,
        longest_block: float = math.inf,
    ) -> float | None:
        """Wait for a turn; `release` must follow.

        Parameters
        ----------
        background : bool
        urgency : Urgency, optional
            Of a background call.
        deadline : float
            The time after which a turn would be too late.
        longest_block : float
            Seconds that a block of the session is waited for.

        Returns
        -------
        float or None
            The time of admission, which the limiter needs with the answer. None if there is no turn
            within these bounds; it may be known long before the deadline.

        Raises
        ------
        SessionClosedError
            If the queue is closed, or was meanwhile.
        """
        waiter = Waiter(deadline, longest_block, background=background, urgency=urgency)
        self._waiting.add(waiter)
        self._admit_after(0.0)
        begun: float | None = None
        try:
            while not self.closed:
                begun = waiter.admitted_at
                if begun is not None:
                    return begun
                now = self._clock()
                if waiter.is_futile(now, self.limiter.blocked_until):
                    return None
                await waiter.wake.wait(deadline - now)
            raise SessionClosedError
        finally:
            if begun is None:
                self._leave(waiter)

    def release(self) -> None:
        """Record that a request is no longer under way."""
        self.limiter.record_end()
        self._admit_after(0.0)

    def block(self, sent_at: float, retry_after: float) -> None:
        """Send nothing for a while, because of a 429 to a request that was sent at `sent_at`."""
        now = self._clock()
        self.limiter.observe_refusal(sent_at, now, retry_after)
        for waiter in chain(self._waiting, self._sleeping):
            if waiter.is_futile(now, self.limiter.blocked_until):
                waiter.wake.send()

    async def sleep(self, seconds: float, *, deadline: float = math.inf) -> bool:
        """Wait outside the queue.

        Returns
        -------
        bool
            Whether the time has passed. False as soon as the session is blocked beyond the
            deadline.

        Raises
        ------
        SessionClosedError
            If the queue is closed, or was meanwhile.
        """
        waiter = Waiter(deadline, math.inf)
        self._sleeping[waiter] = None
        try:
            if not self.closed:
                await waiter.wake.wait(seconds)
        finally:
            del self._sleeping[waiter]
        if self.closed:
            raise SessionClosedError
        return not waiter.is_futile(self._clock(), self.limiter.blocked_until)

    def close(self) -> None:
        """Reject all who wait, and all later callers."""
        self.closed = True
        for waiter in chain(self._waiting, self._sleeping):
            waiter.wake.send()
        self._stop_timer()

    def _leave(self, waiter: Waiter) -> None:
        """Let the others go on without a call that is not made."""
        if waiter.admitted_at is None:
            self._waiting.discard(waiter)
        else:  # it was cancelled before it could run
            self.limiter.record_end()
        self._admit_after(0.0)

    def _admit_after(self, seconds: float) -> None:
        """Admit whose turn it is after so many seconds, or sooner."""
        if self.closed or not self._waiting:
            return
        due = self._clock() + seconds
        if due < self._due:
            self._stop_timer()
            self._timer = asyncio.get_running_loop().call_later(seconds, self._admit)
            self._due = due

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._due = math.inf

    def _admit(self) -> None:
        """Admit all whose turn it is."""
        self._stop_timer()
        while self._waiting:
            now = self._clock()
            background = self._waiting.only_background
            delay = self.limiter.delay(now, background=background)
            if delay > 0:
                if delay < math.inf:  # otherwise one has to end before
                    self._admit_after(delay)
                return
            waiter = self._waiting.take_next(now)
            if not waiter.is_futile(now, self.limiter.blocked_until):
                self.limiter.record_sent(now, background=background)
                waiter.admit(now)
            waiter.wake.send()


class Waiter:
    """A waiting call, and for how long it can wait.

    Attributes
    ----------
    background : bool
    urgency : Urgency or None
    admitted_at : float or None
        When it was its turn.
    wake : Signal
        Is sent when there is something new: it was admitted, waits in vain, or the queue is closed.
    """

    __slots__ = ("_deadline", "_longest_block", "admitted_at", "background", "urgency", "wake")

    def __init__(
        self,
        deadline: float = math.inf,
        longest_block: float = math.inf,
        *,
        background: bool = False,
        urgency: Urgency | None = None,
    ) -> None:
        self.background = background
        self.urgency = urgency
        self.admitted_at: float | None = None
        self.wake = Signal()
        self._deadline = deadline
        self._longest_block = longest_block

    def is_futile(self, now: float, blocked_until: float) -> bool:
        """Return whether there can be no turn in time."""
        is_late = max(now, blocked_until) > self._deadline
        return is_late or blocked_until - now > self._longest_block

    def admit(self, now: float) -> None:
        """Record that it is its turn."""
        self.admitted_at = now
        if self.urgency is not None:
            self.urgency.record_request(now)


_Line: TypeAlias = OrderedDict[Waiter, None]


class WaitingCalls:
    """The calls that wait, and which of them is next."""

    def __init__(self) -> None:
        self._ordinary: _Line = OrderedDict()
        self._in_turn: _Line = OrderedDict()  # of the background
        self._by_urgency: dict[Waiter, Urgency] = {}  # of the background, too
        self._last_was_urgent = False

    def __bool__(self) -> bool:
        return bool(self._ordinary or self._in_turn or self._by_urgency)

    def __iter__(self) -> Iterator[Waiter]:
        return chain(self._ordinary, self._in_turn, self._by_urgency)

    @property
    def only_background(self) -> bool:
        """Whether no ordinary call waits."""
        return not self._ordinary

    def any_before(self, *, background: bool) -> bool:
        """Return whether any waits that a newcomer may not overtake."""
        return bool(self) if background else bool(self._ordinary)

    def add(self, waiter: Waiter) -> None:
        """Add a call that begins to wait."""
        if not waiter.background:
            self._ordinary[waiter] = None
        elif waiter.urgency is None:
            self._in_turn[waiter] = None
        else:
            self._by_urgency[waiter] = waiter.urgency

    def discard(self, waiter: Waiter) -> None:
        """Remove a call that waits no longer, unless it was taken."""
        for line in (self._ordinary, self._in_turn, self._by_urgency):
            line.pop(waiter, None)

    def take_next(self, now: float) -> Waiter:
        """Remove the call whose turn it is, of those that wait."""
        if self._ordinary:
            return self._ordinary.popitem(last=False)[0]
        if self._in_turn and (self._last_was_urgent or not self._by_urgency):
            self._last_was_urgent = False
            return self._in_turn.popitem(last=False)[0]
        self._last_was_urgent = True
        urgencies = self._by_urgency
        waiter = max(urgencies, key=lambda each: urgencies[each].at(now))
        del urgencies[waiter]
        return waiter
