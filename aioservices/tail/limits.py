"""With which limit a page is asked for, and whether it is full.

Three sizes are in use: ordinary pages, which a server that is in trouble may have made small, the
limit, and ten times the limit for a range that no end can make shorter. Whether a server gives
pages as long as that shows at the first that is longer than the limit. A page of exactly the limit
may be one that ignores what it was asked for.

Pure.
"""

from __future__ import annotations

from .profile import ServerProfile
from .ranges import Answer, PageRequest, PlannedRange
from .times import LATEST, to_utc

__all__ = ["PageLimits"]

# How much larger the limit is with which an overfull range is asked for, and how large at least.
_ENLARGEMENT = 10
_LEAST_ENLARGED = 10_000
# No smaller limit is asked for, unless the server refuses it.
_SMALLEST_LIMIT = 10
# How much larger it is for a range that was sized for a page, but may have more lines.
_HEADROOM = 2
_LARGEST_LEVEL = 2


class PageLimits:
    """The limits of one scan.

    Parameters
    ----------
    profile : ServerProfile
    limit : int
        Lines that a page may have.
    page_size : int
        Lines of an ordinary page.

    Attributes
    ----------
    limit, page_size : int
        As they are used.
    honours_larger : bool
        Whether there was a page that is longer than the limit.
    is_probed : bool
        Whether the whole log was asked for to see how long pages get.
    """

    def __init__(self, profile: ServerProfile, limit: int, page_size: int) -> None:
        self.honours_larger = profile.longest > limit
        self.is_probed = False
        self._profile = profile
        self._wanted_limit = limit
        self.resize_pages(page_size)

    def resize_pages(self, size: int) -> None:
        """Use pages of another size from now on."""
        limit = self._wanted_limit
        self._wanted_size = self.page_size = min(max(1, size), limit)
        self.limit = limit
        if self.page_size == limit < _SMALLEST_LIMIT and self._profile.takes_larger_limits:
            # Ranges share lines at their ends: of a few lines hardly any would be new.
            self.limit = self.page_size = _SMALLEST_LIMIT

    @property
    def is_usual(self) -> bool:
        """Whether ordinary pages are as long as the limit."""
        return self.page_size == self.limit

    def of(self, each: PlannedRange) -> int:
        """Return the limit with which a range is to be asked for."""
        if each.is_predicted and not each.level and self.is_usual and self._profile.takes_headroom:
            return self.limit * _HEADROOM
        enlarged = max(self.limit * _ENLARGEMENT, _LEAST_ENLARGED)
        return (self.page_size, self.limit, enlarged)[each.level]

    def request(self, each: PlannedRange) -> PageRequest:
        """Return the request for a range."""
        limit, start, end = self.of(each), each.start, each.high
        is_enlarged = limit > self._wanted_size
        return PageRequest(start and to_utc(start), end and to_utc(end), limit, is_enlarged)

    def probe(self) -> PageRequest:
        """Return a request for the whole log, which shows how long pages get."""
        return self.request(PlannedRange(None, None, level=_LARGEST_LEVEL))

    def enlarge(self, each: PlannedRange) -> bool:
        """Have a range asked for with more lines; False if that cannot help."""
        if each.refused_end is not None and each.refused_end <= (each.high or LATEST):
            return False
        if each.level == 0 and not self.is_usual:
            each.level = 1
            return True
        is_ignored = self.is_probed and not self.honours_larger
        if each.level == _LARGEST_LEVEL or self._profile.cap is not None or is_ignored:
            return False
        if not self._profile.takes_larger_limits:
            return False
        each.level = _LARGEST_LEVEL
        return True

    def refuse(self, each: PlannedRange | None, limit: int) -> None:
        """Do without a limit that the server does not take."""
        is_headroom = limit == self.limit * _HEADROOM
        if is_headroom:
            self._profile.takes_headroom = False
        elif limit > self._wanted_limit:
            self._profile.takes_larger_limits = False
            self.resize_pages(self._wanted_size)
        if each is not None:
            each.refused_end = None if is_headroom else each.high or LATEST
            each.request, each.level = None, 0

    def observe(self, length: int) -> None:
        """Take note of the length of a page."""
        self._profile.record(length)
        self.honours_larger = self.honours_larger or length > self._wanted_limit

    def is_full(self, answer: Answer) -> bool:
        """Tell whether a page may lack lines because of its length."""
        length, limit = answer.length, answer.request.limit
        if length >= limit or length == self._profile.cap:
            return True
        return limit > self._wanted_limit == length and not self.honours_larger

    def may_be_cut(self, each: PlannedRange, answer: Answer) -> bool:
        """Tell whether nothing shows that an enlarged page could have been longer."""
        is_longest = self._profile.longest <= answer.length < answer.request.limit
        return is_longest and each.level == _LARGEST_LEVEL
