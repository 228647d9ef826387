"""Whose request is sent next, where the rate limit lets only a few of all tails' through.

The session sends background calls in the order in which they come, so an idle tail would get as
many as a busy one. Therefore only one request of all tails waits in the session's queue. The
others wait here, and when it is sent the most urgent one follows. Urgency is the time since the
last request of the tail, divided by the square root of how long its log had been quiet when it was
last polled: to poll each log in proportion to the square root of how often it has news minimises
the total time that lines wait. The root is 3 at most, so no log waits more than three times as long
as if all took turns.

Where nothing is limited, a request is sent as soon as it has its turn, and nothing waits.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from aioservices.concurrency import Signal
from aioservices.http.options import Attempt

__all__ = ["TurnQueue", "Urgency"]

# How many times as long as a busy log a quiet one waits, squared.
_MOST_FAVOUR = 9.0


class Urgency:
    """How urgent the next request of a tail is.

    Parameters
    ----------
    shortest : float
        Seconds without news from which on a tail becomes less urgent.
    now : float
        The present, by the monotonic clock.
    """

    __slots__ = ("_last_news", "_last_request", "_longest", "_quiet", "_shortest")

    def __init__(self, shortest: float, now: float) -> None:
        self._shortest = shortest
        self._longest = _MOST_FAVOUR * shortest
        self._last_news = self._last_request = now
        self._quiet = shortest

    def record_poll(self, now: float, *, has_news: bool) -> None:
        """Record that the log was read, and whether it had new lines.

        Checks of the service do not count, and one poll without news at most doubles the time that
        the log counts as quiet: a busy log must not look like a quiet one because its turns are
        rare.
        """
        if has_news:
            self._last_news = now
            self._quiet = self._shortest
        else:
            self._quiet = min(now - self._last_news, 2 * self._quiet, self._longest)
            self._quiet = max(self._quiet, self._shortest)

    def record_request(self, now: float) -> None:
        """Record that a request was sent."""
        self._last_request = now

    def at(self, now: float) -> float:
        """Return the urgency: it is compared with that of other tails at the same moment."""
        return (now - self._last_request) / math.sqrt(self._quiet)


class TurnQueue:
    """Lets the requests of all tails of a session go one after the other, the urgent first.

    Parameters
    ----------
    clock : callable, optional
        Seconds of a clock that never goes back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._holder: _Turn | None = None
        self._waiting: list[_Turn] = []

    async def take(self, urgency: Urgency) -> _Turn:
        """Wait for a turn, which `end` must end."""
        turn = _Turn(urgency)
        if self._holder is None:
            self._holder = turn
            return turn
        self._waiting.append(turn)
        try:
            await turn.come.wait()
        except BaseException:
            if turn in self._waiting:
                self._waiting.remove(turn)
            self.end(turn)
            raise
        return turn

    def end(self, turn: _Turn) -> None:
        """End a turn if it has not ended: its request was sent, or will not be."""
        if self._holder is turn:
            self.end_present()

    def observe(self, attempt: Attempt) -> None:
        """Take in an attempt of a call that had its turn: once it is sent, the next one may go."""
        if attempt.state == "sending":
            self.end_present()

    def end_present(self) -> None:
        """End the turn that there is: the request that waited has been sent."""
        now = self._clock()
        if self._holder is not None:
            self._holder.urgency.record_request(now)
        self._holder = None
        if self._waiting:
            self._holder = max(self._waiting, key=lambda turn: turn.urgency.at(now))
            self._waiting.remove(self._holder)
            self._holder.come.send()


class _Turn:
    __slots__ = ("come", "urgency")

    def __init__(self, urgency: Urgency) -> None:
        self.urgency = urgency
        self.come = Signal()
