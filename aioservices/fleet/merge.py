"""Putting the lines of many logs into the order of their time; pure.

The lines of a log come in the order of their time, but some logs are read later than others: which
line comes next is known only when every log was read up to it. Nobody knows when that is, so a line
is held for a while, in which older ones of other logs may come, and then goes with all that are
older. What comes within that time is put into order, and nothing waits for longer.

For example, held for 2 s: a line of 12:00:05 comes at 12:00:06, one of 12:00:04 at 12:00:07. At
12:00:08 the first has been held for 2 s, and both go, the older one first.

That rule asks for one thing: that no line is from the future. A service whose clock is an hour
ahead would else have lines that stay behind all others, are due all the time, and let everything go
at once that is older. So a line counts as written when it came, at the latest, by the server's
clock.

A long log that is caught up with would be slow by that, or take much memory. So each log has a
share of what may be held: when it is used up, nothing more of that log should be taken in, and its
lines go as soon as they are the oldest, if something is held of every other log too. A log of which
nothing is held is not waited for when nothing has come of it for the length of the hold-back.
"""

from __future__ import annotations

import datetime as dt
import heapq
import itertools
import math
from collections import Counter, deque
from typing import Generic, TypeVar

__all__ = ["LatestTime", "ReorderBuffer"]

T = TypeVar("T")

# How many lines are held at most, shared out among the logs ...
_MOST = 100_000
# ... and a share that each has in any case.
_LEAST_SHARE = 1_000
_SET = dt.timedelta(seconds=2)  # a bound that rises by more shows that a clock was set


class LatestTime:
    """The latest time that it can be by the server's clock.

    The time that the server sends is cut to whole seconds, so each bound that is made of it is
    up to a second too late. The lowest one of them, carried on, is close to the truth.
    """

    def __init__(self) -> None:
        self._epoch: dt.datetime | None = None  # the lowest bound, carried back to second 0

    def observe(self, bound: dt.datetime, now: float) -> dt.datetime:
        """Take in a bound, and give the lowest one.

        Parameters
        ----------
        bound : datetime
            A time that it cannot be yet, or is just now.
        now : float
            Seconds of a clock that never goes back.
        """
        try:
            since = dt.timedelta(seconds=now)
            epoch = bound - since
        except OverflowError:  # near year 1: nothing can be made of that
            return bound
        if self._epoch is None or epoch < self._epoch or epoch - self._epoch > _SET:
            self._epoch = epoch
        return self._epoch + since


class ReorderBuffer(Generic[T]):
    """Holds items back while an older one may yet come.

    Parameters
    ----------
    seconds : float
        For how long.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._heap: list[tuple[dt.datetime, int, int, T]] = []
        self._count = itertools.count()
        self._arrivals: deque[tuple[float, int]] = deque()  # of what is held, and some that is gone
        self._gone: set[int] = set()
        self._open: set[int] = set()
        self._held: Counter[int] = Counter()
        self._last: dict[int, float] = {}  # when a log last had a line
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

    def push(
        self,
        log: int,
        time: dt.datetime,
        item: T,
        now: float,
        *,
        latest: dt.datetime | None = None,
    ) -> None:
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
        latest : datetime, optional
            The time now: an item from after it counts as one of now.
        """
        number = next(self._count)
        if latest is not None and time > latest:
            time = latest
        heapq.heappush(self._heap, (time, number, log, item))
        self._arrivals.append((now, number))
        self._held[log] += 1
        self._last[log] = now
        self._expected.pop(log, None)

    def is_full(self, log: int) -> bool:
        """Return whether a log has used up its share."""
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
