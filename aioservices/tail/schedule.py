"""When to poll next, and how far back to look.

Pure: intervals and counts in, seconds out.
"""

from __future__ import annotations

__all__ = ["Ladder", "Pace"]

_GROWTH = 1.5
# A page filled to this part calls for the next poll before the usual time.
_HALF_FULL = 0.5


class Pace:
    """The interval between two polls: short while lines come, longer while none do.

    Parameters
    ----------
    shortest, longest : float
        Seconds.
    """

    def __init__(self, shortest: float, longest: float) -> None:
        self._shortest = shortest
        self._longest = max(shortest, longest)
        self.interval = shortest

    def after(self, news: int, *, fill: float = 0.0, asleep: bool = False) -> float:
        """Seconds until the next poll.

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


class Ladder:
    """How far back each poll of a busy log looks: mostly a little, now and then far.

    Every poll looks back one base, every second one twice that, every fourth
    four times, and so on up to the whole overlap. A line that is late by some
    seconds is found within about as many; the mean cost grows with the
    logarithm of the overlap.

    Parameters
    ----------
    overlap : float
        Seconds of the farthest look.
    """

    _RUNGS = 5

    def __init__(self, overlap: float) -> None:
        self._base = overlap / 2 ** (self._RUNGS - 1)
        self._polls = 0

    def next(self) -> float:
        """Seconds to look back before the last poll; infinity is all the way."""
        self._polls += 1
        rung = (self._polls & -self._polls).bit_length() - 1  # the ruler sequence
        return self._base * 2**rung if rung < self._RUNGS - 1 else float("inf")
