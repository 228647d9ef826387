"""What a walk asks for, what it finds, and what it learns of the server."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left, bisect_right
from typing import NamedTuple

from aioservices.models import LogEntry

from .bounds import GRAINS, MICROSECOND, created_at, floor, grain

__all__ = ["ENLARGEMENT", "EndTraits", "Query", "Segment", "ServerTraits", "StartTraits"]

# How much larger the limit is with which a crowded instant is asked for once more.
ENLARGEMENT = 10
# Pages shorter than this are not suspected of being cut by a silent cap.
_SMALLEST_CAP = 10


class Query(NamedTuple):
    """What to ask the server for; both bounds are inclusive, None is open."""

    start: dt.datetime | None
    end: dt.datetime | None
    limit: int


class Segment(NamedTuple):
    """A stretch of the log that was read.

    Attributes
    ----------
    start, end : datetime or None
        Its bounds, both inclusive; None is open.
    entries : list of LogEntry
        Its lines, by time.
    complete : bool
        False if the server holds more lines than it can be made to give.
    """

    start: dt.datetime | None
    end: dt.datetime | None
    entries: list[LogEntry]
    complete: bool = True


class StartTraits:
    """How finely a server heeds `start_at`: some would leave lines out if it is no whole second.

    A line between a bound and the next multiple of a coarser unit proves that
    the server does not round the bound, or compare lines that it rounded with it.

    Attributes
    ----------
    proven : int
        Index in `GRAINS` of the finest bounds that may be relied on.
    refuted : int
        Index of the coarsest that may not, or that make no difference.
    """

    def __init__(self) -> None:
        self.proven = 0
        self.refuted = len(GRAINS)

    @property
    def unit(self) -> dt.timedelta:
        """The finest unit that may be relied on."""
        return GRAINS[self.proven]

    def shown_by(self, page: list[LogEntry], bound: dt.datetime) -> int:
        """Index of the finest unit to which the server, as a sorted page shows, does not round."""
        index = bisect_left(page, bound, key=created_at)
        if index < len(page):
            for finest in range(grain(bound), 0, -1):
                coarser = GRAINS[finest - 1]
                if page[index].created_at < floor(bound, coarser) + coarser:
                    return finest
        return 0

    def may_try(self, page: list[LogEntry], bound: dt.datetime) -> bool:
        """Whether a bound is heeded, or an answer with these lines will show if it is."""
        finest = grain(bound)
        return finest <= self.proven or (
            finest < self.refuted and self.shown_by(page, bound) >= finest
        )

    def learn(self, page: list[LogEntry], bound: dt.datetime) -> bool:
        """Learn from an answer; False if nothing shows that it holds all that the bound lets in."""
        finest = grain(bound)
        shown = self.shown_by(page, bound)
        heeded = finest <= max(shown, self.proven)
        self.proven = max(self.proven, min(shown, self.refuted - 1))
        if finest and self.has_lines_beyond(page, bound):
            self.refute(finest)  # it is heeded, but cuts nothing off
        return heeded

    def has_lines_beyond(self, page: list[LogEntry], bound: dt.datetime) -> bool:
        """Whether a sorted page has lines that the bound excludes."""
        return bool(page) and page[0].created_at < bound

    def refute(self, finest: int) -> None:
        """Note that bounds as fine as this are of no use."""
        self.refuted = min(self.refuted, finest)
        self.proven = min(self.proven, self.refuted - 1)


class EndTraits(StartTraits):
    """How finely a server heeds `end_at`: as `StartTraits`, turned round."""

    def shown_by(self, page: list[LogEntry], bound: dt.datetime) -> int:
        """Index of the finest unit to which the server, as a sorted page shows, does not round."""
        index = bisect_right(page, bound, key=created_at)
        if index:
            for finest in range(grain(bound), 0, -1):
                if page[index - 1].created_at > floor(bound, GRAINS[finest - 1]):
                    return finest
        return 0

    def has_lines_beyond(self, page: list[LogEntry], bound: dt.datetime) -> bool:
        """Whether a sorted page has lines that the bound excludes."""
        return bool(page) and page[-1].created_at > bound + MICROSECOND


class ServerTraits:
    """What was learnt of a server, for all who read logs from it."""

    def __init__(self) -> None:
        self.record = 0  # length of the longest page
        self.cap: int | None = None  # the server's own limit, where it proved to be below ours
        self.start = StartTraits()
        self.end = EndTraits()
        self.ignores_end = False
        self.keeps_oldest = False  # of interest only where end_at is ignored
        self.oldest_shown = 0  # how often a full page proved to leave out newer lines alone

    def is_full(self, length: int, limit: int) -> bool:
        """Whether a page may have been cut; learns from its length."""
        suspect = length >= max(self.record, _SMALLEST_CAP)
        self.record = max(self.record, length)
        if self.cap is not None and length > self.cap:
            self.cap = None
        return suspect or length >= min(limit, self.cap or limit)
