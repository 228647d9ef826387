"""Putting the lines of many logs into the order of their time.

Pure: the time is handed in.
"""

from __future__ import annotations

import datetime as dt
import heapq
import itertools
import math
from typing import Generic, TypeVar

__all__ = ["HoldBack"]

T = TypeVar("T")


class HoldBack(Generic[T]):
    """Holds items back until no older one is to be expected.

    An item is let go when another one is newer by the length of the hold-back,
    or when it was held for as long: so the delay is bounded, and so is what can
    be put into order. What comes later still is let go at once.

    Parameters
    ----------
    seconds : float
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._span = dt.timedelta(seconds=seconds)
        self._heap: list[tuple[dt.datetime, int, float, T]] = []
        self._count = itertools.count()
        self._newest: dt.datetime | None = None

    def __len__(self) -> int:
        return len(self._heap)

    def push(self, time: dt.datetime, item: T, now: float) -> None:
        """Take in an item.

        Parameters
        ----------
        time : datetime
            By which it is put into order; items of one time keep the order in which they came.
        item : T
        now : float
            Seconds of a clock that never goes back.
        """
        heapq.heappush(self._heap, (time, next(self._count), now, item))
        if self._newest is None or time > self._newest:
            self._newest = time

    def wait(self, now: float) -> float:
        """Seconds until an item may go: 0 for now, infinity where there is none."""
        if not self._heap or self._newest is None:
            return math.inf
        time, _, came, _ = self._heap[0]
        if self._newest - time >= self._span:
            return 0.0
        return max(0.0, came + self._seconds - now)

    def pop(self) -> T:
        """Let the oldest item go."""
        return heapq.heappop(self._heap)[3]
