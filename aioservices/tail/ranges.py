"""What a scan asks for and what it has read: requests for pages, and ranges of time.

Pure.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from .lines import Lines
from .malformed import UntimedRun
from .times import LATEST, MICROSECOND, MILLISECOND, SECOND, add, ceil, floor, next_second

__all__ = [
    "Answer",
    "Gap",
    "PageRequest",
    "PlannedRange",
    "Replan",
    "ScannedRange",
    "Sketch",
    "is_at_most",
    "join_runs",
]

_LAST_SECOND = floor(LATEST, SECOND)

# What tells a page from another one: its length, its oldest line and its newest one.
Sketch: TypeAlias = tuple[int, dt.datetime, dt.datetime]


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
    is_optional : bool
        Whether a page of the usual limit would do as well: it is not repeated.
    """

    start: dt.datetime | None
    end: dt.datetime | None
    limit: int
    enlarged: bool = False
    is_optional: bool = False


class Replan(enum.Enum):
    """What to do in place of a request that cannot succeed."""

    SMALLER = enum.auto()  # ask for less
    REFUSED = enum.auto()  # do without a limit as large as that
    NOT_ENLARGED = enum.auto()  # do without a limit that is larger than usual


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
    untimed : sequence of UntimedRun
        Lines without a time of the page that closed it.
    """

    start: dt.datetime | None
    end: dt.datetime | None
    lines: Lines
    asked_at: dt.datetime | None
    is_complete: bool = True
    is_proven: bool = True
    untimed: Sequence[UntimedRun] = ()


class Gap(NamedTuple):
    """What an earlier scan could not read whole.

    Attributes
    ----------
    start, end : datetime
        Whole seconds.
    resumes_at : datetime
        The time from which lines could be read again.
    """

    start: dt.datetime
    end: dt.datetime
    resumes_at: dt.datetime


class Answer(NamedTuple):
    """A page, and the request that it answers.

    Attributes
    ----------
    request : PageRequest
    lines : Lines
        Those that have a time.
    length : int
        How many lines it has.
    asked_at : datetime or None
    untimed : sequence of UntimedRun
        Lines without a time.
    """

    request: PageRequest
    lines: Lines
    length: int
    asked_at: dt.datetime | None
    untimed: Sequence[UntimedRun] = ()

    @property
    def begins_untimed(self) -> bool:
        """Whether lines without a time come before the oldest of the others."""
        return bool(self.untimed) and self.untimed[0].is_placed and not self.untimed[0].after

    @property
    def ends_untimed(self) -> bool:
        """Whether lines without a time follow the newest of the others."""
        return bool(self.untimed) and self.untimed[-1].is_placed and not self.untimed[-1].before

    @property
    def sketch(self) -> Sketch:
        """What tells it from another page that has lines."""
        return self.length, self.lines.times[0], self.lines.times[-1]

    def claim(self, low: dt.datetime | None) -> dt.datetime | None:
        """Up to when (exclusive) its end lets a short page have all lines; None: to the last."""
        end = self.request.end
        if end is None:
            return None
        whole = floor(end, SECOND)
        if not self.lines.times:
            return whole
        newest = self.lines.times[-1]
        if self.ends_untimed and (low is None or newest > low):
            return newest  # the next page shows all that follows that line
        return max(whole, newest)


@dataclass(slots=True, eq=False)
class PlannedRange:
    """From `low` (inclusive) to `high` (exclusive); None is open.

    Attributes
    ----------
    start : datetime or None
        From when it is asked for.
    level : int
        0: asked for with pages of the ordinary size, 1: with the limit, 2: with more.
    starts : list of datetime
        From when it can be asked for, as far as is known, from early to late.
    is_late : bool
        Whether too much is read from earlier starts.
    too_short, too_long : datetime or None
        Between which its end must lie: with the one nothing was proven, with the other its page
        was full.
    short_page : Answer or None
        The page with which `too_short` proved nothing.
    older_half : Answer or None
        The page up to a time between two lines; it is asked for from there: see `RangeScan._split`.
    is_sized : bool
        Whether its end was chosen, and not only left over, ...
    is_predicted : bool
        ... from how many lines were expected.
    is_stretched : bool
        Whether it was sized for a page longer than the limit, to see whether that comes.
    is_plain : bool
        Whether more lines than usual were asked for and did not come, though they could be done
        without.
    refused_end : datetime or None
        With this end, or a later one, more lines than usual cannot be had.
    request : PageRequest or None
        What was asked, until the answer was resolved.
    """

    low: dt.datetime | None
    high: dt.datetime | None
    start: dt.datetime | None = None
    level: int = 0
    starts: list[dt.datetime] = field(default_factory=list)
    is_late: bool = False
    too_short: dt.datetime | None = None
    too_long: dt.datetime | None = None
    short_page: Answer | None = None
    older_half: Answer | None = None
    repeats: int = 0
    is_sized: bool = False
    is_predicted: bool = False
    is_stretched: bool = False
    is_plain: bool = False
    refused_end: dt.datetime | None = None
    request: PageRequest | None = None
    answer: Answer | None = None

    def __post_init__(self) -> None:
        if self.high is not None and self.high >= _LAST_SECOND:
            self.high = None  # times end there, so that nothing could be planned behind it
        if self.start is None:
            self.start = self.low

    # Where it begins

    def begin_behind(
        self, older: dt.datetime | None, *, is_shown: bool, unit: dt.timedelta
    ) -> None:
        """Plan from when to ask for it, so that its page surely has all lines from `low` on.

        Parameters
        ----------
        older : datetime or None
            The last line before it.
        is_shown : bool
            Whether a line with the time `low` is known, which was earlier in truth if times are
            rounded when they are shown.
        unit : timedelta
            Of which the start is to be a multiple.
        """
        low = self.low
        if low is None:
            return
        safe = floor(low, SECOND)
        if is_shown and safe == low:
            safe = add(low, -SECOND)
        near = safe if older is None else max(safe, add(older, -MICROSECOND))
        # A time that is shown in microseconds may be rounded up.
        self.starts = sorted({safe, near, max(safe, add(low, -MICROSECOND)), low})
        if self.request is None:
            self.start = max(safe, floor(near, unit))

    def begin_earlier(self, *, is_harmful: bool) -> bool:
        """Ask from an earlier bound; False if there is none.

        Parameters
        ----------
        is_harmful : bool
            Whether the present one left out a line, and not only may have done so.
        """
        start = self.start
        earlier = [each for each in self.starts if start is not None and each < start]
        if is_harmful:
            self.starts = earlier
        if not earlier:
            return False
        self.start = earlier[-1]
        return True

    def begin_later(self) -> bool:
        """Ask from a later bound, because too much was read before `low`; False if none is."""
        start = self.start
        later = [each for each in self.starts if start is not None and each > start]
        if not later:
            return False
        self.start, self.is_late = later[0], True
        self.too_long = None  # what was too long may be a page now
        return True

    # Where it ends

    @property
    def bottom(self) -> dt.datetime | None:
        """The time after which an end makes sense."""
        return max(filter(None, (self.low, self.too_short)), default=None)

    def end_near(self, time: dt.datetime) -> dt.datetime | None:
        """Return an end near a time: whole seconds and milliseconds are better than others."""
        low, whole = self.low, floor(time, SECOND)
        ends = [ceil(time, MILLISECOND), time, whole, next_second(time)]
        if low is None or time - whole <= (time - low) / 16:
            ends.insert(0, whole)
        return next(filter(self._may_end_at, ends), None)

    def _may_end_at(self, end: dt.datetime) -> bool:
        bottom, top = self.bottom, self.too_long
        return (bottom is None or bottom < end) and (top is None or end < top)


def is_at_most(high: dt.datetime | None, time: dt.datetime | None) -> bool:
    """Tell whether the end of a range, where None is open, is not after a time."""
    return high is not None and time is not None and high <= time


def join_runs(older: Answer, newer: Answer) -> Sequence[UntimedRun] | None:
    """Return the lines without a time of two pages; the newer one begins where the older one ends.

    What was written at that time is on both. Where it may be a line without a time, it cannot be
    told from another one with the same text: None.
    """
    runs, later_runs = list(older.untimed), list(newer.untimed)
    first, last = newer.lines.times[0], older.lines.times[-1] if older.lines.times else None
    begin = later_runs.pop(0).lines if newer.begins_untimed else []
    if last is not None and last >= first:  # what comes before the newer one is all on the older
        return [*runs, *later_runs]
    end = runs.pop().lines if older.ends_untimed else []
    if any(end[-both:] == begin[:both] for both in range(1, min(len(end), len(begin)) + 1)):
        return None
    return [*runs, UntimedRun(last, first, [*end, *begin]), *later_runs]
