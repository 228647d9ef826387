"""One scan: the requests that read a log from some time to now, and what proves it complete.

Theory of operation
-------------------
A request has two bounds, both inclusive, and a limit. It is known that a page shorter than its
limit was cut by nothing but the bounds (A4), and that bounds of whole seconds are honoured (A3).
It is not known how the server rounds finer bounds, or its lines' times before it compares them,
whether it keeps times finer than it shows them, in which order lines come, and which of them a
full page leaves out. Nothing of that is calibrated, because of two facts:

1. However times are rounded, rounding keeps their order. A server that lets a line pass a start
   lets all newer ones pass; one that lets it pass an end, all older ones. So a short page holds
   every line *between its oldest and its newest*, whatever its bounds were meant to say. Up to
   its newest line a range is complete, or up to the last whole second before its end, if that is
   later.
2. The next range begins at that newest line. If its page holds the line too, the two pages
   overlap, and nothing is missing between them. If it lacks the line, its start was rounded up.

Hence the one rule: **a range is complete if its page is short and holds every line that any page
of this scan showed in that range.** A line that is missing tells which bound did harm; that bound
is rounded outward, in the end to the whole second, and the page is asked for again. Lines that are
shown to the second but kept finer are the same case: a page that showed more of them is the
witness. For example, lines at 1.2, 1.4 and 1.6 s, a limit of 3, and a server that rounds ends down
to seconds: the page from 1 on is full and shows all three. Its range is narrowed to end at 1.4;
that page is empty and lacks the line at 1.2, so the end becomes 2. That is full again, and cannot
be narrowed: a larger limit is tried.

A full page proves nothing, but its lines are known from then on, and its range is narrowed, mostly
to end at one of them. Which one is a matter of cost alone: most servers keep the oldest lines of a
full page. What cannot be narrowed is asked for with larger limits. Where these do not help there is
a gap; the scan goes on behind it at the next line that it knows, or at the first line that a page
from a later bound shows.

A server may silently give fewer lines than it is asked for. A page as long as the longest so far
is read again in parts, once, before anything rests on it: more lines in the parts show the cap.

Ranges go from old to new. Each is sized by the density of the last one to fill most of a page. The
last one is open, so that lines dated ahead of the clock are seen, and "now" moves on with each
answer. Ranges that begin at a whole second can be asked for ahead, and pages may come in any order.
"""

from __future__ import annotations

import datetime as dt
import math
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from aioservices.api.models import TailedEntry

from .lines import NO_LINES, Lines, merge_max, missing_from_range, sort_lines
from .times import (
    LATEST,
    MICROSECOND,
    MILLISECOND,
    SECOND,
    add,
    ceil,
    floor,
    next_second,
    to_utc,
)

__all__ = ["Gap", "PageRequest", "RangeScan", "ScannedRange", "ServerProfile", "Sketch"]

# How much larger the limit is with which an overfull range is asked for, and how large at least.
_ENLARGEMENT = 10
_LEAST_ENLARGED = 10_000
# No smaller limit is asked for, unless the server refuses it.
_SMALLEST_LIMIT = 10
# How much larger it is for a range that was sized for a page, but may have more lines.
_HEADROOM = 2
# Pages shorter than this are not suspected of being cut by a silent cap.
_SMALLEST_CAP = 10
# A page that is so many times as long as the longest before it did not just grow.
_SURGE = 1.25
# Requests without progress after which the rest of a second is a gap, ...
_MOST_ATTEMPTS = 40
# ... gaps within one second that have the same effect, ...
_MOST_STOPS = 5
# ... and how often a page is repeated that contradicts an earlier one, as of a replica behind it.
_MOST_REPEATS = 3
# Lines of full pages that are remembered at least.
_MOST_KNOWN = 2_000
# The part of a page that a range is sized to fill, at the least, at first and at the most.
_LEAST_FILL, _FIRST_FILL, _MOST_FILL = 0.5, 0.85, 0.92
# Ranges at least this long end at whole seconds.
_LONG = dt.timedelta(seconds=20)
# How a start is rounded down, and how much earlier it is, from what no rounding can do harm to. (A
# time that is rounded to the nearest when it is shown may have been earlier in truth.)
_STARTS = (
    (SECOND, SECOND),
    (SECOND, dt.timedelta(0)),
    (MILLISECOND, MILLISECOND),
    (MILLISECOND, dt.timedelta(0)),
    (MICROSECOND, dt.timedelta(0)),
)
# A server that gives lines so much later than a whole-second end ignores it.
_IGNORED = dt.timedelta(seconds=2)


class PageRequest(NamedTuple):
    """A page to ask the server for.

    Attributes
    ----------
    start, end : datetime or None
        Both inclusive; None is open.
    limit : int
        Lines at most.
    enlarged : bool
        Whether the limit is larger than that of ordinary pages.
    """

    start: dt.datetime | None
    end: dt.datetime | None
    limit: int
    enlarged: bool = False


class ScannedRange(NamedTuple):
    """A range that was read.

    Attributes
    ----------
    start, end : datetime or None
        From when (inclusive) to when (exclusive); None is open.
    lines : Lines
    asked_at : datetime or None
        The server's time when its page was asked for, as far as that is known.
    is_complete : bool
        False if the server holds more lines than it can be made to give.
    is_proven : bool
        False if its lines are all there is unless the server has a cap that is not known yet.
    request : PageRequest or None
        What the page was asked for that holds its lines; None of a gap.
    """

    start: dt.datetime | None
    end: dt.datetime | None
    lines: Lines
    asked_at: dt.datetime | None
    is_complete: bool = True
    is_proven: bool = True
    request: PageRequest | None = None


class Gap(NamedTuple):
    """What an earlier scan could not read whole.

    Attributes
    ----------
    start, end : datetime
        Whole seconds.
    resumes_at : datetime or None
        The bound from which lines could be read again.
    """

    start: dt.datetime
    end: dt.datetime
    resumes_at: dt.datetime | None


class Sketch(NamedTuple):
    """What tells a page from another one."""

    length: int
    oldest: dt.datetime
    newest: dt.datetime


class ServerProfile:
    """What pages showed of a server, for all scans of a session. It saves requests, no more.

    Attributes
    ----------
    longest : int
        Lines of the longest page.
    cap : int or None
        Lines of a page at most, where the server gave fewer than it was asked for.
    takes_larger_limits : bool
        False once it refused a limit above the ordinary one.
    takes_headroom : bool
        Whether a range may be asked for with twice the limit, in case that it has more lines than
        was expected.
    keeps_oldest : bool
        Whether full pages seem to keep the oldest lines.
    rounds_ends : bool
        Whether an end finer than the second was of no use.
    ignores_end : bool
        Whether it gave lines that are later than the end: its full pages leave gaps.
    """

    def __init__(self) -> None:
        self.longest = 0
        self.cap: int | None = None
        self.takes_larger_limits = True
        self.takes_headroom = True
        self.keeps_oldest = True
        self.rounds_ends = False
        self.ignores_end = False

    def page_size(self, limit: int) -> int:
        """Return how many lines a page has at most, as far as is known."""
        return min(limit, self.cap or limit)

    def record(self, length: int) -> None:
        """Take note of the length of a page."""
        self.longest = max(self.longest, length)
        if self.cap is not None and length > self.cap:
            self.cap = None


@dataclass(slots=True, eq=False)
class _Range:
    """From `low` (inclusive) to `high` (exclusive); None is open.

    Attributes
    ----------
    precision : int
        Index in `_STARTS` of how far before `low` it is asked from.
    finest : int
        The largest `precision` that does no harm, as far as is known.
    level : int
        0: asked for with pages of the ordinary size, 1: with the limit, 2: with more.
    is_sized : bool
        Whether its end was chosen, and not only left over, ...
    is_predicted : bool
        ... from how many lines were expected.
    is_refused : bool
        Whether more lines than usual cannot be had.
    is_coarse : bool
        Whether ends finer than the second were of no use.
    too_long : datetime or None
        The last end with which its page was full.
    resumes_at : datetime or None
        A bound behind what cannot be read: what it shows decides where the gap ends that begins
        at `low`.
    request : PageRequest or None
        What was asked, until the page was resolved.
    length : int
        Lines of the page, of which some may have no time.
    ends_untimed : bool
        Whether its newest lines have none.
    """

    low: dt.datetime | None
    high: dt.datetime | None
    precision: int = 3
    finest: int = 4
    level: int = 0
    repeats: int = 0
    is_sized: bool = False
    is_predicted: bool = False
    is_refused: bool = False
    is_coarse: bool = False
    too_long: dt.datetime | None = None
    resumes_at: dt.datetime | None = None
    request: PageRequest | None = None
    page: Lines | None = None
    length: int = 0
    ends_untimed: bool = False
    asked_at: dt.datetime | None = None


@dataclass(slots=True)
class _Recheck:
    """A page that a cap may have cut, and whose range is read again in parts.

    Attributes
    ----------
    settled : datetime
        Lines older than this could be seen when the page was asked for.
    count : int
        Lines in the parts.
    due : int
        Those among them that the page must have had.
    is_doubtful : bool
        Whether a part cannot be told from one that was cut.
    """

    low: dt.datetime | None
    high: dt.datetime | None
    page: Lines
    length: int
    settled: dt.datetime
    count: int = 0
    due: int = 0
    is_doubtful: bool = False

    @property
    def newest(self) -> dt.datetime:
        """The time of the newest line of the page."""
        return self.page.times[-1]

    def due_among(self, lines: Lines) -> int:
        """Return how many of some lines the page must have had, if it had all."""
        last = max(add(self.newest, MICROSECOND), self.settled)
        return len(lines.between(None, last).times)


class RangeScan:
    """The requests of one poll, from a start to now.

    Parameters
    ----------
    start : datetime or None
        From when on the log is to be read (from its whole second); None is from its beginning.
    end : datetime or None
        Lines after this time are not of interest; None: all are.
    now : datetime
        The server's time, about.
    profile : ServerProfile
    limit : int
        Lines that a page may have.
    page_size : int, optional
        Lines of an ordinary page. Default: the limit.
    overlap : timedelta
        How long after its time a line can be seen at the latest.
    density : float, optional
        Lines a second that are expected.
    gaps : sequence of Gap
        What earlier scans could not read.
    settled : datetime, optional
        A page as long as the longest is read again in parts if it has lines older than this;
        None: in any case.
    cleared : Sketch, optional
        `cleared` of an earlier scan.

    Attributes
    ----------
    density : float or None
        Lines a second, as the last range showed it.
    cleared : Sketch or None
        The last page as long as the longest that turned out to be complete.
    requests : int
        Pages that were taken in.
    """

    def __init__(
        self,
        start: dt.datetime | None,
        end: dt.datetime | None = None,
        *,
        now: dt.datetime,
        profile: ServerProfile,
        limit: int,
        page_size: int | None = None,
        overlap: dt.timedelta = dt.timedelta(0),
        density: float | None = None,
        gaps: Sequence[Gap] = (),
        settled: dt.datetime | None = None,
        cleared: Sketch | None = None,
    ) -> None:
        self.density = density
        self.cleared = cleared
        self.requests = 0
        self._now = now
        self._goal = end
        self._profile = profile
        self._wanted_limit = limit
        self.resize_pages(page_size or limit)
        self._overlap = overlap
        self._gaps = gaps
        self._settled = settled
        if start is not None:  # a time that is rounded when it is shown was earlier in truth
            start = floor(add(to_utc(start), -MILLISECOND), SECOND)
        self._ranges = deque([_Range(start, end and next_second(to_utc(end)))])
        self._known = NO_LINES  # what pages showed and no closed range has
        self._fill = _FIRST_FILL
        self._attempts = 0  # pages since the last progress, ...
        self._full_pages = 0  # ... and how many of them were full
        self._full_oldest: dt.datetime | None = None  # the oldest line of the last full page
        self._stops = 0  # gaps since the last range that was complete
        self._ignores_end = False
        self._honours_larger = profile.longest > limit
        self._refuses_larger = False
        self._probe: PageRequest | None = None  # whether larger limits are honoured
        self._is_probe_out = False
        self._recheck: _Recheck | None = None
        self._is_unproven = False  # whether there was a page that a cap may have cut

    # Requests

    @property
    def is_complete(self) -> bool:
        """Whether all was read."""
        return not self._ranges

    @property
    def position(self) -> dt.datetime | None:
        """Up to when all was read; None: up to now, or nothing yet."""
        return self._ranges[0].low if self._ranges else None

    def next_request(self, *, ahead: int = 0) -> PageRequest | None:
        """Return the next page to ask for; None: there is none before another one has come.

        Parameters
        ----------
        ahead : int
            Ranges that may be asked for beyond the first one that is not complete.
        """
        if self._probe is not None:
            if self._is_probe_out:
                return None
            self._is_probe_out = True
            return self._probe
        for index in range(ahead + 1):
            if index >= len(self._ranges):
                return None
            each = self._ranges[index]
            if each.request is None:
                if index and not self._may_ask_ahead(each):
                    return None
                self._fit(each)
                each.request = self._request(each)
                return each.request
        return None

    def feed(
        self,
        request: PageRequest,
        page: list[TailedEntry],
        *,
        asked_at: dt.datetime | None = None,
        length: int | None = None,
        ends_untimed: bool = False,
    ) -> list[ScannedRange]:
        """Take in an answer.

        Parameters
        ----------
        request : PageRequest
            What `next_request` gave.
        page : list of TailedEntry
            Its lines that have a time, in any order.
        asked_at : datetime or None
            The server's time when it was asked, or a little earlier; None: not known.
        length : int, optional
            How many lines it has, also without a time. Default: as many as are given.
        ends_untimed : bool
            Whether lines without a time stand behind the newest one that has a time.

        Returns
        -------
        list of ScannedRange
            What has been read now, from old to new.
        """
        self.requests += 1
        if asked_at is not None and asked_at > self._now:
            self._now = asked_at
        if request is self._probe:
            self._judge_probe(len(page) if length is None else length)
        else:
            each = self._range_of(request)
            if each is None:
                return []  # what it was asked for has turned out not to be needed
            each.asked_at = asked_at
            each.page = lines = sort_lines(page)
            each.length = len(page) if length is None else length
            each.ends_untimed = ends_untimed
            if each is not self._ranges[0]:
                self._note_known(lines.between(self._ranges[0].low, each.low))
        scanned: list[ScannedRange] = []
        while self._probe is None and self._ranges and self._ranges[0].page is not None:
            scanned += self._resolve(self._ranges[0])
        return scanned

    def resize_pages(self, size: int) -> None:
        """Plan for pages of another size from now on."""
        limit = self._wanted_limit
        self._wanted_size = self._page_size = min(max(1, size), limit)
        self._limit = limit
        if self._page_size == limit < _SMALLEST_LIMIT and self._profile.takes_larger_limits:
            # Ranges share lines at their ends: of a few lines hardly any would be new.
            self._limit = self._page_size = _SMALLEST_LIMIT

    def retry(self, request: PageRequest) -> None:
        """Plan a request again that has failed, with pages of the present size."""
        if request is self._probe:
            self._is_probe_out = False
        elif (each := self._range_of(request)) is not None:
            each.request, each.is_sized = None, False

    def refuse_enlargement(self, request: PageRequest) -> None:
        """Plan a request again whose limit is larger than the server takes."""
        if request.limit == self._limit * _HEADROOM:
            self._profile.takes_headroom = False
        elif request.limit > self._wanted_limit:
            self._profile.takes_larger_limits = False
            self.resize_pages(self._wanted_size)
        if request is self._probe:
            self._judge_probe(0)
        elif (each := self._range_of(request)) is not None:
            each.is_refused = request.limit != self._limit * _HEADROOM
            each.request, each.level = None, 0

    def _range_of(self, request: PageRequest) -> _Range | None:
        for each in self._ranges:
            if each.request is request:
                return each
        return None

    def _request(self, each: _Range) -> PageRequest:
        start, high = each.low, each.high
        if each.resumes_at is not None:
            start = each.resumes_at
        elif start is not None:
            start = _start_before(start, each.precision)
        limit = (self._page_size, self._limit, self._enlarged_limit)[each.level]
        if each.is_predicted and not each.level and self._page_size == self._limit:
            limit = self._limit * (_HEADROOM if self._profile.takes_headroom else 1)
        return PageRequest(
            start and to_utc(start), high and to_utc(high), limit, limit > self._wanted_size
        )

    @property
    def _enlarged_limit(self) -> int:
        return max(self._limit * _ENLARGEMENT, _LEAST_ENLARGED)

    def _may_ask_ahead(self, each: _Range) -> bool:
        low = each.low
        return (
            low is not None
            and not low.microsecond
            and self._recheck is None
            and not self._ignores_end
            and not self._attempts
        )

    # The size of ranges

    def _fit(self, each: _Range) -> None:
        """Cut a range that is expected to hold more than a page."""
        if self._ignores_end or each.is_sized or each.resumes_at is not None:
            return
        each.is_sized = True
        until = self._now if each.high is None else each.high
        aim = self._aim(each, self._fill * self._profile.page_size(self._page_size))
        if aim is None or aim >= until:
            return
        begin = each.low or self._known.times[0]
        is_long = aim - begin >= _LONG or self._profile.rounds_ends
        end = floor(aim, SECOND if is_long else MILLISECOND)
        if end <= begin:
            end = next_second(begin)
        first = self._known.between(each.low, None).times[:1]
        if first and end <= first[0]:  # nothing known would be left in it
            end = ceil(add(first[0], MICROSECOND), MILLISECOND)
        if aim < next_second(begin) <= until and self._is_enlarging(each):
            end = next_second(begin)
        if end < until:
            self._cut(each, end)
            behind = each.low and add(each.low, MICROSECOND)
            each.is_predicted = not self._known.between(behind, end).times

    def _is_enlarging(self, each: _Range) -> bool:
        """Ask for a second that will be overfull with more lines, if that is known to help."""
        return self._honours_larger and self._page_size == self._limit and self._enlarge(each)

    def _aim(self, each: _Range, target: float) -> dt.datetime | None:
        """Return the time up to which a range is expected to hold so many lines."""
        low, density, times = each.low, self.density, self._known.times
        first = 0 if low is None else bisect_right(times, low)
        count = len(times) - first
        if count and self._profile.keeps_oldest:
            if count > target:
                return times[first + int(target)]
            return None if density is None else add(times[-1], _span(target - count, density))
        return None if low is None or density is None else add(low, _span(target, density))

    def _learn_density(self, lines: Lines, low: dt.datetime | None, high: dt.datetime) -> None:
        """See from a range how many lines a second the next one may have."""
        times = lines.times
        begin = low or (times[0] if times else high)
        if begin >= high:
            return
        count = len(times) or 0.25
        if len(times) >= 20:  # its later half tells more of what comes
            middle = len(times) // 2
            if times[middle] < high:
                count, begin = len(times) - middle, times[middle]
        self.density = count / (high - begin).total_seconds()

    def _cut(self, each: _Range, end: dt.datetime) -> None:
        """End a range earlier; the rest of it comes next."""
        self._ranges.insert(self._ranges.index(each) + 1, _Range(end, each.high))
        each.high = end

    def _lengthen(self, each: _Range, high: dt.datetime) -> None:
        """End the first range later."""
        each.high = high
        while len(self._ranges) > 1 and _is_at_most(self._ranges[1].high, high):
            del self._ranges[1]
        if len(self._ranges) > 1:
            self._ranges[1].low = high

    def _absorb_next(self, each: _Range) -> None:
        """Join the first range with the next one."""
        if len(self._ranges) > 1 and self._ranges[1].request is None:
            each.high = self._ranges[1].high
            del self._ranges[1]
        elif each.high is not None:
            self._lengthen(each, next_second(each.high))

    def _move_on(self, low: dt.datetime | None) -> None:
        """Begin the first range at a time; None: all was read."""
        ranges = self._ranges
        while ranges and (low is None or _is_at_most(ranges[0].high, low)):
            ranges.popleft()
        if not ranges:
            return
        head = ranges[0]
        head.low = low
        if head.request is None:
            while len(ranges) > 1 and ranges[1].request is None:
                head.high = ranges[1].high
                del ranges[1]
            ranges[0] = _Range(low, head.high)

    # What a page proves

    def _resolve(self, each: _Range) -> list[ScannedRange]:
        """See what the page of the first range tells: close it, or ask for something else."""
        page, request, profile = each.page, each.request, self._profile
        if page is None or request is None:
            return []
        each.page = each.request = None
        length = each.length
        if request.end is not None and page.times and page.times[-1] > add(request.end, _IGNORED):
            self._ignores_end = self._profile.ignores_end = True
        self._honours_larger = self._honours_larger or length > self._wanted_limit
        is_full = self._is_full(request, length)
        is_suspect = not is_full and bool(page.times) and self._is_suspect(length)
        if is_suspect and (self._recheck is not None or self._is_to_be_rechecked(page, length)):
            if self._recheck is None:
                settled = add(each.asked_at or self._now, -self._overlap)
                self._recheck = _Recheck(each.low, each.high, page, length, settled)
            elif length == self._recheck.length and page.times[-1] > self._recheck.newest:
                profile.cap = length  # another page, and exactly as long
            is_full = True
        profile.record(length)
        if is_full:
            return self._narrow(each, request, page)
        if each.resumes_at is not None:
            return self._resume(each, request, page)
        self._is_unproven = self._is_unproven or is_suspect
        return self._close(each, request, page)

    def _close(self, each: _Range, request: PageRequest, page: Lines) -> list[ScannedRange]:
        """Close a range whose page is short, as far as the page proves it complete."""
        low, claim = each.low, _claim(each, request, page)
        has_progress = claim is None or low is None or claim > low
        if each.ends_untimed and each.too_long is None and claim not in page.times[-1:]:
            has_progress = claim is None or low is None  # rather read on to the next line's time
        until = claim if has_progress else each.high
        missing = missing_from_range(page, self._known.between(low, until))
        if missing or not has_progress:
            return self._coarsen_bounds(each, request, page, missing)
        return [self._complete(each, request, claim, page)]

    def _complete(
        self, each: _Range, request: PageRequest, claim: dt.datetime | None, page: Lines
    ) -> ScannedRange:
        """Close a range at a time up to which its page has all lines."""
        low, lines = each.low, page.between(each.low, claim)
        recheck = self._recheck
        self._stops = 0
        if recheck is not None:
            recheck.count += len(lines.times)
            recheck.due += recheck.due_among(lines)
        elif self._full_oldest is not None and lines.times:
            self._profile.keeps_oldest = lines.times[0] == self._full_oldest
        if claim is None:
            self._known = NO_LINES
        else:
            self._known = merge_max(self._known.between(claim, None), page.between(claim, None))
            self._learn_density(lines, low, claim)
        self._fill = min(_MOST_FILL, self._fill + 0.02)
        again = None
        if recheck is not None and (claim is None or _is_at_most(recheck.high, claim)):
            again = self._end_recheck(recheck)
        scanned = self._emit(each, claim, lines, request=request)
        if again is not None:
            self._ranges.appendleft(again)
        return scanned

    def _emit(
        self,
        each: _Range,
        end: dt.datetime | None,
        lines: Lines,
        *,
        is_complete: bool = True,
        request: PageRequest | None = None,
    ) -> ScannedRange:
        """Hand on the first range up to a time, and go on from there."""
        low, asked_at = each.low, each.asked_at
        if self._goal is not None:
            lines = lines.between(None, add(self._goal, MICROSECOND))
        self._attempts = self._full_pages = 0
        self._full_oldest = None
        self._move_on(end)
        is_proven = self._recheck is None and not self._is_unproven
        return ScannedRange(low, end, lines, asked_at, is_complete, is_proven, request)

    def _coarsen_bounds(
        self, each: _Range, request: PageRequest, page: Lines, missing: list[TailedEntry]
    ) -> list[ScannedRange]:
        """Ask again for a range whose page was short and yet is not all there is."""
        self._attempts += 1
        self._note_known(page)
        if self._attempts > _MOST_ATTEMPTS:
            return self._stop(each)
        low, high, start = each.low, each.high, request.start
        if not missing and low is not None and high is not None:  # nothing came for a while
            # However few lines a page has, the next range is several times as long.
            lines = min(1.0, self._fill * self._profile.page_size(self._page_size) / 2)
            self.density = lines / max(2 * (high - low).total_seconds(), 1e-3)
            known = self._known.between(add(high, MICROSECOND), each.too_long).times
            if each.too_long is None:
                self._absorb_next(each)
                each.is_sized = False
            elif known:
                self._lengthen(each, known[0])
            else:
                later = next_second(high)
                each.is_coarse = each.is_coarse or later >= each.too_long
                self._lengthen(each, later)
            return []
        begins_late = not page.times or (bool(missing) and missing[0].created_at <= page.times[0])
        if begins_late and low is not None and start is not None and each.precision:
            while each.precision and _start_before(low, each.precision) >= start:
                each.precision -= 1
            each.finest = each.precision
            if page.times or high is None or not high.microsecond or start.microsecond:
                return []
        if high is not None and high.microsecond:  # the end is at fault
            later = ceil(high, MILLISECOND)
            if later == high:
                later = next_second(high)
                each.is_coarse = self._profile.rounds_ends = True
            self._lengthen(each, later)
            return []
        if page.times and self._is_suspect(each.length) and self._profile.cap != each.length:
            self._profile.cap = each.length
            return self._narrow(each, request, page)
        each.repeats += 1
        return [] if each.repeats <= _MOST_REPEATS else self._stop(each)

    # Pages that a cap may have cut

    def _is_suspect(self, length: int) -> bool:
        """Tell whether a short page is as long as the longest: a cap may have cut it."""
        return length >= max(self._profile.longest, _SMALLEST_CAP)

    def _is_to_be_rechecked(self, page: Lines, length: int) -> bool:
        """Tell whether much hangs on it: most such pages are those of a log that grows."""
        longest = self._profile.longest
        is_old = self._settled is None or page.times[0] < self._settled
        is_repeated = length == longest and self.cleared != _sketch(page)
        return is_old or is_repeated or length > _SURGE * longest

    def _end_recheck(self, recheck: _Recheck) -> _Range | None:
        """See from the parts of a range whether the page of the whole had all lines.

        Returns
        -------
        _Range or None
            What must be read once more, now that a cap is known.
        """
        self._recheck = None
        length = len(recheck.page.times)
        if recheck.due <= length:
            if recheck.count <= length:
                self.cleared = _sketch(recheck.page)
            else:  # some may have come in the meantime
                self._is_unproven = True
            return None
        self._profile.cap = recheck.length
        if not recheck.is_doubtful:
            return None
        self._is_unproven = True
        return _Range(recheck.low, recheck.high)

    def _read_again(self, each: _Range) -> list[ScannedRange]:
        """Begin the first range earlier than it was begun."""
        head = self._ranges[0]
        self._ranges[0] = _Range(each.low, head.high)
        return []

    # Full pages

    def _is_full(self, request: PageRequest, length: int) -> bool:
        if length >= request.limit or length == self._profile.cap:
            return True
        # One as long as usual, where a larger one was asked for, shows that there is none.
        return request.limit > self._wanted_limit == length and not self._honours_larger

    def _narrow(self, each: _Range, request: PageRequest, page: Lines) -> list[ScannedRange]:
        """Shorten a range whose page was full, or ask for more lines where that is not possible."""
        self._attempts += 1
        each.is_sized = True
        self._note_known(page)
        if each.is_predicted:
            self._fill = max(_LEAST_FILL, self._fill - 0.06)
        low, each.too_long = each.low, each.high or LATEST
        self._full_pages += 1
        if self._full_pages > 2:
            self._profile.keeps_oldest = False  # else it would have been narrowed enough
        self._full_oldest = next(iter(page.between(low, None).times), None)
        recheck = self._recheck
        if recheck is not None:
            known = self._known.between(low, recheck.high)
            if recheck.due + recheck.due_among(known) > len(recheck.page.times):
                recheck.due = len(recheck.page.times) + 1
                self._attempts = self._full_pages = 1
                again = self._end_recheck(recheck)
                if again is not None:
                    return self._read_again(again)
        if each.resumes_at is not None:
            return self._resume_later(each)
        gap = self._gap_ahead(each)
        if gap is not None and (low is None or low < gap.start):
            self._cut(each, gap.start)
            return []
        if gap is not None and gap.resumes_at is not None:
            return self._resume_at(each, gap.resumes_at)
        is_by_limit = self._is_full(request, each.length)
        if not page.times:
            return self._narrow_untimed(each)
        if self._ignores_end and is_by_limit:
            return [] if self._enlarge(each) else [self._leave_gap(each, page.times[-1])]
        if is_by_limit and self._page_size == self._limit and self._ask_for_second(each, page):
            return []
        is_reread = low is not None and page.times[len(page.times) // 4] < low
        if is_reread and each.precision < each.finest:
            each.precision += 1  # too much of the page was read before
            return []
        end = None if self._ignores_end else self._shorter_end(each, page, request.limit)
        if end is not None:
            self._cut(each, end)
            return []
        if self._recheck is not None and not is_by_limit:
            # Nothing can show whether a cap cut it.
            self._recheck.is_doubtful = True
            return self._close(each, request, page)
        if self._enlarge(each):
            return []
        if each.level == 2 and not self._honours_larger and not self._refuses_larger:
            # Before a gap is left: does the server give larger pages at all?
            each.request, each.page = request, page
            self._probe = PageRequest(None, None, self._enlarged_limit, True)
            self._is_probe_out = False
            return []
        return self._stop(each)

    def _narrow_untimed(self, each: _Range) -> list[ScannedRange]:
        """Ask for more lines where a full page has none with a time, or shorten its range."""
        if self._enlarge(each):
            return []
        low, until = each.low, self._now if each.high is None else each.high
        if low is None:
            end = add(until, -(2**self._full_pages) * SECOND)
        else:
            end = floor(add(low, (until - low) / 2), SECOND)
        is_divisible = not self._ignores_end and self._attempts <= _MOST_ATTEMPTS
        if is_divisible and (low is None or low < end):
            self._cut(each, end)
            return []
        return self._stop(each)

    def _ask_for_second(self, each: _Range, page: Lines) -> bool:
        """Ask for an overfull second with more lines; False if that cannot help."""
        begin = page.times[0] if each.low is None else max(each.low, page.times[0])
        end = next_second(begin)
        if page.times[-1] > end or not self._enlarge(each):
            return False
        if (each.high is None or end < each.high) and end <= self._now:
            self._cut(each, end)
        return True

    def _is_within_second(self, each: _Range) -> bool:
        return each.low is not None and _is_at_most(each.high, next_second(each.low))

    def _enlarge(self, each: _Range) -> bool:
        """Ask for a range with more lines; False if that cannot help."""
        if each.is_refused:
            return False
        if each.level == 0 and self._page_size < self._limit:
            each.level = 1
            return True
        if each.level == 2 or self._refuses_larger or self._profile.cap is not None:
            return False
        if not self._profile.takes_larger_limits:
            return False
        each.level = 2
        return True

    def _shorter_end(self, each: _Range, page: Lines, limit: int) -> dt.datetime | None:
        """Return an end that leaves out some of the lines that a full page showed."""
        low, high = each.low, each.high
        if self._attempts > _MOST_ATTEMPTS or (each.is_coarse and self._is_within_second(each)):
            return None
        if self._limit == 1 and self._full_pages > 3:  # such pages prove nothing but silence
            return None
        for time in self._places(each, page, self._profile.page_size(limit)):
            whole = floor(time, SECOND)
            ends = [ceil(time, MILLISECOND), time]
            if self._profile.rounds_ends:
                ends = [whole, next_second(time), *ends]
            elif low is None or time - whole <= (time - low) / 16:
                ends = [whole, *ends]
            for end in ends:
                if (low is None or low < end) and (high is None or end < high):
                    return end
        return None

    def _places(self, each: _Range, page: Lines, size: int) -> list[dt.datetime]:
        """Return where a range whose page was full may end, the best place first."""
        low, oldest, newest = each.low, page.times[0], page.times[-1]
        times = self._known.between(low, each.high).times or page.times
        places = [times[len(times) // 2], times[0]]
        later = bisect_right(times, times[0])
        if later < len(times):
            places.append(times[later])
        places.append(add(times[0], -SECOND))
        if self._recheck is not None:
            return places
        scale = 2 ** max(0, self._full_pages - 1)
        target = int(self._fill * size / scale)
        by_count = times[min(target, len(times) - 1)]
        if self._profile.keeps_oldest and self._full_pages == 1:
            return [by_count, *places]
        span = max(newest - oldest, MICROSECOND)
        if low is None:
            return [add(oldest, -scale * span), *places]
        if oldest - low > span / 4:  # those that were left out may be older, and as dense
            likely = math.sqrt(span / (oldest - low)) / max(1, scale // 2)
            guess = add(low, (oldest - low) * min(1.0, likely))
            whole = floor(guess, SECOND)
            if whole > low:  # an end within a second proves nothing where there are no lines
                return [whole, *places]
            if not self._profile.keeps_oldest and oldest - low < SECOND:
                return [guess, *places]
        return [by_count, *places]

    def _judge_probe(self, length: int) -> None:
        self._probe = None
        self._profile.record(length)
        self._honours_larger = length > self._wanted_limit
        self._refuses_larger = not self._honours_larger

    # What cannot be read

    def _gap_ahead(self, each: _Range) -> Gap | None:
        """Return a gap of an earlier scan that a range meets."""
        for gap in self._gaps:
            end = gap.resumes_at or gap.end
            if not _is_at_most(end, each.low) and not _is_at_most(each.high, gap.start):
                return gap
        return None

    def _stop(self, each: _Range) -> list[ScannedRange]:
        """Go on behind a range that cannot be read whole."""
        low, high = each.low, each.high
        self._stops += 1
        times = self._known.between(low, None).times
        first = times[0] if times else low
        if first is None:
            return [self._leave_gap(each, None)]
        if each.is_coarse or self._stops > _MOST_STOPS or self._attempts > _MOST_ATTEMPTS:
            whole = next_second(first)
            return [self._leave_gap(each, whole if high is None else max(whole, high))]
        later = bisect_right(times, first)
        if later < len(times):
            return [self._leave_gap(each, times[later])]
        return self._resume_at(each, add(first, MICROSECOND))

    def _resume_at(self, each: _Range, start: dt.datetime) -> list[ScannedRange]:
        """Ask from a bound on that lies behind what cannot be read."""
        each.resumes_at, each.level, each.is_sized = start, 0, True
        while len(self._ranges) > 1 and self._ranges[1].request is None:
            self._absorb_next(each)  # the farther it reads, the sooner it shows a line
        return [self._leave_gap(each, each.high)] if _is_at_most(each.high, start) else []

    def _resume_later(self, each: _Range) -> list[ScannedRange]:
        """See from a full page where lines can be read again, or try the next bound."""
        start = each.resumes_at
        if start is None:
            return []
        later = self._known.between(start, None).times
        if later:
            return [self._leave_gap(each, later[0])]
        after = ceil(start, MILLISECOND)
        if after > start:
            return self._resume_at(each, after)
        return [self._leave_gap(each, next_second(start))]

    def _resume(self, each: _Range, request: PageRequest, page: Lines) -> list[ScannedRange]:
        """See from a short page where lines can be read again."""
        start, claim, asked_at = each.resumes_at, _claim(each, request, page), each.asked_at
        if start is None:
            return []
        self._note_known(page)
        begin, later = ceil(start, SECOND), page.between(start, None).times
        if later:
            begin = min(begin, later[0])
        scanned = [self._leave_gap(each, begin)]
        if self._ranges and (claim is None or claim > begin):
            head = self._ranges[0]
            if head.request is None and head.low == begin:
                head.asked_at = asked_at
                scanned.append(self._complete(head, request, claim, page))
        return scanned

    def _leave_gap(self, each: _Range, end: dt.datetime | None) -> ScannedRange:
        """Go on at a time, with such lines before it as pages showed."""
        low = each.low
        if end is not None and low is not None and end <= low:
            end = None  # the end of time
        lines = self._known.between(low, end)
        self._known = NO_LINES if end is None else self._known.between(end, None)
        return self._emit(each, end, lines, is_complete=False)

    # What is known

    def _note_known(self, page: Lines) -> None:
        """Remember what a page showed: it must be in the page that closes its range."""
        known = merge_max(self._known, page.between(self._ranges[0].low, None))
        self._known = known.cut(0, max(4 * self._limit, _MOST_KNOWN))


def _claim(each: _Range, request: PageRequest, page: Lines) -> dt.datetime | None:
    """Return up to when (exclusive) its end lets a short page have all lines; None: to the last."""
    end = request.end
    if end is None:
        return None
    whole = floor(end, SECOND)
    if not page.times:
        return whole
    newest = page.times[-1]
    if each.ends_untimed and (each.low is None or newest > each.low):
        return newest  # so that the next page shows what stands behind that line
    return max(whole, newest)


def _start_before(time: dt.datetime, precision: int) -> dt.datetime:
    """Return the start from which lines of a time on are asked for."""
    unit, earlier = _STARTS[precision]
    return add(floor(time, unit), -earlier)


def _sketch(page: Lines) -> Sketch:
    return Sketch(len(page.times), page.times[0], page.times[-1])


def _is_at_most(high: dt.datetime | None, time: dt.datetime | None) -> bool:
    """Tell whether the end of a range, where None is open, is not after a time."""
    return high is not None and time is not None and high <= time


def _span(lines: float, density: float) -> dt.timedelta:
    """Return how long so many lines last."""
    return dt.timedelta(seconds=min(lines / max(density, 1e-9), 1e9))
