"""Reading a log from a server that ignores `end_at`.

Pure. Without that bound nothing proves a full page complete up to its last
line; it only is where the server keeps the oldest lines. That is held against
every next page, and where it does not hold the stretch counts as incomplete.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from operator import attrgetter

from aioservices.models import LogEntry

from .bounds import MICROSECOND, created_at
from .plan import ENLARGEMENT, Query, Segment, ServerTraits

__all__ = ["EndlessWalk"]

_identity = attrgetter("created_at", "stream", "source", "message")
# Lines as young as this may have come between two queries: they show nothing.
_SETTLED = dt.timedelta(seconds=60)


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
        self._start = start
        self._traits = traits
        self._limit = limit
        self._settled = horizon - _SETTLED
        self._enlarged = False
        self._over = False
        # The last full page: lines that the next one must hold again.
        self._before: list[LogEntry] = []
        self._before_start: dt.datetime | None = None

    @property
    def query(self) -> Query | None:
        """What to ask next; None when the walk is over."""
        if self._over:
            return None
        return Query(self._start, None, self._limit * (ENLARGEMENT if self._enlarged else 1))

    def feed(self, page: list[LogEntry], *, full: bool) -> Segment | None:
        """Take in a sorted answer to `query`, or to one whose `end_at` turned out to be ignored."""
        page = self._from_start(page)
        if not self._keeps_known(page):
            return self._end(page, whole=False)
        if self._before and page and page[-1].created_at > self._before[-1].created_at:
            beyond = page[bisect_left(page, self._before[-1].created_at, key=created_at) + 1 :]
            self._traits.keeps_oldest |= bool(beyond) and beyond[0].created_at < self._settled
        if self._enlarged:
            return self._feed_enlarged(page, full=full)
        if not full:
            if self._before and not self._traits.keeps_oldest:
                # The end of the log, or the newest page of a longer one? A larger one may tell.
                self._start, self._enlarged, self._before = self._before_start, True, []
                return None
            return self._end(page)
        if not page:
            return self._end(page, whole=False)
        return self._advance(page)

    def _advance(self, page: list[LogEntry]) -> Segment | None:
        """Go on from the page's last line, or from its middle until the server is known."""
        start = self._start
        place = -1 if self._traits.keeps_oldest else len(page) // 2
        following = page[place].created_at
        if start is not None and following <= start:
            following = page[-1].created_at
        if start is not None and following <= start:
            self._enlarged = True
            self._before = []
            return None
        self._before, self._before_start, self._start = page, start, following
        return Segment(start, following, page[: bisect_left(page, following, key=created_at)])

    def _feed_enlarged(self, page: list[LogEntry], *, full: bool) -> Segment | None:
        self._enlarged = False
        if len(page) > self._limit:
            if not full or len(page) < self._limit * ENLARGEMENT:
                return self._end(page)
            return self._advance(page)
        start = self._start
        if page and page[-1].created_at == page[0].created_at == start:
            # A crowded instant: what lies behind it can still be had.
            self._start = start + MICROSECOND
            return Segment(start, self._start, page, complete=False)
        return self._end(page, whole=False)

    def _end(self, page: list[LogEntry], *, whole: bool = True) -> Segment:
        self._over = True
        return Segment(self._start, None, page, whole)

    def _keeps_known(self, page: list[LogEntry]) -> bool:
        """Whether a page holds what the last one showed to be there."""
        held = set(map(_identity, page))
        return all(_identity(entry) in held for entry in self._from_start(self._before))

    def _from_start(self, page: list[LogEntry]) -> list[LogEntry]:
        if self._start is None:
            return page
        return page[bisect_left(page, self._start, key=created_at) :]
