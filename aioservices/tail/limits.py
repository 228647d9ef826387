"""How long pages are: with which limit one is asked for, whether it is full, whether it was cut.

Three sizes are in use: ordinary pages, which a server that is in trouble may have made small, the
limit, and ten times the limit for a range that no end can make shorter, or less where that is
refused. Whether a server gives pages as long as that shows at the first that is longer than the
limit. A page of exactly the limit may be one that ignores what it was asked for.

How many lines a range has is a guess, so one that was planned to fill a page is asked for with
three times as many lines. To see early whether these come, the first full page of a session is
followed by such a longer one. If it comes, ranges need no margin from then on, and shorter pages
are not suspected of having been cut. Neither is needed: the limit will do where such a page fails,
in whatever way.

A server may also give fewer lines than it is asked for without a word. A page as long as the
longest so far may have been cut; a longer one shows that it was not. Without that its range is read
again in parts, if much depends on it. More lines in the parts than in the page show the cap. Lines
that were written meanwhile look like that, so larger limits are tried all the same until two other
pages were as long. A part that cannot be distinguished from one that was cut is believed, and read
once more if a cap shows later. Until then nothing that was read is proven: the next scan begins
before it.

Pure.
"""

from __future__ import annotations

import copy
import datetime as dt
from bisect import bisect_left

from .lines import NO_LINES, Lines, merge_max
from .ranges import Answer, PageRequest, PlannedRange, Sketch, is_at_most
from .times import EARLIEST, LATEST, add, to_utc

__all__ = ["CapWatch", "PageLimits", "ServerProfile"]

# How much larger the limit is with which an overfull range is asked for, and how large at least.
# Where that is refused, less is asked for.
_ENLARGEMENTS = (10, 5, 3, 2)
_LEAST_ENLARGED = 10_000
# How much larger it is for a range that was sized for a page, but may have more lines, and for one
# that is to show whether longer pages come.
_HEADROOM = 3
# No smaller limit is asked for, unless the server refuses it, nor is a smaller cap looked for.
_SMALLEST_LIMIT = 10
# Pages in a row that are longer than usual and fail before no more are asked for in a session.
_MOST_FAILURES = 4
# No page that is longer than a smaller limit is asked for just to see whether it comes.
_SMALLEST_STRETCHED = 100
# No cap above the limit is assumed that is smaller than this, where nothing else shows one.
_SMALLEST_HIDDEN_CAP = 1_000
# Lines of pages taken on faith that are remembered at most.
_MOST_SHOWN = 2_000
# A page that is so many times as long as the longest before it did not just grow.
_SURGE = 1.25


class ServerProfile:
    """What pages showed of a server, for all scans of a session. It saves requests, no more.

    Attributes
    ----------
    longest : int
        Lines of the longest page.
    cap : int or None
        Lines of a page at most, where the server gave fewer than it was asked for.
    refused : int or None
        The smallest limit, larger than the usual one, that it refused.
    keeps_oldest : bool
        Whether full pages seem to keep the oldest lines.
    rounds_ends : bool
        Whether an end finer than the second was of no use.
    ignores_end : bool
        Whether it gave lines that are later than the end: its full pages leave gaps.
    tried_longer : bool
        Whether a page longer than the limit was asked for, only to see whether it comes.
    """

    def __init__(self) -> None:
        self.longest = 0
        self.cap: int | None = None
        self._capped: set[Sketch] = set()  # pages that are that long, of which two say enough
        self.refused: int | None = None
        self.keeps_oldest = True
        self.rounds_ends = False
        self.ignores_end = False
        self.tried_longer = False
        self._failures = 0  # in a row, of pages longer than usual

    def page_size(self, limit: int) -> int:
        """Return how many lines a page has at most, as far as is known."""
        return min(limit, self.cap or limit)

    @property
    def is_cap_certain(self) -> bool:
        """Whether two more pages, asked for with more lines, were as long as the cap."""
        return len(self._capped) > 1

    @property
    def fails_longer(self) -> bool:
        """Whether pages longer than usual failed so often that no more are asked for."""
        return self._failures >= _MOST_FAILURES

    def record_optional(self, *, served: bool) -> None:
        """Take note of whether a page longer than usual came that could be done without."""
        self._failures = 0 if served else self._failures + 1

    def takes(self, limit: int) -> bool:
        """Tell whether a limit was not refused, nor a smaller one."""
        return self.refused is None or limit < self.refused

    def has_headroom(self, limit: int) -> bool:
        """Tell whether a page that was planned for a limit may well turn out to be longer."""
        is_known = 2 * self.longest >= 3 * limit and self.cap is None
        return is_known and self.takes(_HEADROOM * limit) and not self.fails_longer

    def suspect(self, length: int) -> None:
        """Take a length for the cap, unless a page was longer."""
        if length >= self.longest and length != self.cap:
            self.cap, self._capped = length, set()

    def record(self, length: int, limit: int, page: Sketch | None) -> None:
        """Take note of the length of a page that was asked for with a limit."""
        self.longest = max(self.longest, length)
        if self.cap is not None and length > self.cap:
            self.cap, self._capped = None, set()
        elif length == self.cap and length < limit and page and not self.is_cap_certain:
            self._capped.add(page)


class PageLimits:
    """The limits of one scan.

    Attributes
    ----------
    limit, page_size : int
        Lines that a page may have, and those of an ordinary page, as they are used.
    honours_larger : bool
        Whether there was a page that is longer than the limit.
    ignores_larger : bool
        Whether the page of the whole log, asked for with more lines, had as many as the limit.
    probed : int or None
        Lines of the last page for which the whole log was asked for, to see how long pages get.
    is_probe_refused : bool
        Whether that was refused, so that it does not show.
    """

    def __init__(self, profile: ServerProfile, limit: int, page_size: int) -> None:
        self.honours_larger = profile.longest > limit
        self.ignores_larger = False
        self.probed: int | None = None
        self.is_probe_refused = False
        self._profile = profile
        self._wanted_limit = limit
        self.resize_pages(page_size)

    def resize_pages(self, size: int) -> None:
        """Use pages of another size from now on."""
        limit = self._wanted_limit
        self._wanted_size = self.page_size = min(max(1, size), limit)
        self.limit = limit
        if self.page_size == limit < _SMALLEST_LIMIT and self._profile.takes(_SMALLEST_LIMIT):
            # Ranges share lines at their ends: of a few lines hardly any would be new.
            self.limit = self.page_size = _SMALLEST_LIMIT

    @property
    def is_usual(self) -> bool:
        """Whether ordinary pages are as long as the limit."""
        return self.page_size == self.limit

    @property
    def stretched(self) -> int:
        """How many lines to ask for to see whether pages longer than the limit come."""
        return _HEADROOM * self.limit

    @property
    def is_worth_a_stretch(self) -> bool:
        """Whether a page longer than the limit would show something new, and may be had."""
        profile = self._profile
        is_open = not (self.honours_larger or profile.tried_longer) and profile.cap is None
        is_large = self.limit >= _SMALLEST_STRETCHED
        return is_open and is_large and self.is_usual and profile.takes(self.stretched)

    @property
    def _enlarged(self) -> int | None:
        """The largest limit for an overfull range that was not refused; None if there is none."""
        larger = (self.limit * factor for factor in _ENLARGEMENTS)
        limits = (max(self.limit * _ENLARGEMENTS[0], _LEAST_ENLARGED), *larger)
        return next(filter(self._profile.takes, limits), None)

    def request(self, each: PlannedRange) -> PageRequest:
        """Return the request for a range."""
        limit = self.limit if each.level else self.page_size
        if each.level == 2:
            limit = self._enlarged or limit
        usual = limit
        if each.is_stretched and not each.level:
            limit = self.stretched
        elif each.is_predicted and not (each.level or each.is_plain) and self.is_usual:
            limit = self._with_headroom(limit)
        start, end = each.start and to_utc(each.start), each.high and to_utc(each.high)
        return PageRequest(start, end, limit, limit > self._wanted_size, limit > usual)

    def _with_headroom(self, limit: int) -> int:
        """Return with how many lines to ask for a range that was sized for a page."""
        headroom, longest = _HEADROOM * limit, self._profile.longest
        if not self._profile.takes(headroom) or self._profile.fails_longer:
            return limit
        # A page that is longer than all before might have been cut by a cap.
        return min(headroom, longest) if longest > limit else headroom

    def enlarge(self, each: PlannedRange) -> bool:
        """Have a range asked for with more lines; False if that cannot help."""
        if each.refused_end is not None and each.refused_end <= (each.high or LATEST):
            return False
        if each.level == 0 and not self.is_usual:
            each.level = 1
            return True
        if each.level == 2 or self.ignores_larger or self._enlarged is None:
            return False
        if self._profile.is_cap_certain and self._profile.page_size(self._enlarged) <= self.limit:
            return False
        each.level = 2
        return True

    def refuse(self, each: PlannedRange | None, limit: int, *, is_certain: bool) -> None:
        """Do without a limit that the server does not take, and without larger ones.

        Without any larger one than usual, unless it is certain that the limit was the reason.
        """
        if limit > self._wanted_limit:
            least = limit if is_certain else self._wanted_limit + 1
            self._profile.refused = min(least, self._profile.refused or least)
            self.resize_pages(self._wanted_size)
        if each is not None:
            each.request, each.is_stretched = None, False
            if each.level == 2 and self._enlarged is not None:
                return  # it is asked for with less
            is_headroom = each.level == 0
            each.refused_end = None if is_headroom else each.high or LATEST
            each.level = 0

    def observe(self, request: PageRequest, length: int, page: Sketch | None = None) -> None:
        """Take note of the length of a page."""
        self._profile.record(length, request.limit, page)
        if request.is_optional:
            self._profile.record_optional(served=True)
        self.honours_larger = self.honours_larger or length > self._wanted_limit

    def observe_log(self, request: PageRequest, length: int) -> None:
        """Take note of the length of the page of the whole log."""
        self.observe(request, length)
        self.ignores_larger = length == self._wanted_limit and not self.honours_larger

    def is_full(self, answer: Answer) -> bool:
        """Tell whether a page may lack lines because of its length."""
        length, limit = answer.length, answer.request.limit
        if length >= limit or length == self._profile.cap:
            return True
        return limit > self._wanted_limit == length and not self.honours_larger

    def may_be_capped(self, length: int) -> bool:
        """Tell whether a cap may have cut a page that is shorter than its limit."""
        smallest = max(2, min(self._wanted_limit, _SMALLEST_LIMIT))
        return length >= max(self._profile.longest, smallest)

    def may_be_cut(self, each: PlannedRange, answer: Answer) -> bool:
        """Tell whether nothing shows that an enlarged page could have been longer."""
        is_longest = self._profile.longest <= answer.length < answer.request.limit
        return is_longest and each.level == 2


class CapWatch:
    """Looks out for pages that a cap may have cut, during one scan; see `RangeScan`.

    Attributes
    ----------
    page : Answer or None
        The page whose range is being read again.
    is_proven : bool
        Whether all pages so far are complete for certain, but for that one.
    cleared : Sketch or None
        The last page as long as the longest that turned out to be complete.
    emitted : int
        Lines of the log that were read.
    """

    def __init__(
        self,
        profile: ServerProfile,
        *,
        overlap: dt.timedelta,
        settled: dt.datetime | None,
        cleared: Sketch | None,
    ) -> None:
        self.page: Answer | None = None
        self.is_proven = True
        self.cleared = cleared
        self.emitted = 0
        self._oldest: dt.datetime | None = None  # the first of these
        self._profile = profile
        self._overlap = overlap
        self._settled = settled
        self._doubtful: PlannedRange | None = None  # from the first such part to the last one, ...
        self._shown = NO_LINES  # ... and what their pages showed
        # Of the page whose range is being read again:
        self._high: dt.datetime | None = None
        self._due_until: dt.datetime | None = None  # lines older than this could be seen then
        self._count = 0  # lines in the parts, ...
        self._due = 0  # ... and those among them that the page must have had
        self._is_doubted = False
        # Of the page of the whole log: its length, how many lines it must have had, and until when
        # such lines were written.
        self._log_length: int | None = None
        self._log_due = 0
        self._log_until = EARLIEST

    def begins(self, each: PlannedRange, answer: Answer, now: dt.datetime) -> bool:
        """Tell whether the range of a page as long as the longest has to be read in parts."""
        if not answer.lines.times:  # what has no times cannot be read in parts
            return False
        if self.page is None and not self._is_worth_a_check(answer):
            self.is_proven = False
            return False
        if self.page is None:
            self.page, self._high = answer, each.high
            self._due_until = add(answer.asked_at or now, -self._overlap)
            self._count = self._due = 0
            self._is_doubted = False
        elif self._is_other_page(self.page, answer):
            self._profile.suspect(answer.length)
        return True

    def _is_worth_a_check(self, answer: Answer) -> bool:
        """Return whether much depends on it: most such pages are those of a log that grows."""
        longest = self._profile.longest
        is_old = self._settled is None or answer.lines.times[0] < self._settled
        is_repeated = answer.length == longest and self.cleared != answer.sketch
        return is_old or is_repeated or answer.length > _SURGE * longest

    def _is_other_page(self, page: Answer, answer: Answer) -> bool:
        """Tell whether another page is exactly as long as this one, as a cap makes them.

        Only with newer lines that had been written when this one was asked for: a program may
        write as many lines at once, time after time.
        """
        written = answer.lines.between(None, page.asked_at or self._due_until).times
        is_newer = bool(written) and written[-1] > page.lines.times[-1]
        return answer.length == page.length and is_newer

    def add(self, lines: Lines) -> None:
        """Count the lines of a part."""
        lines = lines.between(None, self._high)
        self._count += len(lines.times)
        self._due += self._due_among(lines)

    def take_on_faith(self, each: PlannedRange, page: Lines) -> None:
        """Take a part for complete; it is read again if a cap shows in the rest of the scan."""
        shown = page.between(each.low, each.high).cut(0, _MOST_SHOWN)
        # Copies, because these are about to be delivered with the number of their log.
        shown = shown._replace(entries=list(map(copy.copy, shown.entries)))
        self._shown = merge_max(self._shown, shown).cut(0, _MOST_SHOWN)
        self.is_proven, self._is_doubted = False, True
        low = each.low if self._doubtful is None else self._doubtful.low
        self._doubtful = PlannedRange(low, each.high)

    def has_more(self, known: Lines) -> bool:
        """Tell whether the page lacks lines: those of parts, and others known of its range."""
        if self.page is None:
            return False
        known = known.between(None, self._high)
        return self._due + self._due_among(known) > len(self.page.lines.times)

    def is_over(self, position: dt.datetime | None) -> bool:
        """Tell whether the whole range was read again."""
        return self.page is not None and (position is None or is_at_most(self._high, position))

    def end(self, known: Lines) -> None:
        """See from its parts, of some of which lines are only known, whether the page had all."""
        page, is_short = self.page, self.has_more(known)
        self.page = None
        if page is None:
            return
        if is_short:
            self._profile.suspect(page.length)
        elif self._count <= len(page.lines.times) and not self._is_doubted:
            self.cleared = page.sketch
        else:  # some may have come in the meantime
            self.is_proven = False

    def may_be_all(self, each: PlannedRange, answer: Answer) -> bool:
        """Tell whether a page may be all of the log, so that no other line can show a cap."""
        times = answer.lines.times
        older = 0 if each.low is None else bisect_left(times, each.low)
        begins_first = self._oldest is None or (bool(times) and times[0] <= self._oldest)
        return begins_first and older >= self.emitted and answer.length < _SMALLEST_HIDDEN_CAP

    def observe_log(self, length: int, asked_at: dt.datetime) -> None:
        """Take in how long the page was for which the whole log was asked."""
        self._log_length, self._log_due = length, self.emitted
        self._log_until = add(asked_at, -self._overlap)

    def observe_lines(self, lines: Lines) -> None:
        """Take in more lines of the log: if it had more than its page shows, that was cut."""
        if lines.times and self._oldest is None:
            self._oldest = lines.times[0]
        self.emitted += len(lines.times)
        if self._log_length is None:
            return
        self._log_due += len(lines.between(None, self._log_until).times)
        if self._log_due > self._log_length:
            self._profile.suspect(self._log_length)
            self._log_length = None

    def take_doubtful(self) -> tuple[PlannedRange, Lines] | None:
        """Return what has to be read once more, now that a cap is known, and what pages showed."""
        if self._profile.cap is None or self._doubtful is None:
            return None
        doubtful, shown = self._doubtful, self._shown
        self._doubtful, self._shown = None, NO_LINES
        return doubtful, shown

    def _due_among(self, lines: Lines) -> int:
        """Return how many of some lines the page must have had, if it had all."""
        settled = len(lines.between(None, self._due_until).times)
        times = self.page.lines.times if self.page is not None else []
        return max(settled, len(lines.up_to(times[-1]).times)) if times else settled
