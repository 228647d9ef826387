"""One scan: the requests that read a log from some time to now, and what proves it complete.

Theory of operation
-------------------
A request has two bounds, both inclusive, and a limit. It is known that a page shorter than its
limit was cut by nothing but the bounds (A4), and that bounds of whole seconds are honoured (A3).
It is not known how the server rounds finer bounds, or its lines' times before it compares them,
whether it keeps times finer than it shows them, in which order lines come, and which of them a
full page leaves out. Nothing of that is calibrated, because of one fact: however times are rounded,
rounding keeps their order. A server that lets a line pass a start lets all newer ones pass; one
that lets it pass an end, all older ones. Hence a short page proves this much:

- *At its end* it has every line that is older than its newest one, or than the last whole second
  before its end, whatever the end was meant to say. So far the range is closed. The next one begins
  at that newest line, which is read again.
- *At its beginning* it has every line of the range if it shows an older line too, or if its start
  is a whole second. So ranges are asked for from a little before the last line of the one before.

And the rule above both: **a range is complete if its page is short and holds every line that any
page of this scan showed in that range.** A line that is missing tells which bound did harm; that
bound is rounded outward, in the end to the whole second, and the page is asked for again. For
example, lines at 1.2, 1.4 and 1.6 s, a limit of 3, and a server that rounds ends down to seconds:
the page from 1 on is full and shows all three. Its range is narrowed to end at 1.4; that page is
empty and lacks the line at 1.2, so the end becomes 2. That is full again: a larger limit is tried.

A full page proves nothing, but its lines are known from then on. The end of its range lies between
one with which nothing was proven and one with which the page was full, and each answer brings these
two nearer to each other, mostly to a line that is known. Where nothing lies between them, a larger
limit is tried. Where that does not help, two neighbouring times that together have more lines than
a page are read one by one, from both sides of a bound between them (`split`). What is left is a
gap; the scan goes on behind it. All of its second is reported as missing, so that nothing has to be
proven there.

Ranges go from old to new. What is asked for next is decided apart (`plan`): each range is sized to
fill most of a page (`sizing`), and how many lines to ask for is a matter of its own (`limits`). A
page as long as the longest so far may have been cut by a cap that nobody mentioned: its range is
read again in parts. The last range is open, so that lines dated ahead of the clock are seen, and
"now" moves on with each answer. Ranges that begin at a whole second can be asked for ahead, and
pages may come in any order.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from .limits import CapWatch, PageLimits, ServerProfile
from .lines import NO_LINES, Lines, merge_max, missing_from_range, sort_lines
from .malformed import PageLines
from .plan import RequestPlan
from .ranges import (
    Answer,
    Gap,
    PageRequest,
    PlannedRange,
    Replan,
    ScannedRange,
    Sketch,
    is_at_most,
    join_runs,
)
from .sizing import RangeSizer
from .split import FineBounds, split_between
from .times import (
    EARLIEST,
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

__all__ = ["Gap", "PageRequest", "RangeScan", "ScannedRange", "ServerProfile"]

# Requests without progress after which the rest of a second is a gap, ...
_MOST_ATTEMPTS = 40
# ... gaps within one second that have the same effect, ...
_MOST_STOPS = 5
# ... and how often a page is repeated that contradicts an earlier one, as of a replica behind it.
_MOST_REPEATS = 3
# Lines of full pages that are remembered at most, or four pages; and with small pages at least.
_MOST_KNOWN, _LEAST_KNOWN = 2_000, 200


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
    expected : sequence of datetime
        Times of lines that were read before, in their order: they may be fewer, or more.
    seen_until : datetime, optional
        Up to when that is.
    gaps : sequence of Gap
        What earlier scans could not read.
    settled : datetime, optional
        A page as long as the longest is read again in parts if it has lines older than this;
        None: in any case.
    cleared : Sketch, optional
        `cleared` of an earlier scan.

    Attributes
    ----------
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
        expected: Sequence[dt.datetime] = (),
        seen_until: dt.datetime | None = None,
        gaps: Sequence[Gap] = (),
        settled: dt.datetime | None = None,
        cleared: Sketch | None = None,
    ) -> None:
        self.requests = 0
        self._goal = end
        self._profile = profile
        self._limits = PageLimits(profile, limit, page_size or limit)
        self._sizer = RangeSizer(profile, density, expected, seen_until)
        self._caps = CapWatch(profile, overlap=overlap, settled=settled, cleared=cleared)
        self._gaps = gaps
        if start is not None:  # a time that is rounded when it is shown was earlier in truth
            start = floor(add(to_utc(start), -MILLISECOND), SECOND)
        self._plan = RequestPlan(
            start,
            end and next_second(to_utc(end)),
            now=now,
            profile=profile,
            limits=self._limits,
            sizer=self._sizer,
        )
        self._fine_bounds = FineBounds()
        self._known = NO_LINES  # what pages showed and no closed range has
        self._attempts = 0  # pages since the last progress, ...
        self._full_pages = 0  # ... and how many of them were full
        self._stops = 0  # gaps since the last range that was complete
        self._older: dt.datetime | None = None  # the last line before the first range
        self._start_unit = MILLISECOND  # of which starts had better be multiples

    @property
    def is_complete(self) -> bool:
        """Whether all was read."""
        return not self._plan

    @property
    def position(self) -> dt.datetime | None:
        """Up to when all was read; None: up to now, or nothing yet."""
        return self._plan[0].low if self._plan else None

    @property
    def density(self) -> float | None:
        """Lines a second, as the last range showed it."""
        return self._sizer.density

    @property
    def cleared(self) -> Sketch | None:
        """The last page as long as the longest that turned out to be complete."""
        return self._caps.cleared

    # Requests

    def next_request(self, *, ahead: int = 0) -> PageRequest | None:
        """Return the next page to ask for; None: there is none before another one has come.

        Parameters
        ----------
        ahead : int
            Ranges that may be asked for beyond the first one that is not complete.
        """
        is_ordinary = self._caps.page is None and not self._attempts
        return self._plan.next_request(self._known, ahead=ahead, may_ask_ahead=is_ordinary)

    def resize_pages(self, size: int) -> None:
        """Plan for pages of another size from now on."""
        self._limits.resize_pages(size)
        if size < self._limits.limit:  # maybe because memory is short
            self._known = self._known.cut(0, max(size + 1, _LEAST_KNOWN))

    def replan(self, request: PageRequest, how: Replan) -> None:
        """Plan a request again that has failed, with pages of the present size."""
        self._plan.replan(request, how)

    # Answers

    def feed(
        self,
        request: PageRequest,
        page: PageLines,
        *,
        asked_at: dt.datetime | None = None,
    ) -> list[ScannedRange]:
        """Take in an answer.

        Parameters
        ----------
        asked_at : datetime or None
            The server's time when it was asked, or a little earlier; None: not known.

        Returns
        -------
        list of ScannedRange
            What has been read now, from old to new.
        """
        self.requests += 1
        if asked_at is not None and asked_at > self._plan.now:
            self._plan.now = asked_at
        if self._plan.takes_probe(request, page.length):
            self._caps.observe_log(page.length, asked_at or self._plan.now)
        else:
            each = self._plan.of(request)
            if each is None:
                return []  # what it was asked for has turned out not to be needed
            lines = sort_lines(page.entries)
            each.answer = Answer(request, lines, page.length, asked_at, page.untimed)
            if each is not self._plan[0]:
                self._note_known(lines.between(None, each.low))
        scanned: list[ScannedRange] = []
        while not self._plan.is_probing and self._plan and (answer := self._plan[0].answer):
            scanned += self._resolve(self._plan[0], answer)
            if (taken := self._caps.take_doubtful()) is not None:
                doubtful, shown = taken
                doubtful.begin_behind(None, is_shown=True, unit=SECOND)
                self._plan.put_before(doubtful)
                self._note_known(shown)
                self._attempts = self._full_pages = 0
        return scanned

    def _resolve(self, each: PlannedRange, answer: Answer) -> list[ScannedRange]:
        """See what the page of the first range tells: close it, or ask for something else."""
        each.answer = each.request = None
        length, end, times = answer.length, answer.request.end, answer.lines.times
        # However an end is rounded, to whole seconds at most: such lines are beyond it.
        if end is not None and times and times[-1] >= add(ceil(end, SECOND), SECOND):
            self._plan.ignores_end = self._profile.ignores_end = True
        self._fine_bounds.observe(answer)
        is_full = self._limits.is_full(answer)
        may_be_capped = not is_full and self._limits.may_be_capped(length)
        must_check = may_be_capped and self._caps.begins(each, answer, self._plan.now)
        self._limits.observe(answer.request, length, answer.sketch if times else None)
        if is_full or must_check:
            return self._narrow(each, answer)
        if each.older_half is not None:
            return self._join(each, answer)
        return self._close(each, answer)

    # Short pages

    def _close(self, each: PlannedRange, answer: Answer) -> list[ScannedRange]:
        """Close a range whose page is short, as far as the page proves it complete."""
        if not self._shows_beginning(each, answer) and each.begin_earlier(is_harmful=False):
            self._attempts += 1
            self._start_unit = SECOND
            self._note_known(answer.lines)
            return []
        low, claim = each.low, answer.claim(each.low)
        has_progress = claim is None or low is None or claim > low
        if answer.ends_untimed and claim not in answer.lines.times[-1:]:
            has_progress = claim is None  # no range ends within a run: read on to the next line
        until = claim if has_progress else each.high
        missing = missing_from_range(answer.lines, self._known.between(low, until))
        if not missing and has_progress:
            return [self._complete(each, answer, claim)]
        self._attempts += 1
        self._note_known(answer.lines)
        if self._attempts > _MOST_ATTEMPTS:
            return self._stop(each, answer)
        if not missing:
            return self._end_later(each, answer)
        return self._coarsen_bounds(each, answer, missing[0].created_at)

    def _shows_beginning(self, each: PlannedRange, answer: Answer) -> bool:
        """Tell whether a short page surely has all lines from the beginning of its range on.

        It has if an older line is there too, or if its start is a whole second. Where neither can
        be had, it is enough that no known line is missing.
        """
        low, start, times = each.low, answer.request.start, answer.lines.times
        if low is None or start is None or each.is_late or not start.microsecond:
            return True
        return bool(times) and times[0] < low

    def _complete(
        self, each: PlannedRange, answer: Answer, claim: dt.datetime | None
    ) -> ScannedRange:
        """Close a range at a time up to which its page has all lines."""
        low, lines = each.low, answer.lines.between(each.low, claim)
        self._stops = 0
        if self._caps.page is not None:
            self._caps.add(lines)
        elif self._full_pages and lines.times:  # which of them were in a page that was full?
            known = self._known.between(low, claim).times
            self._profile.keeps_oldest = len(known) >= len(lines.times)
        self._sizer.fits(lines, low, claim, is_predicted=each.is_predicted)
        if claim is None:
            self._known = NO_LINES
        else:
            rest = answer.lines.between(claim, None)
            self._known = merge_max(self._known.between(claim, None), rest)
        scanned = self._emit(low, claim, lines, answer)
        if not self._plan or self._caps.is_over(claim):
            self._caps.end(self._known)
        return scanned

    def _end_later(self, each: PlannedRange, answer: Answer) -> list[ScannedRange]:
        """Ask with a later end, because the page proves nothing: no line is newer than `low`."""
        low, end = each.low, answer.request.end
        if end is None:
            return self._stop(each, answer)
        if low is not None:
            self._sizer.is_empty(low, end, self._profile.page_size(self._limits.page_size))
        if each.too_short is None or end > each.too_short:
            each.too_short, each.short_page = end, answer
        if each.too_long is None:
            # Up to now nothing was written, so what was asked for ahead is not needed. Nor is it
            # where lines without a time follow: both pages would show them.
            is_needless = end >= self._plan.now or answer.ends_untimed
            if not self._plan.absorb_next(even_if_asked=is_needless):
                twice = next_second(end if low is None else add(end, end - low))
                self._plan.end_at(each, twice)
            each.is_sized = False
            return []
        known = self._known.between(add(each.too_short, MICROSECOND), each.too_long).times
        if known:
            later = known[0]
        elif each.too_short != low and self._known.has_time(each.too_short):
            # The page lacks its line, which is a little later than it shows.
            later = ceil(add(each.too_short, MICROSECOND), MILLISECOND)
            later = min(later, add(each.too_long, -MICROSECOND))
        else:
            later = next_second(low or each.too_short)
        if each.too_short < later < each.too_long:
            self._plan.end_at(each, later)
            return []
        return self._split(each, answer)

    def _coarsen_bounds(
        self, each: PlannedRange, answer: Answer, missing: dt.datetime
    ) -> list[ScannedRange]:
        """Ask again for a range whose page was short and lacks a line that is known."""
        start, end, times = answer.request.start, answer.request.end, answer.lines.times
        begins_late = not times or missing <= times[0]
        if begins_late and each.begin_earlier(is_harmful=True):
            self._start_unit = SECOND
            if times or end is None or not end.microsecond or (start and start.microsecond):
                return []
        if end is not None and end.microsecond:  # the end is at fault
            later = ceil(end, MILLISECOND)
            if later == end:
                later = next_second(end)
                self._profile.rounds_ends = True
            if answer.length < self._profile.longest:  # else a cap may be at fault
                each.too_short, each.short_page = add(later, -MICROSECOND), None
            if each.too_long is None or later < each.too_long:
                self._plan.end_at(each, later)
                return []
            return self._exhaust(each, answer)
        each.repeats += 1
        return [] if each.repeats <= _MOST_REPEATS else self._stop(each, answer)

    # Full pages

    def _narrow(self, each: PlannedRange, answer: Answer) -> list[ScannedRange]:
        """Shorten a range whose page was full, or ask for more lines where that is not possible."""
        self._attempts += 1
        self._full_pages += 1
        each.is_stretched = each.is_stretched and answer.length > self._limits.limit
        self._note_known(answer.lines)
        if each.is_predicted:
            self._sizer.is_overfull()
        if self._full_pages > 2:
            self._profile.keeps_oldest = False  # else it would have been narrowed enough
        low, times = each.low, answer.lines.times
        known = self._known.between(low, None)
        if self._caps.has_more(known):
            self._attempts = self._full_pages = 1
            self._caps.end(known)
        gap = self._gap_ahead(each)
        if gap is not None:
            if (low or EARLIEST) < gap.start:
                self._plan.end_at(each, gap.start)
                return []
            return [self._leave_gap(each, gap.resumes_at, answer)]
        is_full = self._limits.is_full(answer)
        if not times:  # such lines cannot be divided
            if self._limits.enlarge(each):
                return []
            until = each.high or floor(self._plan.now, SECOND)
            is_ahead = low is not None and until <= low
            return [self._leave_gap(each, each.high if is_ahead else until, answer)]
        if self._plan.ignores_end and is_full:
            is_enlarged = self._limits.enlarge(each)
            return [] if is_enlarged else [self._leave_gap(each, times[-1], answer)]
        if is_full and self._stretch(each):
            return []
        if is_full and self._limits.is_usual and self._ask_for_second(each, times):
            return []
        is_reread = low is not None and times[len(times) // 4] < low
        if is_reread and each.begin_later():
            self._start_unit = MICROSECOND
            return []
        each.too_long = answer.request.end or LATEST
        end = None if self._plan.ignores_end else self._shorter_end(each, answer)
        if end is None:
            return self._exhaust(each, answer)
        self._plan.end_at(each, end)
        return []

    def _stretch(self, each: PlannedRange) -> bool:
        """Ask for a page longer than the limit where the first page was full; False if not.

        If it comes, ranges need no margin from then on, and shorter pages are not suspected of
        having been cut.
        """
        is_first = not self._caps.emitted and self._full_pages == 1 and self._sizer.density is None
        if not (is_first and self._profile.keeps_oldest and self._limits.is_worth_a_stretch):
            return False
        end = self._sizer.stretched_end(self._known, self._limits.stretched)
        if end < self._plan.now:
            self._plan.end_at(each, end)
        each.is_stretched = self._profile.tried_longer = True
        self._full_pages = 0
        return True

    def _shorter_end(self, each: PlannedRange, answer: Answer) -> dt.datetime | None:
        """Return an end that leaves out some of the lines that are known."""
        if self._attempts > _MOST_ATTEMPTS:
            return None
        if self._limits.limit == 1 and self._full_pages > 3:  # such pages prove nothing but silence
            return None
        known = self._known.between(each.low, None)
        size = self._profile.page_size(answer.request.limit)
        if each.low is not None:
            size -= bisect_left(answer.lines.times, each.low)  # those were read before
        if self._caps.page is not None:
            return self._sizer.middle(each, known)
        return self._sizer.shorter_end(
            each, known, answer.lines, size=size, full_pages=self._full_pages
        )

    def _ask_for_second(self, each: PlannedRange, times: list[dt.datetime]) -> bool:
        """Ask for an overfull second with more lines; False if that cannot help."""
        begin = times[0] if each.low is None else max(each.low, times[0])
        end = next_second(begin)
        if times[-1] > end or not self._limits.enlarge(each):
            return False
        if (each.high is None or end < each.high) and end <= self._plan.now:
            self._plan.end_at(each, end)
        return True

    # Where no end helps

    def _exhaust(self, each: PlannedRange, answer: Answer) -> list[ScannedRange]:
        """Do what is left where no end helps: a larger limit, a split, a page taken on faith."""
        is_full = self._limits.is_full(answer)
        may_be_cut = self._limits.may_be_cut(each, answer)
        if self._caps.page is not None and not is_full and not may_be_cut:
            return self._take_on_faith(each, answer)
        if self._limits.enlarge(each):
            each.too_long = None
            return []
        times, probed = answer.lines.times, self._limits.probed
        has_older = bool(times and each.low and times[0] < each.low)  # maybe they are too many
        if (is_full or may_be_cut) and has_older and each.begin_later():
            return []
        may_be_ignored = each.level == 2 and not self._limits.honours_larger
        if (may_be_cut or may_be_ignored) and (probed is None or probed < answer.length):
            each.answer, each.request, each.too_long = answer, answer.request, None
            self._plan.probe(answer.length)
            return []
        is_open = self._limits.is_probe_refused or self._caps.may_be_all(each, answer)
        if may_be_cut and not is_full and is_open:
            return self._take_on_faith(each, answer)
        if may_be_cut:
            self._profile.suspect(answer.length)
        return self._split(each, answer)

    def _take_on_faith(self, each: PlannedRange, answer: Answer) -> list[ScannedRange]:
        """Close a range where nothing can show at present whether a cap cut its page."""
        each.too_long = None
        self._caps.take_on_faith(each, answer.lines)
        return (self._close if each.older_half is None else self._join)(each, answer)

    def _split(self, each: PlannedRange, answer: Answer) -> list[ScannedRange]:
        """Read two neighbouring times, which together have more lines than a page, one by one.

        Two short pages that meet between two times prove that nothing is in between, if the bound
        where they meet separates the times in both. The one of the older time comes first.
        """
        low, top, times = each.low, each.too_long, self._known.times
        if each.older_half or low is None or top is None or not self._known.has_time(low):
            return self._stop(each, answer)
        following = next(iter(times[bisect_right(times, low) :]), None)
        bound = following and split_between(low, following, self._fine_bounds)
        if bound is None or following is None or following > top:
            return self._stop(each, answer)
        if is_at_most(bound, each.too_short):  # its page has shown nothing of the newer time
            each.start, each.older_half = bound, each.short_page or answer
            self._plan.end_at(each, following)
        else:
            each.level = 0
            self._plan.end_at(each, bound)
        return []

    def _join(self, each: PlannedRange, answer: Answer) -> list[ScannedRange]:
        """See whether a split has shown all lines of the two times."""
        high, times, half = each.high, answer.lines.times, each.older_half
        self._note_known(answer.lines)
        if high is None or half is None or not times or times[0] < high:
            return self._stop(each, answer)
        untimed = join_runs(half, answer)
        if untimed is None:
            return self._stop(each, answer)
        asked_at = answer.asked_at and half.asked_at and min(half.asked_at, answer.asked_at)
        answer = answer._replace(untimed=untimed, asked_at=asked_at)
        lines = self._known.between(each.low, high)
        self._known = self._known.between(high, None)
        return [self._emit(each.low, high, lines, answer)]

    def _gap_ahead(self, each: PlannedRange) -> Gap | None:
        """Return a gap of an earlier scan that a range meets."""
        for gap in self._gaps:
            if not is_at_most(gap.resumes_at, each.low) and not is_at_most(each.high, gap.start):
                return gap
        return None

    def _stop(self, each: PlannedRange, answer: Answer) -> list[ScannedRange]:
        """Go on behind a time that has more lines than can be read.

        All of its second is a gap, so that nothing need be proven of what is left of that second.
        """
        low, times = each.low, self._known.between(each.low, None).times
        first = times[0] if times else low or self._plan.now
        self._stops += 1
        later = bisect_right(times, first)
        after = add(first, MICROSECOND) if times else ceil(first, MILLISECOND)
        if after == first:  # starts of milliseconds are not honoured either
            after = next_second(first)
        if self._stops > _MOST_STOPS or self._attempts > _MOST_ATTEMPTS:
            after = max(next_second(first), min(each.high or first, each.too_long or first))
        elif later < len(times):
            after = times[later]
        return [self._leave_gap(each, after, answer)]

    def _leave_gap(
        self, each: PlannedRange, end: dt.datetime | None, answer: Answer
    ) -> ScannedRange:
        """Go on at a time, with such lines before it as pages showed."""
        low = each.low
        if end is not None and low is not None and end <= low:
            end = None  # the end of time
        lines = self._known.between(low, end)
        self._known = NO_LINES if end is None else self._known.between(end, None)
        return self._emit(low, end, lines, answer, is_complete=False)

    # Ranges

    def _emit(
        self,
        low: dt.datetime | None,
        end: dt.datetime | None,
        lines: Lines,
        answer: Answer,
        *,
        is_complete: bool = True,
    ) -> ScannedRange:
        """Hand on the first range up to a time, and go on from there."""
        if self._goal is not None:
            lines = lines.up_to(self._goal)
        self._attempts = self._full_pages = 0
        self._caps.observe_lines(lines)
        if lines.times or not is_complete:
            self._older = lines.times[-1] if is_complete else None
        head = self._plan.move_on(end)
        if head is not None and head.low is not None:
            is_shown = self._known.has_time(head.low)
            head.begin_behind(self._older, is_shown=is_shown, unit=self._start_unit)
            if not is_complete and head.request is None:
                head.start, head.is_late = head.low, bool(head.low.microsecond)
        # A page of a gap does not show what its lines without a time stand beside.
        untimed = answer.untimed if is_complete or not answer.lines.times else ()
        return ScannedRange(
            low, end, lines, answer.asked_at, is_complete, self._caps.is_proven, untimed
        )

    def _note_known(self, lines: Lines) -> None:
        """Remember what a page showed: it must be in the page that closes its range."""
        known = merge_max(self._known, lines.between(self._plan[0].low, None))
        self._known = known.cut(0, max(4 * self._limits.limit, _MOST_KNOWN))
