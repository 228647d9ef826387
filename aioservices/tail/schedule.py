"""When to poll next, and how far back to look.

Pure: intervals, counts and times in, seconds and spans out.
"""

from __future__ import annotations

import datetime as dt
import functools

__all__ = ["Lookback", "PollInterval"]

_GROWTH = 1.5
# A page filled to this part calls for the next poll before the usual time.
_HALF_FULL = 0.5
_STEPS = 7


class PollInterval:
    """The interval between two polls: short while lines come, longer while none do.

    Parameters
    ----------
    shortest, longest : float
        Seconds.
    """

    __slots__ = ("_longest", "_shortest", "interval")

    def __init__(self, shortest: float, longest: float) -> None:
        self._shortest = shortest
        self._longest = max(shortest, longest)
        self.interval = shortest

    def after(self, news: int, *, fill: float = 0.0, asleep: bool = False) -> float:
        """Return the seconds until the next poll.

        Parameters
        ----------
        news : int
            New lines of the last poll.
        fill : float
            The part of a page that they would fill.
        asleep : bool
            Whether the service is known to do nothing.
        """
        if news:
            self.interval = self._shortest
            return self.interval * min(1.0, _HALF_FULL / fill) if fill > 0 else self.interval
        grown = self._longest if asleep else self.interval * _GROWTH
        self.interval = min(self._longest, max(grown, self._shortest))
        return self.interval


class Lookback:
    """How far back each poll of a busy log looks: mostly a little, now and then far.

    There are steps, each twice as long as the one before it, up to the whole overlap. A poll looks
    back the longest step for which as much time has passed since a poll looked back that far. So
    a line that is late by some seconds is found within about as many (or by the next poll), and
    the mean cost grows with the logarithm of the overlap.

    Parameters
    ----------
    overlap : float
        Seconds of the longest look.
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
