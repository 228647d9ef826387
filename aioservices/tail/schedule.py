"""When to poll next, how far back to look, and how urgent that is.

Pure: intervals, counts and times in, seconds and spans out.
"""

from __future__ import annotations

import datetime as dt
import functools
import math

__all__ = ["Lookback", "PollInterval", "TailUrgency"]

_GROWTH = 1.5
# A page filled to this part calls for the next poll before the usual time.
_HALF_FULL = 0.5
_STEPS = 7
# How many times as long as a busy log a quiet one waits, squared.
_MOST_FAVOUR = 9.0


class PollInterval:
    """The seconds between two polls: few while lines come, more while none do.

    A log that would fill a page is polled sooner, but no sooner than each poll looks back in any
    case: that would read the same lines again and again.
    """

    __slots__ = ("_least", "_longest", "_shortest", "interval")

    def __init__(self, shortest: float, longest: float, *, overlap: float = 0.0) -> None:
        self._shortest = shortest
        self._longest = max(shortest, longest)
        self._least = min(shortest, _steps(overlap)[0].total_seconds())
        self.interval = shortest

    def after(self, news: int, *, fill: float = 0.0, asleep: bool = False) -> float:
        """Return the seconds until the next poll: the last one had some new lines.

        Parameters
        ----------
        fill : float
            The part of a page that they would fill.
        asleep : bool
            Whether the service is known to do nothing.
        """
        if news:
            self.interval = self._shortest
            wait = self.interval * min(1.0, _HALF_FULL / fill) if fill > 0 else self.interval
            return max(wait, self._least)
        grown = self._longest if asleep else self.interval * _GROWTH
        self.interval = min(self._longest, max(grown, self._shortest))
        return self.interval


class Lookback:
    """How far back each poll of a busy log looks: mostly a little, now and then far.

    There are steps, each twice as long as the one before it, up to the whole overlap. A poll looks
    back the longest step for which as much time has passed since a poll looked back that far. So
    a line that is late by some seconds is found within about as many (or by the next poll), and
    the mean cost grows with the logarithm of the overlap.
    """

    __slots__ = ("_looked", "_steps")

    def __init__(self, overlap: float) -> None:
        self._steps = _steps(overlap)
        self._looked: list[dt.datetime | None] = [None] * _STEPS

    def reset(self, now: dt.datetime) -> None:
        """Take note of a poll that looks back all the way."""
        self._looked = [now] * _STEPS

    def next(self, now: dt.datetime) -> dt.timedelta | None:
        """Return how far to look back before the end of the last poll; None is all the way."""
        step = _STEPS - 1
        while step > 0 and not self._is_due(step, now):
            step -= 1
        self._looked[: step + 1] = [now] * (step + 1)
        return self._steps[step] if step < _STEPS - 1 else None

    def _is_due(self, step: int, now: dt.datetime) -> bool:
        looked = self._looked[step]
        return looked is None or now < looked or now - looked >= self._steps[step]


@functools.lru_cache(maxsize=16)  # all tails of a session mostly have the same
def _steps(overlap: float) -> tuple[dt.timedelta, ...]:
    return tuple(dt.timedelta(seconds=overlap * 2.0**-step) for step in reversed(range(_STEPS)))


class TailUrgency:
    """How urgent the next request of a tail is, where the rate limit lets only a few through.

    It is the time since the tail's last request, divided by the square root of how long its log had
    been quiet when it was last polled: to poll each log in proportion to the square root of how
    often it has news minimises the total time that lines wait. The root is three times that of a
    busy log at most, so no log waits more than three times as long as if all took turns.

    Parameters
    ----------
    shortest : float
        Seconds between two polls of a busy log.
    now : float
    """

    __slots__ = ("_last_news", "_last_request", "_quiet", "_shortest")

    def __init__(self, shortest: float, now: float) -> None:
        self._shortest = shortest
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
            longest = min(2 * self._quiet, _MOST_FAVOUR * self._shortest)
            self._quiet = min(max(now - self._last_news, self._shortest), longest)

    def record_request(self, now: float) -> None:
        """Record that a request was sent."""
        self._last_request = now

    def at(self, now: float) -> float:
        """Return the urgency: it is compared with that of other tails at the same moment."""
        return (now - self._last_request) / math.sqrt(self._quiet)
