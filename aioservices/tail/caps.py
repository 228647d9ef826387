"""Pages that a silent cap may have cut.

A server may give fewer lines than it is asked for without a word. A page as long as the longest so
far is under suspicion: a longer one acquits it. Without that its range is read again in parts, if
much hangs on it. More lines in the parts than in the page show the cap, which is known from then
on. A part that cannot be told from one that was cut is taken on faith, and read once more if a cap
shows later. Until then nothing that was read is proven: the next scan begins before it.

Pure.
"""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

from .lines import Lines
from .profile import ServerProfile
from .ranges import Answer, PlannedRange, is_at_most
from .times import add

__all__ = ["CapCheck", "CapWatch", "Sketch"]


class Sketch(NamedTuple):
    """What tells a page from another one."""

    length: int
    oldest: dt.datetime | None
    newest: dt.datetime | None

    @classmethod
    def of(cls, answer: Answer) -> Sketch:
        """Sketch a page."""
        times = answer.lines.times
        return cls(answer.length, times[0] if times else None, times[-1] if times else None)


class CapWatch:
    """Looks out for pages that a cap may have cut, during one scan.

    Parameters
    ----------
    profile : ServerProfile
    overlap : timedelta
        How long after its time a line can be seen at the latest.
    settled : datetime, optional
        A page as long as the longest is read again in parts if it has lines older than this;
        None: in any case.
    cleared : Sketch, optional
        `cleared` of an earlier scan.

    Attributes
    ----------
    check : CapCheck or None
        The page whose range is being read again.
    cleared : Sketch or None
        The last page as long as the longest that turned out to be complete.
    """

    def __init__(
        self,
        profile: ServerProfile,
        *,
        overlap: dt.timedelta,
        settled: dt.datetime | None,
        cleared: Sketch | None,
    ) -> None:
        self.check: CapCheck | None = None
        self.cleared = cleared
        self._profile = profile
        self._overlap = overlap
        self._settled = settled
        self._is_unproven = False

    @property
    def is_proven(self) -> bool:
        """Whether all pages so far are complete for certain."""
        return self.check is None and not self._is_unproven

    def begins(self, each: PlannedRange, answer: Answer, now: dt.datetime) -> bool:
        """Tell whether the range of a page that is not full has to be read in parts."""
        # What has no times cannot be read in parts.
        if not answer.lines.times or not self._profile.suspects(answer.length):
            return False
        if self.check is None and not self._is_worth_a_check(answer):
            self._is_unproven = True
            return False
        if self.check is None:
            settled = add(answer.asked_at or now, -self._overlap)
            self.check = CapCheck(each, answer, settled)
        elif self.check.is_other_page(answer):
            self._profile.cap = answer.length
        return True

    def _is_worth_a_check(self, answer: Answer) -> bool:
        """Tell whether much hangs on it: most such pages are those of a log that grows."""
        times, profile = answer.lines.times, self._profile
        is_old = self._settled is None or (bool(times) and times[0] < self._settled)
        is_repeated = answer.length == profile.longest and self.cleared != Sketch.of(answer)
        return is_old or is_repeated or profile.grew(answer.length)

    def take_on_faith(self, each: PlannedRange, *, to_the_end: bool) -> None:
        """Take a part for complete; it is read again if a cap shows, in the rest of the scan too.

        Parameters
        ----------
        each : PlannedRange
        to_the_end : bool
            Whether the check goes on to the end of the scan.
        """
        self._is_unproven = True
        if self.check is not None:
            self.check.doubt(each, to_the_end=to_the_end)

    def end(self, known: Lines) -> list[PlannedRange]:
        """See from the parts of a range whether the page of the whole had all lines.

        Parameters
        ----------
        known : Lines
            What is known of parts that were not read yet.

        Returns
        -------
        list of PlannedRange
            What has to be read once more, now that a cap is known.
        """
        check, self.check = self.check, None
        if check is None:
            return []
        if check.has_more(known):
            self._profile.cap = check.length
            self._is_unproven = self._is_unproven or bool(check.doubtful)
            return check.doubtful
        if check.is_cleared:
            self.cleared = Sketch.of(check.answer)
        else:  # some may have come in the meantime
            self._is_unproven = True
        return []


class CapCheck:
    """A page that a cap may have cut, and whose range is read again in parts.

    Parameters
    ----------
    each : PlannedRange
        Its range.
    answer : Answer
        The page.
    settled : datetime
        Lines older than this could be seen when the page was asked for.

    Attributes
    ----------
    doubtful : list of PlannedRange
        Parts that cannot be told from such as were cut.
    """

    def __init__(self, each: PlannedRange, answer: Answer, settled: dt.datetime) -> None:
        self.answer = answer
        self.doubtful: list[PlannedRange] = []
        self._high = each.high
        self._settled = settled
        self._count = 0  # lines in the parts, ...
        self._due = 0  # ... and those among them that the page must have had

    @property
    def length(self) -> int:
        """How many lines the page has."""
        return self.answer.length

    def is_over(self, position: dt.datetime | None) -> bool:
        """Tell whether the whole range was read again."""
        return position is None or is_at_most(self._high, position)

    def is_other_page(self, answer: Answer) -> bool:
        """Tell whether another page is exactly as long as this one, as a cap makes them.

        Only with newer lines that had been written when this one was asked for: a program may
        write as many lines at once, time after time.
        """
        own = self.answer.lines.times
        written = answer.lines.between(None, self.answer.asked_at or self._settled).times
        return answer.length == self.length and bool(written and own) and written[-1] > own[-1]

    def add(self, lines: Lines) -> None:
        """Count the lines of a part."""
        lines = lines.between(None, self._high)
        self._count += len(lines.times)
        self._due += self._due_among(lines)

    def doubt(self, each: PlannedRange, *, to_the_end: bool) -> None:
        """Take a part on faith; it is read again if a cap shows, in the rest of the scan too."""
        self.doubtful.append(PlannedRange(each.low, each.high))
        if to_the_end:
            self._high = None

    def has_more(self, known: Lines) -> bool:
        """Tell whether the page lacks lines, also by others that are known of its range."""
        known = known.between(None, self._high)
        return self._due + self._due_among(known) > len(self.answer.lines.times)

    @property
    def is_cleared(self) -> bool:
        """Whether the page certainly has all lines that the parts have."""
        return self._count <= len(self.answer.lines.times) and not self.doubtful

    def _due_among(self, lines: Lines) -> int:
        """Return how many of some lines the page must have had, if it had all."""
        times = self.answer.lines.times
        settled = len(lines.between(None, self._settled).times)
        return max(settled, len(lines.up_to(times[-1]).times)) if times else settled
