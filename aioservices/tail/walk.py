"""One poll as a plan of queries, each of which proves a stretch of the log complete.

Pure: the pages are handed in. Nothing is taken for granted of the server but
that a page shorter than the longest it gives is complete (the order of a page,
and which lines a full one leaves out, are unknown).

A walk goes from old to new, a window of whole seconds after the other, each sized
to bring a little less than a full page. A page that is short proves its window
complete: that is a `Segment`. A page that is full proves nothing, whatever it
holds: its window is narrowed until one is short. A single second that stays full
is read as a `DenseSecond`, and a server that ignores `end_at` by an `EndlessWalk`.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from aioservices.api.models import TailedEntry

from .bounds import MICROSECOND, SECOND, ceil, earlier, floor, inclusive
from .cap import CapSearch
from .dense import DenseSecond
from .endless import EndlessWalk
from .lines import between, created_at
from .plan import Plan, Query, Segment
from .traits import ServerTraits

__all__ = ["Walk"]

# A window may be so much longer than the one before it, ...
_GROWTH = 4
# ... and is sized to fill this part of a page at the least and at the most.
_FILL = (0.6, 0.95)


class Walk:
    """The queries of one poll, from a start to now.

    Parameters
    ----------
    start : datetime or None
        From when on the log is to be read; None is from its beginning.
    end : datetime or None
        Until when; None is open, so that lines dated ahead of the clock are seen.
    horizon : datetime
        About now: a window that would reach it is left open.
    limit : int
        Lines that a page may have.
    traits : ServerTraits
    step : timedelta, optional
        The length of the first window; default: try all of it at once.
    crowded : sequence of (datetime, datetime)
        Stretches of which an earlier walk found that they cannot be read whole.
    cap : CapSearch, optional
        What doubts pages that nothing else shows to be cut; default: one that doubts all.
    """

    def __init__(
        self,
        start: dt.datetime | None,
        end: dt.datetime | None = None,
        *,
        horizon: dt.datetime,
        limit: int,
        traits: ServerTraits,
        step: dt.timedelta | None = None,
        crowded: Sequence[tuple[dt.datetime, dt.datetime]] = (),
        cap: CapSearch | None = None,
    ) -> None:
        self.limit = limit
        self.step = step
        self.suspects = False  # whether there was a page that a cap may have cut
        self._traits = traits
        self._goal = end
        self._horizon = horizon if end is None else min(horizon, end)
        self._crowded = crowded
        self._over = False
        self._inner: Plan | None = None  # what reads a stretch that windows cannot
        self._low = start  # up to here everything was read; here the window begins
        self._end: dt.datetime | None = None  # ... and here it ends
        self._attempts = 0  # full pages of it
        self._cap = cap or CapSearch(traits)
        # Of the last full page of a window: its lines, and how many a page seems to hold.
        self._known: list[TailedEntry] = []
        self._room = traits.room(limit)
        self._keeps_oldest = True  # as far as was seen; it is a guess where to look, no more
        # Ends of windows that were too long, and how many lines of the walk lie before them.
        self._full_ends: list[tuple[dt.datetime, int]] = []
        self._read = 0  # lines of the walk before `_low`
        self._fill = 0.9  # the part of a page that a window is sized for
        self._open_window()

    @property
    def query(self) -> Query | None:
        """What to ask next; None when the walk is over."""
        if self._cap.trial is not None:
            return self._cap.trial
        if self._inner is not None:
            return self._inner.query
        if self._over:
            return None
        start = self._low and floor(self._low, SECOND)
        return Query(start, self._end and inclusive(self._end), self.limit)

    def feed(self, page: list[TailedEntry]) -> Segment | None:
        """Take in the answer to `query`.

        Parameters
        ----------
        page : list of TailedEntry
            In any order; it is sorted in place.

        Returns
        -------
        Segment or None
            What this page completes; None if its window must be narrowed first.
        """
        query = self.query
        if query is None:
            raise RuntimeError("the walk is over")
        page.sort(key=created_at)
        if self._cap.trial is not None:
            self._cap.judge(page)
            return None
        self._cap.compare(query, page)
        # One as long as usual, where a larger one was asked for, shows that there is none.
        full = self._traits.is_full(len(page), query.limit) or len(page) == self.limit
        growth = self._traits.growth(len(page))
        self._traits.note_ticks(page[:: max(1, len(page) - 1)])  # of many lines the ends will do
        is_suspect = growth > 0 and not full
        if is_suspect:
            self.suspects = True
            full = self._cap.doubts(query, page, growth=growth) or self._inner is not None
        if query.end is not None and page and page[-1].created_at > query.end + SECOND:
            self._traits.ignores_end = True
        if self._traits.ignores_end and not isinstance(self._inner, EndlessWalk):
            self._inner = EndlessWalk(self._low, self._traits, self.limit, self._horizon)
        if self._inner is not None:
            return self._feed_inner(self._inner, page, full=full)
        if not full:
            return self._complete(page, proven=not is_suspect)
        self._note_full(page)
        self._narrow(page)
        return None

    def shrink_pages(self) -> None:
        """Ask for half as many lines a page, because the last one was too large to be read."""
        self.limit = max(1, self.limit // 2)
        if self._inner is not None:
            self._inner.limit = max(1, self._inner.limit // 2)

    def refuse_enlargement(self) -> None:
        """Ask for no more lines than usual, because the server takes no larger limit."""
        self._traits.refuse_enlargement()
        if self._inner is not None:
            self._inner.limit = self.limit

    # Segments

    def _feed_inner(self, inner: Plan, page: list[TailedEntry], *, full: bool) -> Segment | None:
        segment = inner.feed(page, full=full)
        if segment is not None:
            segment = self._cut_to_walk(segment)
        if segment is not None:
            self._pass(segment)
        if inner.query is None:
            self._inner = None
            self._open_window()
        return segment

    def _complete(self, page: list[TailedEntry], *, proven: bool) -> Segment:
        """Close the window: what lies in it is all there is."""
        end = self._end
        if end is not None and page and page[-1].created_at > inclusive(end):
            # A server that lets in lines beyond the bound lets in all that are older.
            end = page[-1].created_at - MICROSECOND
        lines = between(page, self._low, end)
        segment = self._cut_to_goal(Segment(self._low, end, lines, proven=proven))
        self._resize(segment)
        self._pass(segment)
        self._open_window()
        return segment

    def _cut_to_walk(self, segment: Segment) -> Segment | None:
        """Leave out what lies before the walk's place or beyond its end."""
        low = self._low
        if low is not None and segment.start is not None and segment.start < low:
            if segment.end is not None and segment.end <= low:
                return None
            segment = segment._replace(start=low, entries=between(segment.entries, low, None))
        return self._cut_to_goal(segment)

    def _cut_to_goal(self, segment: Segment) -> Segment:
        """Leave out what lies beyond the walk's end."""
        goal, end = self._goal, segment.end
        if goal is None or (end is not None and end <= goal):
            return segment
        entries = between(segment.entries, None, goal)
        return segment._replace(end=goal, entries=entries)

    def _pass(self, segment: Segment) -> None:
        """Go on from where a segment ends."""
        lines, low = segment.entries, segment.start
        again = 0 if low is None else bisect_right(lines, low, key=created_at)
        self._read += len(lines) - (again if self._read else 0)
        self._low = segment.end
        if segment.end is None or segment.end == self._goal:
            self._over = True

    def _resize(self, segment: Segment) -> None:
        """Size the next window after what this one held."""
        change = -0.1 if self._attempts else 0.01
        self._fill = min(max(self._fill + change, _FILL[0]), _FILL[1])
        if segment.start is None or segment.end is None:
            return
        lines = len(segment.entries)
        wanted = self._fill * min(self._room, self._traits.room(self.limit))
        factor = min(_GROWTH, wanted / lines) if lines else _GROWTH**2
        self.step = max(factor * (segment.end - segment.start), SECOND)

    # Windows

    def _open_window(self) -> None:
        """Lay the next window, from where the last one ended."""
        self._attempts = 0
        if self._over or self._inner is not None:
            return
        self._end = self._first_end()
        low = self._low
        for first, last in self._crowded:
            if self._end is not None and self._end <= first:
                continue
            second = floor(first, SECOND)
            if low is None or low < second:
                self._end = second
            elif low < last:
                self._inner = self._dense(low, ceil(last, SECOND))
            else:
                continue
            return

    def _first_end(self) -> dt.datetime | None:
        """Where the next window is to end; None is now."""
        low = self._low
        while self._full_ends and low is not None:
            too_long, lines = self._full_ends[-1]
            if low < too_long and lines - self._read >= self._room / 2:
                break
            self._full_ends.pop()
        too_long = self._full_ends[-1][0] if self._full_ends else self._horizon
        if low is not None:
            ahead = between(self._known, low + MICROSECOND, None)
            if ahead and self._keeps_oldest and len(ahead) >= self._room // 2:
                end = floor(_near_end_of(ahead), SECOND)
                if low < end < too_long:
                    return end
            if self.step is not None:
                end = low + self.step
                if end >= too_long and self._full_ends:
                    end = low + (too_long - low) / 2
                end = max(floor(end, SECOND), ceil(low + MICROSECOND, SECOND))
                if end < too_long:
                    return end
        if self._full_ends:
            return too_long
        return self._goal and ceil(self._goal, SECOND)

    def _narrow(self, page: list[TailedEntry]) -> None:
        """Shorten the window, of which the page was full."""
        self._attempts += 1
        low = self._low
        newest = page[-1].created_at
        high = newest if self._end is None else min(newest, self._end)
        end = min(floor(self._target(page, high), SECOND), ceil(high, SECOND) - SECOND)
        if low is not None:
            end = max(end, floor(low, SECOND) + SECOND)
            if end >= high:
                self._inner = self._dense(low, end)
                return
        self._end = end

    def _target(self, page: list[TailedEntry], high: dt.datetime) -> dt.datetime:
        """Where a window that was too long would best end."""
        low, oldest, newest = self._low, page[0].created_at, page[-1].created_at
        if self._attempts == 1 and self._keeps_oldest:
            return _near_end_of(page)
        if low is None:
            return earlier(oldest, max(newest - oldest, SECOND) * _GROWTH ** (self._attempts - 1))
        if self._attempts == 1:
            return low + (newest - oldest) * 0.8
        return low + ((oldest if low < oldest < high else high) - low) / _GROWTH

    def _dense(self, low: dt.datetime, end: dt.datetime) -> DenseSecond:
        return DenseSecond(
            low,
            end if end <= self._horizon or self._goal is not None else None,
            limit=self.limit,
            traits=self._traits,
            crowded=self._crowded,
        )

    # What full pages tell

    def _note_full(self, page: list[TailedEntry]) -> None:
        """Remember what a full page shows."""
        self._horizon = max(self._horizon, page[-1].created_at)
        self._room = min(self.limit, len(page))
        low = self._low + MICROSECOND if self._low is not None and self._read else self._low
        lines = self._read + len(between(page, low, self._end))
        if self._end is not None:
            self._full_ends.append((self._end, lines))
        if self._known and page[0].created_at < self._known[0].created_at:
            self._keeps_oldest = False
        self._known = page


def _near_end_of(page: list[TailedEntry]) -> dt.datetime:
    """The time of a line that comes late in a page, but not last."""
    before_last = bisect_left(page, page[-1].created_at, key=created_at) - 1
    return page[max(0, min(len(page) * 9 // 10, before_last))].created_at
