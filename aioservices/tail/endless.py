"""Reading a log from a server that ignores `end_at`.

Pure. Without that bound nothing proves a full page complete up to its last
line; it only is where the server keeps the oldest lines. So lines are held back
until a later page shows that it does: by older lines than could have come since
which the full page left out. Where nothing shows it, the stretch is incomplete.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left

from aioservices.api.models import TailedEntry

from .bounds import MICROSECOND, SECOND, floor
from .lines import between, created_at, lacking
from .plan import Query, Segment
from .traits import ServerTraits

__all__ = ["EndlessWalk"]

# Lines as young as this may have come between two queries: they show nothing.
_SETTLED = dt.timedelta(seconds=60)
# The part of a page that must be known line by line to show which lines a server keeps.
_PROOF = 4


class EndlessWalk:
    """The queries of one poll, by their start alone.

    Parameters
    ----------
    start : datetime or None
    traits : ServerTraits
    limit : int
        Lines that a page may have.
    horizon : datetime
        About now.
    """

    def __init__(
        self, start: dt.datetime | None, traits: ServerTraits, limit: int, horizon: dt.datetime
    ) -> None:
        self._traits = traits
        self.limit = limit
        self._settled = horizon - _SETTLED
        self._low = start  # where the next segment begins
        self._start = start and floor(start, SECOND)  # where the next page does
        self._held: list[TailedEntry] = []
        self._before: list[TailedEntry] = []  # what the last page had that this one must have too
        self._enlarged = False
        self._retried = False
        self._is_ahead = False  # whether the next page starts behind lines that are held back
        self._is_doubted = False  # whether nothing but its length says that the first page was cut
        self._over = False

    @property
    def query(self) -> Query | None:
        """What to ask next; None when the walk is over."""
        if self._over:
            return None
        limit = self._traits.enlarged(self.limit) if self._enlarged else self.limit
        return Query(self._start, None, limit)

    def feed(self, page: list[TailedEntry], *, full: bool) -> Segment | None:
        """Take in a sorted answer to `query`, or to one whose `end_at` turned out to be ignored."""
        start = self._start
        if full and not self._is_ahead:
            self._is_doubted = not self._traits.is_full(len(page), self.limit)
        if self._enlarged and self.limit < len(page) < self._traits.enlarged(self.limit):
            full = False  # no cap cut it at the usual limit; one between the two is not likely
        if start is not None:
            if not self._traits.start.learn(page, start):
                return self._skip(self._held)
            page = between(page, max(start, self._low or start), None)
        missing = lacking(page, self._before)
        if full and page:  # lines that came in the meantime may have pushed the last ones out
            missing = between(missing, None, page[-1].created_at - MICROSECOND)
        if missing:
            return self._end(sorted(self._held + missing + page, key=created_at), whole=False)
        self._learn(page)
        lines = self._held + page
        if full:
            return self._advance(lines, page)
        if self._is_ahead and not self._traits.keeps_oldest:
            if self._is_doubted:
                return self._end(lines)  # whatever was asked for has shown nothing that it lacked
            # The end of the log, or the newest page of a longer one? A larger page may tell.
            if self._retried:
                return self._end(lines, whole=False)
            self._start = self._low and floor(self._low, SECOND)
            self._held, self._before, self._is_ahead = [], [], False
            self._enlarged = self._retried = True
            return None
        return self._end(lines)

    def _learn(self, page: list[TailedEntry]) -> None:
        """See whether the last page, which was full, left out newer lines and no older ones."""
        if self._before:
            settled = between(page, None, self._settled)
            newest = self._before[-1].created_at
            ahead = bisect_left(settled, newest, key=created_at)
            if lacking(self._before, settled):
                self._is_doubted = False
            if not settled or settled[-1].created_at <= newest:
                return
            # A few lines may be there by chance, where it keeps any.
            left_out = lacking(self._before, settled[:ahead])
            if left_out or ahead >= self.limit // _PROOF:
                self._traits.keeps_oldest = not left_out

    def _advance(self, lines: list[TailedEntry], page: list[TailedEntry]) -> Segment | None:
        """Go on from the page's last second, or from its middle until the server is known."""
        times = [page[place].created_at for place in self._places(page)]
        for following in times:
            bound = floor(following, SECOND)
            if self._start is None or self._start < bound:
                return self._go_on(bound, lines)
        if not self._enlarged:
            self._enlarged, self._before = True, []
            return None
        traits = self._traits.start
        for following in times:
            if self._start and self._start < following and traits.may_try(page, following):
                return self._go_on(following, lines)
        return self._skip(lines)

    def _places(self, page: list[TailedEntry]) -> tuple[int, ...]:
        if not page:
            return ()
        return (-1,) if self._traits.keeps_oldest else (len(page) // 2, -1)

    def _go_on(self, start: dt.datetime, lines: list[TailedEntry]) -> Segment | None:
        """Ask from a bound on; what lies before it is held back until the server is known."""
        cut = bisect_left(lines, start, key=created_at)
        self._start, self._before, self._enlarged = start, lines[cut:], False
        if not self._traits.keeps_oldest:
            self._held, self._is_ahead = lines[:cut], True
            return None
        return self._close(start, lines[:cut])

    def _skip(self, lines: list[TailedEntry]) -> Segment:
        """Leave a gap up to the next second: bounds are not heeded more finely."""
        second = lines[-1].created_at if self._start is None else self._start
        landing = floor(second, SECOND) + SECOND
        self._start, self._before, self._enlarged = landing, [], False
        return self._close(landing, between(lines, None, landing), whole=False)

    def _close(self, end: dt.datetime, lines: list[TailedEntry], *, whole: bool = True) -> Segment:
        low, self._low, self._held, self._is_ahead = self._low, end, [], False
        return Segment(low, end, lines, whole)

    def _end(self, lines: list[TailedEntry], *, whole: bool = True) -> Segment:
        self._over = True
        return Segment(self._low, None, lines, whole)
