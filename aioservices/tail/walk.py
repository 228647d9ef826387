"""One poll as a plan of queries, each of which proves a stretch of the log complete.

Pure: the pages are handed in. Nothing is taken for granted of the server but
that a page shorter than the longest it gives is complete (the order of a page,
and which lines a full one leaves out, are unknown).

A walk goes from old to new, a window of time after the other, each sized to
bring a little less than a full page. A page that is short proves its window
complete: that is a `Segment`. A page that is full proves nothing, whatever it
holds: its window is narrowed until one is short. What cannot be narrowed and
stays full is a segment with a gap.

Bounds are whole seconds where these will do. Finer ones are used where lines
that are known to be there will show in the answer whether they are heeded.
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
    between,
    ceil,
    created_at,
    earlier,
    floor,
    grain,
)
from .endless import EndlessWalk
from .plan import ENLARGEMENT, Query, Segment, ServerTraits

__all__ = ["Walk"]

# Lines as young as this may have come between two queries: they show nothing.
SETTLED = dt.timedelta(seconds=120)
# So many full pages must have left out newer lines alone before one is relied on ...
PROOFS = 3
NEVER = -1_000_000
# ... which is worth it only for pages of this length.
WORTHWHILE = 1_000
# Queries without a proof after which a window is given up.
_MOST_ATTEMPTS = 60
# Tiny windows in a row after which the server's rounding is taken to leave no other way.
_MOST_CREEPS = 20
# A window may be so much longer than the one before it.
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
        self._room = limit  # lines that a page seems to hold
        self._fill = 0.9  # the part of them that a window is sized for
        self._traits = traits
        self._goal = end
        self._horizon = horizon if end is None else min(horizon, end)
        self._crowded = crowded
        self._keeps_oldest = True  # as far as was seen; it is a guess where to look, no more
        self._over = False
        self._endless: EndlessWalk | None = None
        # Up to `_done` everything was read; the next segment begins at `_low`.
        self._low = start
        self._done = start and earlier(start, MICROSECOND)
        self._is_sparse = False  # whether the last segment held few lines
        self._delivered = 0
        self._creeps = 0  # tiny segments in a row, with hardly a line in them
        # Ends up to which pages were full, and of how many lines in all this told.
        self._full_ends: list[tuple[dt.datetime, int]] = []
        # The window, ...
        self._start = start and floor(start, traits.start.unit)
        self._end: dt.datetime | None = None
        # ... how often it was asked for, the last answer, whether it had a larger limit, ...
        self._attempts = 0
        self._known: list[LogEntry] = []
        self._enlarged = False
        self._is_crowded = False  # ... whether it is known that it cannot be read whole, ...
        self._leapt = False  # ... and whether it begins behind such a window, at whatever bound.
        # Whether the window is a stride, and how many lines before it a stride has to show again.
        self._strides = False
        self._reread: int | None = None
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
        page.sort(key=created_at)
        full = self._traits.is_full(len(page), query.limit)
        if self._enlarged and self._limit < len(page) < query.limit:
            full = False
        if self._end is not None and page and page[-1].created_at > self._end + SECOND:
            self._traits.ignores_end = True
        if self._traits.ignores_end:
            if self._endless is None:
                self._endless = EndlessWalk(self._start, self._traits, self._limit, self._horizon)
            return self._endless.feed(page, full=full)
        if self._strides:
            return self._feed_stride(page, full=full)
        self._attempts += 1
        if self._attempts > _MOST_ATTEMPTS or (full and self._creeps > _MOST_CREEPS):
            if full and len(page) < self._limit and self._traits.cap is None:
                return self._complete(page)  # a mere suspicion
            if self._enlarged or not full:
                return self._give_up(page)
            self._enlarged = True
            return None
        self._detect_cap(page)
        traits = self._traits
        start_heeded = self._start is None or traits.start.learn(page, self._start) or full
        end_heeded = self._end is None or traits.end.learn(page, self._end) or full
        if self._leapt and (not start_heeded or grain(self._start) >= traits.start.refuted):
            return self._skip(page)
        if not (start_heeded and end_heeded):
            return self._retreat(start_heeded, end_heeded)
        if not full:
            return self._complete(page)
        self._room = min(self._limit, len(page))
        if self._is_crowded or self._enlarged:
            return self._give_up(page)
        if self._end is not None:
            ahead = len(between(page, self._done and self._done + MICROSECOND, self._end))
            self._full_ends.append((self._end, self._delivered + ahead))
        if self._known and page[0].created_at < self._known[0].created_at:
            self._keeps_oldest = False
        self._known = page
        return self._narrow()

    def shrink_pages(self) -> None:
        """Ask for half as many lines a page, because the last one was too large to be read."""
        self._limit = max(1, self._limit // 2)
        self._room = min(self._room, self._limit)

    # Windows

    def _open_window(self) -> None:
        """Lay the next window, from where the last one ended."""
        self._attempts = 0
        self._enlarged = self._is_crowded = False
        self._strides = False
        if self._is_worth_striding() and self._traits.oldest_shown > 0:
            # A stride; or a page to be had full and then narrowed, which shows if strides will do.
            self._strides = self._traits.oldest_shown >= PROOFS
            self._end = None
            return
        done, unit = self._done, self._traits.end.unit
        while self._full_ends and done is not None:
            full_end, lines = self._full_ends[-1]
            if done < full_end and lines - self._delivered >= self._room / 2:
                break
            self._full_ends.pop()
        self._end = self._full_ends[-1][0] if self._full_ends else None
        end: dt.datetime | None
        if done is not None and self.step is not None:
            end = ceil(done + self.step, unit if self.step < 2 * SECOND else SECOND)
            if self._end is not None and end >= self._end and self._is_sparse:
                end = floor(done + (self._end - done) / 2, unit)
            if done < end < self._horizon and (self._end is None or end < self._end):
                self._end = end
        if self._keeps_oldest and (end := self._familiar_end()) is not None:
            self._end = end
        if self._end is None and self._goal is not None:
            self._end = ceil(self._goal, SECOND)
        for low, high in self._crowded:
            if self._end is not None and self._end <= low:
                continue
            before = floor(low, unit)
            if done is None or done < before:
                self._end = before
            elif done < high:
                self._end, self._is_crowded = ceil(high, unit), True

    def _complete(self, page: list[LogEntry]) -> Segment:
        """Close the window: what lies in it is all there is."""
        end = self._end
        self._note_what_is_kept(page)
        if end is not None and page and page[-1].created_at > end + MICROSECOND:
            # Bounds that the server rounds let in lines beyond them: to the end of their unit.
            unit = SECOND if page[-1].created_at >= end + MILLISECOND else MILLISECOND
            end = floor(page[-1].created_at - MICROSECOND, unit) + unit - MICROSECOND
        return self._close(page, end, complete=True)

    def _give_up(self, page: list[LogEntry]) -> Segment:
        """Close the window with a gap: what can be had of it is not all there is."""
        done, end = self._done, self._end
        if not page:
            return self._close(page, end, complete=False)
        if end is None or (done is not None and end <= done):
            end = page[-1].created_at if done is None else max(page[-1].created_at, done)
        unit = GRAINS[self._traits.start.refuted - 1]
        following = ceil(end if self._is_crowded else end + MICROSECOND, unit)
        if done is not None and following - MICROSECOND <= done:
            following = ceil(done + 2 * MICROSECOND, unit)
        return self._close(page, following, complete=False)

    def _close(self, page: list[LogEntry], end: dt.datetime | None, *, complete: bool) -> Segment:
        start = self._low
        if self._goal is not None and end is not None:
            end = min(end, self._goal)
        inside = between(page, start, end)
        self._delivered += len(inside)
        creeps = len(inside) <= 1 and start is not None and end is not None and end - start < SECOND
        self._creeps = self._creeps + 1 if creeps and complete else 0
        self._resize(inside, end)
        self._reread = None
        if end is None or end == self._goal:
            self._over = True
        else:
            self._low = end
            if complete:
                self._done, self._start = end, self._start_after(end)
            else:
                self._done, self._start = end - MICROSECOND, end
            self._leapt = not complete and grain(end) > self._traits.start.proven
            self._open_window()
            if not self._leapt:
                self._start = self._later_start(self._end) or self._start
        return Segment(start, end, inside, complete)

    def _start_after(self, done: dt.datetime) -> dt.datetime:
        following = done + MICROSECOND
        if floor(following, SECOND) == following:
            return following
        return floor(done, self._traits.start.unit)

    def _resize(self, inside: list[LogEntry], end: dt.datetime | None) -> None:
        """Size the next window after what this one held."""
        if self._attempts == 1:
            self._fill = min(0.95, self._fill + 0.01)
        else:
            self._fill = max(0.6, self._fill - 0.1)
        if self._done is None or end is None:
            return
        wanted = self._fill * min(self._room, self._traits.cap or self._room)
        factor = min(_GROWTH, wanted / len(inside)) if inside else _GROWTH**2
        self._is_sparse = factor >= _GROWTH
        self.step = max(factor * (end - self._done), MILLISECOND)

    # Bounds

    def _retreat(self, start_heeded: bool, end_heeded: bool) -> Segment | None:
        """Go back to bounds that are heeded: the page lacks lines that are known to be there."""
        if not start_heeded and self._done is not None:
            self._traits.start.refute(grain(self._start))
            self._start = self._start_after(self._done)
        if not end_heeded:
            self._traits.end.refute(grain(self._end))
        while self._full_ends and grain(self._full_ends[-1][0]) >= self._traits.end.refuted:
            self._full_ends.pop()
        self._end = self._full_ends[-1][0] if self._full_ends else None
        return self._narrow()

    def _skip(self, page: list[LogEntry]) -> Segment:
        """Leave out what lies between a crowded instant and the next bound that is heeded."""
        unit = GRAINS[min(grain(self._start), self._traits.start.refuted) - 1]
        end = None if self._start is None else ceil(self._start, unit)
        return self._close(page, end, complete=False)

    def _detect_cap(self, page: list[LogEntry]) -> None:
        """Learn whether the last page, if it was shorter than the limit, had been cut."""
        if len(page) <= len(self._known) < self._limit:  # a longer one shows that it had not
            # Lines as young as that may have come since.
            end = self._horizon - SETTLED if self._end is None else self._end
            end = min(end, self._horizon - SETTLED)
            if len(between(page, self._start, end)) > len(between(self._known, self._start, end)):
                self._traits.cap = len(self._known)

    # Strides: full pages of a server that has shown which lines it leaves out of them

    def _is_worth_striding(self) -> bool:
        """Whether pages as full as they get would be a gain, if they could be relied on."""
        return (
            self._limit >= WORTHWHILE
            and self._goal is None
            and not self._crowded
            and self._done is not None
            and self._done < self._horizon - SETTLED
        )

    def _feed_stride(self, page: list[LogEntry], *, full: bool) -> Segment | None:
        """Take in a page without an end: complete up to its last line, or not to be relied on."""
        done = self._done
        again = 0 if done is None else bisect_right(page, done, key=created_at)
        if self._reread is not None and again < self._reread:
            self._traits.oldest_shown = NEVER
        if not full and self._traits.oldest_shown >= PROOFS:
            return self._close(page, None, complete=True)
        last = page[-1].created_at - MICROSECOND if page else done
        if self._traits.oldest_shown < PROOFS or last is None or (done and last <= done):
            self._traits.oldest_shown = min(self._traits.oldest_shown, 0)
            self._open_window()
            return None
        segment = self._close(page, last, complete=True)
        self._reread = len(between(page, self._start, last))
        return segment

    def _note_what_is_kept(self, page: list[LogEntry]) -> None:
        """See whether the full page before had all of what now proves to be the older part."""
        if self._attempts < 2 or self._end is None or len(self._known) < self._limit:
            return
        before = len(between(self._known, self._start, self._end))
        if before != len(between(page, self._start, self._end)):
            self._traits.oldest_shown = NEVER
        elif before >= len(self._known) // 2:  # fewer would show little
            self._traits.oldest_shown += 1

    # Narrowing

    def _narrow(self) -> Segment | None:
        """Shorten the window, of which the last page was full."""
        page = self._known
        high = page[-1].created_at if self._end is None else min(page[-1].created_at, self._end)
        end = self._earlier_end(high) or self._tight_end(high)
        start = self._later_start(end or self._end)
        if start is not None or end is not None:
            self._end = end or self._end
            self._start = start or self._start
        elif len(page) >= self._limit:
            self._enlarged = True
        elif self._traits.cap is not None:
            return self._give_up(page)
        else:
            return self._complete(page)  # a mere suspicion, with nothing left to try it on
        return None

    def _familiar_end(self) -> dt.datetime | None:
        """Where the window might end if the last full page left out newer lines only."""
        ahead = self._ahead()
        if len(ahead) < self._room // 2:
            return None
        return self._best_end(_near_end_of(ahead), ahead[-1].created_at)

    def _ahead(self) -> list[LogEntry]:
        """The known lines that were not delivered."""
        return between(self._known, self._done and self._done + MICROSECOND, None)

    def _earlier_end(self, high: dt.datetime) -> dt.datetime | None:
        """Where the window might end below a time that it is too long with."""
        nearest = [entry.created_at for entry in self._ahead()[:1]]
        for target in (self._target(high), *nearest):
            end = self._best_end(target, high)
            if end is not None:
                return end
        return None

    def _best_end(self, target: dt.datetime, high: dt.datetime) -> dt.datetime | None:
        """The coarsest bound that leaves no large part of what lies before a time to the next."""
        done, known, traits = self._done, self._ahead(), self._traits.end
        wanted = bisect_right(known, target, key=created_at)
        found = None
        for unit in GRAINS[: traits.refuted]:
            at = floor(target, unit)
            for end in (at, at + unit):
                if (done is None or done < end) and end < high and traits.may_try(known, end):
                    found = found or end
                    if bisect_right(known, at, key=created_at) * 2 >= wanted:
                        return end
        return found

    def _target(self, high: dt.datetime) -> dt.datetime:
        """Where the window would best end."""
        page, done = self._known, self._done
        oldest, newest = page[0].created_at, page[-1].created_at
        if self._attempts == 1 and self._keeps_oldest:
            return _near_end_of(page)
        if done is None:
            return earlier(oldest, max(newest - oldest, SECOND) * _GROWTH ** (self._attempts - 1))
        if self._attempts == 1:
            return done + (newest - oldest) * 0.8
        return done + ((oldest if done < oldest < high else high) - done) / _GROWTH

    def _tight_end(self, high: dt.datetime) -> dt.datetime | None:
        """The end nearest to a time below which nothing will do."""
        for unit in reversed(GRAINS[: self._traits.end.refuted]):
            end = ceil(high, unit)
            if (
                (self._done is None or self._done < end)
                and (self._end is None or end < self._end)
                and self._traits.end.may_try(self._known, end)
            ):
                return end
        return None

    def _later_start(self, end: dt.datetime | None) -> dt.datetime | None:
        """A start that leaves out more of what was read before."""
        if self._done is None or self._start is None:
            return None
        traits = self._traits.start
        if end is not None and grain(end) > self._traits.end.proven:
            page = []  # one test at a time: a line that is missing must tell which bound hides it
        else:
            page = between(self._known, None, end)
        for unit in reversed(GRAINS[: traits.refuted]):
            start = floor(self._done, unit)
            if self._start < start and traits.may_try(page, start):
                return start
        return None


def _near_end_of(page: list[LogEntry]) -> dt.datetime:
    """The time of a line that comes late in a page, but not last."""
    before_last = bisect_left(page, page[-1].created_at, key=created_at) - 1
    return page[max(0, min(len(page) * 9 // 10, before_last))].created_at
