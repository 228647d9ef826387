"""What was learnt of a server, from the pages that it gave."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left, bisect_right

from aioservices.api.models import TailedEntry

from .bounds import GRAINS, MICROSECOND, floor, grain, inclusive
from .lines import created_at

__all__ = ["EndTraits", "ServerTraits", "StartTraits"]

# How much larger the limit is with which a crowded second is asked for.
_ENLARGEMENT = 10
# Pages shorter than this are not suspected of being cut by a silent cap.
_SMALLEST_CAP = 10


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

    def needs(self, bound: dt.datetime | None) -> int:
        """Index of the coarsest unit to which the server may round without harm to a bound."""
        return grain(bound)

    def shown_by(self, page: list[TailedEntry], bound: dt.datetime) -> int:
        """Index of the finest unit to which the server, as a sorted page shows, does not round."""
        index = bisect_left(page, bound, key=created_at)
        if index < len(page):
            for finest in range(self.needs(bound), 0, -1):
                coarser = GRAINS[finest - 1]
                if page[index].created_at < floor(bound, coarser) + coarser:
                    return finest
        return 0

    def may_try(self, page: list[TailedEntry], bound: dt.datetime) -> bool:
        """Whether a bound is heeded, or an answer with these lines will show if it is."""
        finest = self.needs(bound)
        return finest <= self.proven or (
            finest < self.refuted and self.shown_by(page, bound) >= finest
        )

    def learn(self, page: list[TailedEntry], bound: dt.datetime) -> bool:
        """Learn from an answer; False if nothing shows that it holds all that the bound lets in."""
        finest = self.needs(bound)
        shown = self.shown_by(page, bound)
        heeded = finest <= max(shown, self.proven)
        self.proven = max(self.proven, min(shown, self.refuted - 1))
        if finest and self.has_lines_beyond(page, bound):
            self.refute(finest)  # it is heeded, but cuts nothing off
        return heeded

    def has_lines_beyond(self, page: list[TailedEntry], bound: dt.datetime) -> bool:
        """Whether a sorted page has lines that the bound excludes."""
        return bool(page) and page[0].created_at < bound

    def refute(self, finest: int) -> None:
        """Note that bounds as fine as this are of no use."""
        self.refuted = min(self.refuted, finest)
        self.proven = min(self.proven, self.refuted - 1)


class EndTraits(StartTraits):
    """How finely a server heeds `end_at`: as `StartTraits`, turned round."""

    def needs(self, bound: dt.datetime | None) -> int:
        """Index of the coarsest unit to which the server may round without harm to a bound."""
        return min(grain(bound), grain(bound and inclusive(bound)))

    def shown_by(self, page: list[TailedEntry], bound: dt.datetime) -> int:
        """Index of the finest unit to which the server, as a sorted page shows, does not round."""
        index = bisect_right(page, bound, key=created_at)
        if index:
            for finest in range(self.needs(bound), 0, -1):
                if page[index - 1].created_at > floor(inclusive(bound), GRAINS[finest - 1]):
                    return finest
        return 0

    def has_lines_beyond(self, page: list[TailedEntry], bound: dt.datetime) -> bool:
        """Whether a sorted page has lines that the bound excludes."""
        return bool(page) and page[-1].created_at > bound + MICROSECOND


class ServerTraits:
    """What was learnt of a server, for all who read logs from it.

    Attributes
    ----------
    start : StartTraits
    end : EndTraits
    finest : int
        Index in `GRAINS` of the finest times that lines were seen to have.
    cap : int or None
        The lines of a page at most, where the server proved to give fewer than it is asked for.
    ignores_end : bool
        Whether it pays no heed to `end_at`, ...
    keeps_oldest : bool
        ... and, of interest only then, whether it showed that full pages leave out newer lines.
    """

    def __init__(self) -> None:
        self.start = StartTraits()
        self.end = EndTraits()
        self.finest = 0
        self.cap: int | None = None
        self.ignores_end = False
        self.keeps_oldest = False
        self._enlarges = True  # takes a limit above the usual one
        self._record = 0  # length of the longest page

    def note_ticks(self, page: list[TailedEntry]) -> None:
        """See how finely the lines of a page are timed."""
        self.finest = max(self.finest, max((grain(entry.created_at) for entry in page), default=0))

    def is_full(self, length: int, limit: int) -> bool:
        """Judge whether a page was cut, as far as the limits are known."""
        if self.cap is not None and length > self.cap:
            self.cap = None
        return length >= min(limit, self.cap or limit)

    def growth(self, length: int) -> float:
        """How many times as long as the longest page before one is; 0 if it is none to doubt."""
        record, self._record = self._record, max(self._record, length)
        return length / max(record, 1) if length >= max(record, _SMALLEST_CAP) else 0.0

    def room(self, limit: int) -> int:
        """Lines that a page has with a limit, as far as is known."""
        return min(limit, self.cap or limit)

    def enlarged(self, limit: int) -> int:
        """The limit to ask for a crowded second with."""
        return limit * _ENLARGEMENT if self._enlarges else limit

    def refuse_enlargement(self) -> None:
        """Note that the server takes no limit above the usual one."""
        self._enlarges = False
