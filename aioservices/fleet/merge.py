"""Putting the lines of many logs into the order of their time.

Pure: the time is handed in.
"""

from __future__ import annotations

import datetime as dt
import heapq
import itertools
import math
from collections import Counter, deque
from typing import Generic, TypeVar

__all__ = ["HoldBack"]

T = TypeVar("T")

# How many lines are held at most, shared out among the logs ...
_MOST = 100_000
# ... and a share that each has in any case.
_LEAST_SHARE = 1_000


class HoldBack(Generic[T]):
    """Holds items back while an older one may yet come.

    An item is let go, the oldest first, when it or a newer one was held for the length of the
    hold-back: what comes within that time is put into order, and nothing waits for longer.

    A long log that is caught up with would be slow by that, or take much memory. So each log has a
    share: when it is used up, nothing more of that log should be taken in, and its items go as
    soon as they are the oldest, if something is held of every other log too. A log of which nothing
    is held is not waited for when nothing has come of it for the length of the hold-back.

    Parameters
    ----------
    seconds : float
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._heap: list[tuple[dt.datetime, int, int, T]] = []
        self._count = itertools.count()
        self._arrivals: deque[tuple[float, int]] = deque()  # of what is held, and some that is gone
        self._gone: set[int] = set()
        self._open: set[int] = set()
        self._held: Counter[int] = Counter()
        self._last: dict[int, float] = {}  # when something came of a log
        self._expected: dict[int, float] = {}  # until when a log is waited for

    def __len__(self) -> int:
        return len(self._heap)

    def open(self, log: int, now: float) -> None:
        """Expect items of a log."""
        self._open.add(log)
        # One that is opened again and again, and never has anything, is waited for once.
        self._expected[log] = self._last.setdefault(log, now) + self._seconds

    def close(self, log: int) -> None:
        """Expect no more items of a log."""
        self._open.discard(log)
        self._expected.pop(log, None)

    def push(self, log: int, time: dt.datetime, item: T, now: float) -> None:
        """Take in an item.

        Parameters
        ----------
        log : int
            Of which log it is.
        time : datetime
            By which it is put into order; items of one time keep the order in which they came.
        item : T
        now : float
            Seconds of a clock that never goes back.
        """
        number = next(self._count)
        heapq.heappush(self._heap, (time, number, log, item))
        self._arrivals.append((now, number))
        self._held[log] += 1
        self._last[log] = now
        self._expected.pop(log, None)

    def is_full(self, log: int) -> bool:
        """Tell whether a log has used up its share."""
        return self._held[log] >= max(_LEAST_SHARE, _MOST // max(1, len(self._open)))

    def wait(self, now: float) -> float:
        """Seconds until an item may go: 0 for now, infinity where there is none."""
        if not self._heap:
            return math.inf
        until = self._arrivals[0][0] + self._seconds
        if self.is_full(self._heap[0][2]):
            until = min(until, self._expecting_until(now))
        return max(0.0, until - now)

    def pop(self) -> T:
        """Let the oldest item go."""
        _, number, log, item = heapq.heappop(self._heap)
        self._gone.add(number)
        while self._arrivals and self._arrivals[0][1] in self._gone:
            self._gone.discard(self._arrivals.popleft()[1])
        self._held[log] -= 1
        if not self._held[log]:
            del self._held[log]
            if log in self._open:
                self._expected[log] = self._last[log] + self._seconds
        return item

    def _expecting_until(self, now: float) -> float:
        """Until when a log that holds nothing is waited for, at least."""
        while self._expected:
            log, until = next(iter(self._expected.items()))
            if until > now:
                return until
            del self._expected[log]
        return now
