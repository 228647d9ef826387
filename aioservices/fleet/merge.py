"""Sorting the lines of many logs by time; pure.

Theory of operation
-------------------
Each log arrives in the order of its timestamps, but some logs are read later than others. The next
line of the merged stream is known only when every log has been read up to it, and nobody knows when
that is. So each line is held back for a fixed time, during which older lines of other logs may
arrive. Then it is released together with all lines that are older. Lines that arrive within that
time are sorted, and nothing waits longer.

For example, with 2 s: a line of 12:00:05 arrives at 12:00:06, one of 12:00:04 at 12:00:07. At
12:00:08 the first has been held back for 2 s, and both are released, the older one first.

This works only if no timestamp is in the future. The lines of a service whose clock is an hour
ahead would always be the last and always be due, and so release everything else at once. Therefore
a line counts as written when it arrived, at the latest, by the server's clock.

Catching up with a long log would be slow, or take a lot of memory. So each log has a share of the
buffer. When a log has used up its share, no more of its lines should be added, and its lines are
released as soon as they are the oldest and every other log has lines in the buffer. A log without
lines in the buffer is not waited for if none have arrived for the length of the hold-back.
"""

from __future__ import annotations

import datetime as dt
import heapq
import itertools
import math
from collections import Counter, deque
from typing import Generic, TypeVar

from aioservices.tail.budget import MOST_WAITING

__all__ = ["LatestTime", "ReorderBuffer"]

T = TypeVar("T")

# The limit of held lines, divided among the logs. Their tails do not count them any more, and may
# use the other half of what may wait for whole pages ...
_MAX_ITEMS = MOST_WAITING // 2
# ... and the minimum share of each log.
_MIN_SHARE = 100
_CLOCK_CHANGE = dt.timedelta(seconds=2)  # a bound that rises by more shows that a clock was set


class LatestTime:
    """The latest possible time by the server's clock.

    The server rounds its time down to seconds, so each bound is up to a second too late. The
    lowest bound, advanced by the time since, is close to the actual time.
    """

    def __init__(self) -> None:
        self._epoch: dt.datetime | None = None  # the lowest bound, carried back to second 0

    def observe(self, bound: dt.datetime, now: float) -> dt.datetime:
        """Record a bound, and return the lowest one.

        Parameters
        ----------
        bound : datetime
            A time that has not been reached, or is the current one.
        now : float
            Seconds of a clock that never goes back.
        """
        try:
            since = dt.timedelta(seconds=now)
            epoch = bound - since
        except OverflowError:  # near year 1: not usable
            return bound
        if self._epoch is None or epoch < self._epoch or epoch - self._epoch > _CLOCK_CHANGE:
            self._epoch = epoch
        return self._epoch + since


class ReorderBuffer(Generic[T]):
    """Holds items back while an older one may still arrive.

    Parameters
    ----------
    seconds : float
        For how long.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._heap: list[tuple[dt.datetime, int, int, T]] = []
        self._count = itertools.count()
        self._arrivals: deque[tuple[float, int]] = deque()  # of held items, and some released ones
        self._released: set[int] = set()
        self._open: set[int] = set()
        self._held: Counter[int] = Counter()
        self._last: dict[int, float] = {}  # when a log last had a line
        self._expected: dict[int, float] = {}  # until when a log is waited for

    def __len__(self) -> int:
        return len(self._heap)

    def open(self, log: int, now: float) -> None:
        """Expect items of a log."""
        self._open.add(log)
        # A log that is opened repeatedly without ever having lines is waited for once.
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
        """Add an item.

        Parameters
        ----------
        log : int
            Of which log it is.
        time : datetime
            The time to sort by; items of the same time keep the order in which they arrived.
        item : T
        now : float
            Seconds of a clock that never goes back.
        latest : datetime, optional
            The current time: a later item counts as one of now.
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
        return self._held[log] >= max(_MIN_SHARE, _MAX_ITEMS // max(1, len(self._open)))

    def wait(self, now: float) -> float:
        """Seconds until an item may go: 0 for now, infinity where there is none."""
        if not self._heap:
            return math.inf
        until = self._arrivals[0][0] + self._seconds
        if self.is_full(self._heap[0][2]):
            until = min(until, self._expecting_until(now))
        return max(0.0, until - now)

    def pop(self) -> T:
        """Release the oldest item."""
        _, number, log, item = heapq.heappop(self._heap)
        self._released.add(number)
        while self._arrivals and self._arrivals[0][1] in self._released:
            self._released.discard(self._arrivals.popleft()[1])
        self._held[log] -= 1
        if not self._held[log]:
            del self._held[log]
            if log in self._open:
                self._expected[log] = self._last[log] + self._seconds
        return item

    def _expecting_until(self, now: float) -> float:
        """Until when to wait, at least, for a log without items."""
        while self._expected:
            log, until = next(iter(self._expected.items()))
            if until > now:
                return until
            del self._expected[log]
        return now
