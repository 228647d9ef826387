"""Reading a second that holds more lines than a page.

Pure. A larger limit is tried first. Where that does not do, the second is parted
by bounds finer than itself, at the times of lines that are known to be there and
whose presence in the answer shows that the server heeds such bounds. A part that
stays full and cannot be parted any more is a gap.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from aioservices.models import LogEntry

from .bounds import GRAINS, MICROSECOND, SECOND, ceil, floor, inclusive
from .lines import between, united
from .plan import Query, Segment
from .traits import ServerTraits

__all__ = ["DenseSecond"]

# Queries without a segment after which the rest of the second is given up.
_MOST_ATTEMPTS = 60


class DenseSecond:
    """The queries for a stretch that bounds of whole seconds cannot part.

    Parameters
    ----------
    low : datetime
        Where it begins.
    end : datetime or None
        Where it ends, at the next whole second; None if that is yet to come.
    limit : int
        Lines that an ordinary page may have.
    traits : ServerTraits
    crowded : sequence of (datetime, datetime)
        Stretches of which an earlier walk found that they cannot be read whole.
    """

    def __init__(
        self,
        low: dt.datetime,
        end: dt.datetime | None,
        *,
        limit: int,
        traits: ServerTraits,
        crowded: Sequence[tuple[dt.datetime, dt.datetime]] = (),
    ) -> None:
        self.limit = traits.enlarged(limit)
        self._usual = limit
        self._traits = traits
        self._crowded = crowded
        self._low = low  # where the next segment begins
        self._done = low - MICROSECOND  # up to here every line was read
        self._known: list[LogEntry] = []  # the last full page
        self._seen: list[LogEntry] = []  # what any page had; of a gap it is all that can be given
        self._over = False
        # The window: where it starts, and the ends of those that were too long, the nearest last.
        self._start = floor(low, SECOND)
        self._goal = end
        self._ends = [end]
        self._attempts = 0
        self._is_crowded = False  # whether it is known that it cannot be read whole
        self._leaps = False  # whether it begins behind such a window, at a bound on trial
        self._avoid_crowds()

    @property
    def query(self) -> Query | None:
        """What to ask next; None when the second was read."""
        if self._over:
            return None
        end = self._ends[-1]
        return Query(self._start, end and inclusive(end), self.limit)

    def feed(self, page: list[LogEntry], *, full: bool) -> Segment | None:
        """Take in the sorted answer to `query`, which may have been cut if it is full."""
        self._attempts += 1
        start, end, traits = self._start, self._ends[-1], self._traits
        start_heeded = traits.start.learn(page, start)
        end_heeded = end is None or traits.end.learn(page, end)
        traits.note_ticks(page)
        if full:
            self._known = page
        if full or not (start_heeded and end_heeded):
            self._seen = united(page, between(self._seen, self._low, None))
        if self._leaps:
            return self._land()
        if full and (self._is_crowded or self._attempts > _MOST_ATTEMPTS):
            return self._leap()
        if full:
            return self._narrow()
        if start_heeded and end_heeded:
            return self._complete(page)
        self._retreat(start_heeded=start_heeded, end_heeded=end_heeded)
        return None

    # Windows

    def _open_window(self) -> None:
        """Lay the next window, from where the last one ended."""
        self._attempts = 0
        while self._ends and (end := self._ends[-1]) is not None and end <= self._done:
            self._ends.pop()
        if not self._ends:
            self._over = True
            return
        self._avoid_crowds()
        self._start = max(self._start, self._latest_start())

    def _avoid_crowds(self) -> None:
        """End the window before the next crowd, or where that ends."""
        self._is_crowded = False
        low, end = self._done + MICROSECOND, self._ends[-1]
        for first, last in self._crowded:
            if low < last:
                nearest = first if low < first else last
                if end is None or nearest < end:
                    self._ends.append(nearest)
                self._is_crowded = self._ends[-1] == last
                return

    def _narrow(self) -> Segment | None:
        """Shorten the window, of which a page was full."""
        end = self._nearer_end()
        if end is not None:
            self._ends.append(end)
        start = self._latest_start()
        if end is None and start <= self._start:
            start = self._next_time()
            ahead = between(self._known, None, self._ends[-1])
            if start <= self._start or not self._traits.start.may_try(ahead, start):
                return self._leap()
        self._start = max(self._start, start)
        return None

    def _nearer_end(self) -> dt.datetime | None:
        """An end that leaves half of the known lines to the next window, or all but the first."""
        last, traits = self._ends[-1], self._traits.end
        ahead = between(self._known, self._done + MICROSECOND, last)
        for entry in (ahead[len(ahead) // 2], ahead[0]) if ahead else ():
            for unit in reversed(GRAINS[: traits.refuted]):
                end = ceil(entry.created_at, unit)
                if self._done < end and (last is None or end < last):
                    return end
        return None

    def _latest_start(self) -> dt.datetime:
        """The start that leaves out most of what was read before."""
        end, traits = self._ends[-1], self._traits.start
        # One test at a time: a line that is missing must tell which of the bounds hides it.
        on_trial = self._traits.end.needs(end) > self._traits.end.proven
        page = [] if on_trial else between(self._known, None, end)
        for unit in reversed(GRAINS[: traits.refuted]):
            start = floor(self._done, unit)
            if traits.may_try(page, start):
                return start
        return self._start

    def _next_time(self) -> dt.datetime:
        """The time after the last that was read, if the clock ticks as all lines so far show."""
        tick = GRAINS[self._traits.finest]
        return floor(self._done, tick) + tick

    def _retreat(self, *, start_heeded: bool, end_heeded: bool) -> None:
        """Go back to bounds that are heeded: the page lacks lines that are known to be there."""
        traits = self._traits
        if not start_heeded:
            traits.start.refute(traits.start.needs(self._start))
            self._start = floor(self._done + MICROSECOND, traits.start.unit)
        if not end_heeded:
            traits.end.refute(traits.end.needs(self._ends[-1]))
        while len(self._ends) > 1 and traits.end.needs(self._ends[-1]) >= traits.end.refuted:
            self._ends.pop()

    # Segments

    def _complete(self, page: list[LogEntry]) -> Segment:
        """Close the window: what lies in it is all there is."""
        end = self._ends[-1]
        # With what was rounded up from before the bound: a window behind it may lack that.
        entries = between(page, self._low, end and inclusive(end))
        segment = Segment(self._low, end, entries)
        if end is None:
            self._over = True
        else:
            self._low = self._done = end
            self._open_window()
        return segment

    def _leap(self) -> Segment | None:
        """Go on behind a window that cannot be read whole, at the next bound, if it is heeded."""
        end = self._ends[-1]
        if self._is_mere_suspicion(len(self._known)):
            return self._complete(self._known)
        if end is None:
            end = max(self._done, self._known[-1].created_at)
        if self._attempts > _MOST_ATTEMPTS:
            end = ceil(end, SECOND)
        self._done = end
        behind = end if self._is_crowded else end + MICROSECOND
        return self._try_landing(ceil(behind, GRAINS[self._traits.start.refuted - 1]))

    def _is_mere_suspicion(self, length: int) -> bool:
        """Whether nothing tells that a page of this length was cut but that no other is longer."""
        return self._traits.cap is None and length < self.limit and length != self._usual

    def _try_landing(self, start: dt.datetime) -> Segment | None:
        if self._goal is not None and start >= self._goal:
            return self._skip_to(self._goal)
        self._leaps = True
        self._start = start
        while len(self._ends) > 1 and (end := self._ends[-1]) is not None and end <= start:
            self._ends.pop()
        return None

    def _land(self) -> Segment | None:
        """See from the answer how finely the start of the window was heeded."""
        traits = self._traits.start
        unit = GRAINS[min(traits.proven, traits.refuted - 1)]
        start = ceil(self._start, GRAINS[traits.refuted - 1])
        if start > self._start:
            return self._try_landing(start)
        return self._skip_to(ceil(self._start, unit))

    def _skip_to(self, landing: dt.datetime) -> Segment:
        """Leave a gap, up to where bounds are heeded again."""
        self._leaps = False
        entries = between(self._seen, self._low, landing - MICROSECOND)
        segment = Segment(self._low, landing, entries, complete=False)
        self._low, self._done, self._start = landing, landing - MICROSECOND, landing
        if self._goal is not None and landing >= self._goal:
            self._over = True
        else:
            self._open_window()
        return segment
