"""Reading a log from a server that ignores `end_at`.

Pure. Without that bound nothing proves a full page complete up to its last
line; it only is where the server keeps the oldest lines. So lines are held back
until a later page shows that it does: by older lines than could have come since
which the full page left out. Where nothing shows it, the stretch is incomplete.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from operator import attrgetter

from aioservices.models import LogEntry

from .bounds import MICROSECOND, created_at
from .plan import Query, Segment
from .traits import ServerTraits

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
        self._traits = traits
        self.limit = limit
        self._settled = horizon - _SETTLED
        self._low = start  # where the next segment begins
        self._start = start  # where the next page does; from there to here lines are held back
        self._held: list[LogEntry] = []
        self._before: list[LogEntry] = []  # what the last page had that this one must have too
        self._enlarged = False
        self._over = False

    @property
    def query(self) -> Query | None:
        """What to ask next; None when the walk is over."""
        if self._over:
            return None
        limit = self._traits.enlarged(self.limit) if self._enlarged else self.limit
        return Query(self._start, None, limit)

    def feed(self, page: list[LogEntry], *, full: bool) -> Segment | None:
        """Take in a sorted answer to `query`, or to one whose `end_at` turned out to be ignored."""
        if self._start is not None:
            page = page[bisect_left(page, self._start, key=created_at) :]
        held = set(map(_identity, page))
        missing = [entry for entry in self._before if _identity(entry) not in held]
        if missing:
            return self._end(sorted(self._held + missing + page, key=created_at), whole=False)
        self._learn(page)
        lines = self._held + page
        if self._enlarged:
            return self._feed_enlarged(lines, page)
        if full:
            return self._advance(lines, page) if page else self._end(lines, whole=False)
        if self._before and not self._traits.keeps_oldest:
            # The end of the log, or the newest page of a longer one? A larger page may tell.
            self._start, self._held, self._before = self._low, [], []
            self._enlarged = True
            return None
        return self._end(lines)

    def _learn(self, page: list[LogEntry]) -> None:
        """See whether the last page, which was full, left out newer lines and no older ones."""
        if self._before:
            newest = self._before[-1].created_at
            self._traits.keeps_oldest |= any(
                newest < entry.created_at < self._settled for entry in page
            )

    def _advance(self, lines: list[LogEntry], page: list[LogEntry]) -> Segment | None:
        """Go on from the page's last line, or from its middle until the server is known."""
        following = page[-1 if self._traits.keeps_oldest else len(page) // 2].created_at
        if self._start is not None and following <= self._start:
            following = page[-1].created_at
        if self._start is not None and following <= self._start:
            self._enlarged, self._before = True, []
            return None
        cut = bisect_left(lines, following, key=created_at)
        self._start, self._before = following, lines[cut:]
        if not self._traits.keeps_oldest:
            self._held = lines[:cut]
            return None
        return self._close(following, lines[:cut])

    def _feed_enlarged(self, lines: list[LogEntry], page: list[LogEntry]) -> Segment | None:
        self._enlarged = False
        start = self._start
        in_full = len(page) >= self._traits.enlarged(self.limit)
        if not in_full and len(page) > self.limit:  # it is the larger one that was short
            return self._end(lines, whole=self._traits.keeps_oldest or self._low == start)
        if start is not None and page and page[-1].created_at == start:
            # A crowded instant. What lies behind it can still be had.
            self._start, self._before = start + MICROSECOND, []
            return self._close(self._start, lines, whole=False)
        return self._advance(lines, page) if in_full else self._end(lines, whole=False)

    def _close(self, end: dt.datetime, lines: list[LogEntry], *, whole: bool = True) -> Segment:
        low, self._low, self._held = self._low, end, []
        return Segment(low, end, lines, whole)

    def _end(self, lines: list[LogEntry], *, whole: bool = True) -> Segment:
        self._over = True
        return Segment(self._low, None, lines, whole)
