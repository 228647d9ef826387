"""Lines of a page in the order of their time, with what is needed to cut and compare them."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left, bisect_right
from collections import Counter
from itertools import compress, count, islice
from operator import attrgetter, eq, ge, length_hint
from typing import NamedTuple

from aioservices.api.models import TailedEntry

from .times import EARLIEST, LATEST

__all__ = ["NO_LINES", "Lines", "merge_max", "missing_from_range", "sort_lines"]

_created_at = attrgetter("created_at")
# So many are found one by one.
_FEW_TIES = 200


class Lines(NamedTuple):
    """Entries in the order of their time.

    Attributes
    ----------
    entries : list of TailedEntry
    times : list of datetime
        That of each entry, or the earliest or the latest there is in UTC, if it lies beyond.
    ties : list of int
        The places of the entries that have the same time as the next one: only there can
        there be copies of a line.
    """

    entries: list[TailedEntry]
    times: list[dt.datetime]
    ties: list[int]

    def between(self, low: dt.datetime | None, high: dt.datetime | None) -> Lines:
        """Return the lines from one time (inclusive) to another one (exclusive)."""
        times = self.times
        if not times:
            return self
        first = 0 if low is None else bisect_left(times, low)
        last = len(times) if high is None else bisect_left(times, high)
        return self.cut(first, last)

    def up_to(self, last: dt.datetime) -> Lines:
        """Return the lines up to a time (inclusive), which may be the last that there is."""
        return self.cut(0, bisect_right(self.times, last))

    def has_time(self, time: dt.datetime) -> bool:
        """Whether some line has exactly that time."""
        place = bisect_left(self.times, time)
        return place < len(self.times) and self.times[place] == time

    def cut(self, first: int, last: int) -> Lines:
        """Return the lines from one place to another one."""
        if first <= 0 and last >= len(self.times):
            return self
        if first >= last:
            return NO_LINES
        ties = self.ties
        if ties:
            low, high = bisect_left(ties, first), bisect_left(ties, last - 1)
            ties = [place - first for place in ties[low:high]]
        return Lines(self.entries[first:last], self.times[first:last], ties)


NO_LINES = Lines([], [], [])


def sort_lines(page: list[TailedEntry]) -> Lines:
    """Put the lines of a page, which may be in any order, into that of their time."""
    if not page:
        return NO_LINES
    times = [entry.created_at for entry in page]
    ties = _find_ties(times)
    if ties is None:
        return sort_lines(sorted(page, key=_created_at))
    if times[0] < EARLIEST or times[-1] > LATEST:  # in UTC; nothing can lie beyond
        times = [min(max(time, EARLIEST), LATEST) for time in times]
        ties = _all_ties(times)
    return Lines(page, times, ties)


def _find_ties(times: list[dt.datetime]) -> list[int] | None:
    """Return the places of the times that are the same as the next one; None: they do not rise.

    Mostly there are none, or a few, and to pass over the others is all that takes time.
    """
    ties: list[int] = []
    earlier = iter(times)
    are_late = map(ge, earlier, islice(times, 1, None))
    while any(are_late):
        place = len(times) - length_hint(earlier) - 1
        if times[place] > times[place + 1]:
            return None
        ties.append(place)
        if len(ties) > _FEW_TIES:
            return _all_ties(times) if sorted(times) == times else None
    return ties


def _all_ties(times: list[dt.datetime]) -> list[int]:
    return list(compress(count(), map(eq, times, islice(times, 1, None))))


def _missing_from(page: list[TailedEntry], known: list[TailedEntry]) -> list[TailedEntry]:
    """Return the known lines that a page lacks; copies are counted."""
    if not known or page == known:  # pages of one log mostly agree, and this is quickly seen
        return []
    there = Counter(page)
    lines: list[TailedEntry] = []
    for entry in known:
        if there[entry] > 0:
            there[entry] -= 1
        else:
            lines.append(entry)
    return lines


def missing_from_range(page: Lines, known: Lines) -> list[TailedEntry]:
    """Return the known lines of a range that a page lacks, by time; copies are counted."""
    if not known.times:
        return []
    page = page.between(known.times[0], None).up_to(known.times[-1])
    return _missing_from(page.entries, known.entries)


def merge_max(lines: Lines, other: Lines) -> Lines:
    """Return the lines of two answers: of copies as many as are in the one that has more."""
    if not lines.entries or not other.entries:
        return lines if lines.entries else other
    missing = _missing_from(lines.entries, other.entries)
    if not missing:
        return lines
    return sort_lines(sorted(lines.entries + missing, key=_created_at))
