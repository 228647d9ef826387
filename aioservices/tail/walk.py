"""One poll as a plan of queries, each of which proves a stretch of the log complete.

Pure: the pages are handed in. Nothing is taken for granted of the server but
that a page shorter than the longest it gives is complete (the order of a page,
and which lines a full one leaves out, are unknown).

A walk goes from old to new, a window of time after the other, each sized to
bring a little less than a full page. A page that is short proves its window
complete: that is a `Segment`. A page that is full proves nothing, whatever it
holds: its window is narrowed until one is short. A window of a single instant
cannot be narrowed; if its page stays full, the segment has a gap.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from aioservices.models import LogEntry

from .bounds import (
    GRAINS,
    MICROSECOND,
    MILLISECOND,
    SECOND,
    ceil,
    created_at,
    earlier,
    floor,
    has_line,
)
from .endless import EndlessWalk
from .plan import ENLARGEMENT, Query, Segment, ServerTraits

__all__ = ["Walk"]

# Queries without a proof after which a walk gives a window up.
_MOST_ATTEMPTS = 100
_GROWTH = 4


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
    ) -> None:
        self.step = step
        self._limit = limit
        self._traits = traits
        self._goal = end
        self._horizon = horizon if end is None else min(horizon, end)
        self._crowded = crowded
        self._start = start
        self._fill = 0.9  # the part of a full page that a window is sized for
        self._suspect: tuple[int, dt.datetime | None] | None = None  # a length, and up to where
        self._counted = 0  # lines found since, in the same stretch
        self._ceiling: dt.datetime | None = None  # up to where a page was full
        self._over = False
        self._endless: EndlessWalk | None = None
        # The window: where it ends, how fine that bound is, where it ended before that ...
        self._end: dt.datetime | None = None
        self._grain = 0
        self._wider_end: dt.datetime | None = None
        self._tests = False  # and whether its answer must hold a line that shows it honoured
        # ... how often it was asked for, and whether with a larger limit.
        self._attempts = 0
        self._enlarged = False
        self._open_window()

    @property
    def query(self) -> Query | None:
        """What to ask next; None when the walk is over."""
        if self._endless is not None:
            return self._endless.query
        if self._over:
            return None
        end = self._end
        if end is not None:
            # Where the server knows finer times than we do, a line that was rounded down to the
            # bound lies above it.
            end += MICROSECOND
        return Query(self._start, end, self._limit * (ENLARGEMENT if self._enlarged else 1))

    def feed(self, page: list[LogEntry]) -> Segment | None:
        """Take in the answer to `query`.

        Parameters
        ----------
        page : list of LogEntry
            In any order; it is sorted in place.

        Returns
        -------
        Segment or None
            What this page completes; None if its window must be narrowed first.

        Raises
        ------
        ServicesError
            If the server leaves no way to read its log whole.
        """
        query = self.query
        if query is None:
            raise RuntimeError("the walk is over")
        full = self._traits.is_full(len(page), query.limit)
        page.sort(key=created_at)
        if self._end is not None and page and page[-1].created_at > self._end + SECOND:
            self._traits.ignores_end = True
        if self._traits.ignores_end:
            if self._endless is None:
                self._endless = EndlessWalk(self._start, self._traits, self._limit, self._horizon)
            return self._endless.feed(page, full=full)
        self._attempts += 1
        if self._is_bound_in_doubt(page) and not full:
            return self._retreat(page)
        if not full or (self._enlarged and self._limit < len(page) < query.limit):
            return self._complete(page)
        if self._is_known_crowd():
            return self._complete(page, whole=False)
        if self._enlarged:
            return self._give_up(page)
        if len(page) < query.limit and self._traits.cap is None and self._suspect is None:
            self._suspect, self._counted = (len(page), self._end), 0
        if self._attempts < _MOST_ATTEMPTS and self._narrow(page):
            return None
        if len(page) < query.limit and self._traits.cap is None:
            return self._complete(page)  # a mere suspicion, with nothing left to try it on
        self._enlarged = True
        return None

    def shrink_pages(self) -> None:
        """Ask for half as many lines a page, because the last one was too large to be read."""
        self._limit = max(1, self._limit // 2)

    # Windows

    def _open_window(self) -> None:
        """Lay the next window, from where the last one ended."""
        self._attempts = 0
        self._enlarged = False
        self._grain = 0
        self._end = self._goal
        start = self._start
        if start is not None and self.step is not None:
            fine = GRAINS[self._traits.honoured] if self.step < 2 * SECOND else SECOND
            end = ceil(start + self.step, fine)
            if start < end < self._horizon:
                self._end = end
        for low, high in self._crowded:
            if start is not None and low <= start < high:
                self._end = high
            elif (start is None or start < low) and (self._end is None or low < self._end):
                self._end = low
        self._wider_end = self._end

    def _complete(self, page: list[LogEntry], *, whole: bool = True) -> Segment:
        """Close the window: what lies in it is all there is, or all that can be had."""
        start, end = self._start, self._end
        if end is not None and page and whole:
            # Bounds that the server rounds let lines beyond them in, which are complete as well.
            end = max(end, page[-1].created_at)
        low = 0 if start is None else bisect_left(page, start, key=created_at)
        high = len(page) if end is None else bisect_right(page, end, key=created_at)
        inside = page[low:high] if high - low < len(page) else page
        self._end = end
        self._settle_suspicion(inside)
        self._resize(inside)
        if end is None or (self._goal is not None and end >= self._goal):
            self._over = True
        else:
            self._start = end
            self._open_window()
        return Segment(start, end, inside, whole)

    def _give_up(self, page: list[LogEntry]) -> Segment:
        """Close a window of an instant that holds more than any page."""
        end = page[-1].created_at if self._end is None else self._end
        if self._start is not None and end <= self._start:
            end = self._start + MICROSECOND
        if self._start is not None and page[0].created_at < self._start:
            end = ceil(end, SECOND)  # the bounds are rounded: no finer window would differ
        self._end = end if self._goal is None else min(end, self._goal)
        return self._complete(page, whole=False)

    def _resize(self, inside: list[LogEntry]) -> None:
        """Size the next window after what this one held."""
        self._fill = min(0.95, self._fill + 0.01) if self._attempts == 1 else 0.8
        if self._start is None or self._end is None:
            return
        wanted = self._fill * min(self._limit, self._traits.cap or self._limit)
        if inside or self._ceiling is None or self._ceiling <= self._end:
            factor = min(_GROWTH, wanted / len(inside)) if inside else _GROWTH
            self.step = factor * (self._end - self._start)
        else:  # somewhere between here and there it is crowded
            self.step = (self._ceiling - self._end) / 2
        self.step = max(self.step, MILLISECOND)

    def _settle_suspicion(self, inside: list[LogEntry]) -> None:
        """Learn whether a page that was shorter than the limit had been cut all the same."""
        if self._suspect is None:
            return
        length, until = self._suspect
        first = 0 if self._start is None else bisect_right(inside, self._start, key=created_at)
        self._counted += len(inside) - first
        if self._counted > length:
            self._traits.cap = length
        if self._end is None or self._end == until or self._traits.cap is not None:
            self._suspect = None

    def _is_known_crowd(self) -> bool:
        start, end = self._start, self._end
        if start is None or end is None:
            return False
        return any(low <= start and end <= high for low, high in self._crowded)

    # Narrowing

    def _narrow(self, page: list[LogEntry]) -> bool:
        """End the window earlier; False if it cannot be told apart from an instant."""
        low, newest = self._start, page[-1].created_at
        if newest > page[0].created_at:
            wanted = self._fill * min(self._limit, len(page))
            self.step = (newest - page[0].created_at) / len(page) * wanted
        self._ceiling = high = newest if self._end is None else min(newest, self._end)
        target = self._target(page, low, high)
        if self._grain and self._end is not None and newest > self._end:
            self._traits.refuted = self._grain  # so fine a bound cuts nothing off
        for grain in range(self._traits.refuted):
            unit = GRAINS[grain]
            at = floor(target, unit)
            for end in (ceil(target, unit), at, at - unit):
                if (
                    (low is None or low < end)
                    and end < high
                    and self._is_testable(page, end, grain)
                ):
                    return self._set_end(page, end, grain)
        # Nothing below the newest line will do: bring the end as close to it as bounds can be.
        for grain in range(self._traits.refuted):
            end = floor(newest, GRAINS[grain]) + GRAINS[grain]
            if (low is None or low < end) and (self._end is None or end < self._end):
                return self._set_end(page, end, grain)
        return False

    def _target(
        self, page: list[LogEntry], low: dt.datetime | None, high: dt.datetime
    ) -> dt.datetime:
        """Where the window would best end."""
        if self._attempts == 1:
            target = page[len(page) // 2].created_at
        elif self._attempts == 2:
            target = page[0].created_at - MICROSECOND
        else:  # the page's own lines led nowhere: a server that keeps the newest
            target = page[len(page) // 2].created_at
            if low is None:
                span = max(high - page[0].created_at, SECOND)
                target = min(target, earlier(high, span * _GROWTH**self._attempts))
            else:
                target = min(target, low + (high - low) / _GROWTH)
        if low is not None and target <= low:
            above = bisect_right(page, low, key=created_at)
            target = page[above].created_at if above < len(page) else low + (high - low) / 2
        return target

    def _is_testable(self, page: list[LogEntry], end: dt.datetime, grain: int) -> bool:
        """Whether the answer will show if such a fine bound is honoured."""
        if grain <= self._traits.honoured:
            return True
        return has_line(page, floor(end, GRAINS[grain - 1]), end - MICROSECOND)

    def _set_end(self, page: list[LogEntry], end: dt.datetime, grain: int) -> bool:
        if self._grain <= self._traits.honoured:
            self._wider_end = self._end
        self._end = end
        self._grain = grain if end != floor(end, SECOND) else 0
        self._tests = grain > 0 and has_line(page, floor(end, GRAINS[grain - 1]), end)
        return True

    def _is_bound_in_doubt(self, page: list[LogEntry]) -> bool:
        """Whether a bound finer than any before may have been rounded down.

        A server that cuts `end_at` to a coarser unit leaves out every line of
        the last one: a single line there is the proof that it does not.
        """
        if self._end is None or self._grain <= self._traits.honoured:
            return False
        if has_line(page, floor(self._end, GRAINS[self._grain - 1]), self._end):
            self._traits.honoured = self._grain
            return False
        return True

    def _retreat(self, page: list[LogEntry]) -> Segment | None:
        """Make do with the coarser bound that is surely honoured."""
        end = self._end and floor(self._end, GRAINS[self._grain - 1])
        if end is not None and (self._start is None or self._start < end):
            if self._tests:  # a line that was there is missing
                self._traits.refuted = self._grain
            self._end = end
            return self._complete(page)
        self._traits.refuted = self._grain
        self._end, self._grain, self._enlarged = self._wider_end, 0, False
        return None
