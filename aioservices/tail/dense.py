"""Reading a second that holds more lines than a page.

Pure. A larger limit is tried first. Where that does not do, the second is parted
by bounds finer than itself, the coarsest that do. A line that the server would
leave out if it rounded such a bound shows, by being in the answer, that it heeds
it. A part that stays full and cannot be parted any more is a gap, unless nothing
but its length speaks against its being complete.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence

from aioservices.api.models import TailedEntry

from .bounds import GRAINS, MICROSECOND, SECOND, ceil, floor, inclusive
from .lines import between, lacking, united
from .plan import Query, Segment
from .traits import ServerTraits

__all__ = ["DenseSecond"]

# Queries without a segment after which the rest of the second is given up.
_MOST_ATTEMPTS = 60


class DenseSecond:
    """The queries for a stretch that bounds of whole seconds cannot part.

    Parameters
    ----------
    low : datetime
        Where it begins. Lines before it may be among the answers: nothing shows that a
        server heeds a bound before which there are none.
    end : datetime or None
        Where it ends, at the next whole second; None if that is yet to come.
    limit : int
        Lines that an ordinary page may have.
    traits : ServerTraits
    crowded : sequence of (datetime, datetime)
        Stretches of which an earlier walk found that they cannot be read whole.
    """

    def __init__(
        self,
        low: dt.datetime,
        end: dt.datetime | None,
        *,
        limit: int,
        traits: ServerTraits,
        crowded: Sequence[tuple[dt.datetime, dt.datetime]] = (),
    ) -> None:
        if traits.start.needs(low) > traits.start.proven:
            low = floor(low, SECOND)
        self.limit = traits.enlarged(limit)
        self._usual = limit
        self._traits = traits
        self._crowded = crowded
        self._low = low  # where the next segment begins
        self._done = low - MICROSECOND  # up to here every line was read
        self._known: list[TailedEntry] = []  # the last full page
        self._seen: list[TailedEntry] = []  # what any page had; of a gap all that can be given
        self._over = False
        # The window: where it starts, and the ends of those that were too long, the nearest last.
        self._start = floor(low, SECOND)
        self._goal = end
        self._ends = [end]
        self._attempts = 0
        self._is_crowded = False  # whether it is known that it cannot be read whole
        self._leaps = False  # whether it begins behind such a window, at a bound on trial
        self._needs_witness = False  # whether only such ends are to be tried as lines can prove
        # What is asked, instead of the window, to judge its length.
        self._probe: Query | None = None
        self._has_lines_behind = False
        self._avoid_crowds()

    @property
    def query(self) -> Query | None:
        """What to ask next; None when the second was read."""
        if self._over:
            return None
        if self._probe is not None:
            return self._probe
        end = self._ends[-1]
        return Query(self._start, end and inclusive(end), self.limit)

    def feed(self, page: list[TailedEntry], *, full: bool) -> Segment | None:
        """Take in the sorted answer to `query`, which may have been cut if it is full."""
        if self._probe is not None:
            return self._judge(self._probe, page)
        self._attempts += 1
        start, end, traits = self._start, self._ends[-1], self._traits
        start_heeded = traits.start.learn(page, start)
        end_heeded = end is None or traits.end.learn(page, end)
        traits.note_ticks(page)
        if full:
            self._known = page
        if full or not (start_heeded and end_heeded):
            self._seen = united(page, between(self._seen, self._low, None))
        if self._leaps:
            return self._land()
        if full and (self._is_crowded or self._attempts > _MOST_ATTEMPTS):
            return self._give_up()
        if full:
            return self._narrow()
        if start_heeded and end_heeded:
            return self._complete(page)
        self._retreat(start_heeded=start_heeded, end_heeded=end_heeded)
        return None

    # Windows

    def _open_window(self) -> None:
        """Lay the next window, from where the last one ended."""
        self._attempts = 0
        self._needs_witness = False
        while self._ends and (end := self._ends[-1]) is not None and end <= self._done:
            self._ends.pop()
        if not self._ends:
            self._over = True
            return
        self._avoid_crowds()
        self._start = max(self._start, self._latest_start())

    def _avoid_crowds(self) -> None:
        """End the window before the next crowd, or where that ends."""
        self._is_crowded = False
        low, end = self._done + MICROSECOND, self._ends[-1]
        for first, last in self._crowded:
            if low < last:
                nearest = first if low < first else last
                if end is None or nearest < end:
                    self._ends.append(nearest)
                self._is_crowded = self._ends[-1] == last
                return

    def _narrow(self) -> Segment | None:
        """Shorten the window, of which a page was full."""
        end = self._nearer_end()
        if end is not None:
            self._ends.append(end)
        start = self._latest_start()
        if end is None and start <= self._start:
            start = self._next_time()
            ahead = between(self._known, None, self._ends[-1])
            if start <= self._start or not self._traits.start.may_try(ahead, start):
                return self._give_up()
        self._start = max(self._start, start)
        return None

    def _nearer_end(self) -> dt.datetime | None:
        """An end that leaves about half of the window to the next one."""
        last = self._ends[-1] or floor(self._done + MICROSECOND, SECOND) + SECOND
        for time in self._places(between(self._known, self._done + MICROSECOND, last), last):
            for unit in GRAINS[: self._traits.end.refuted]:
                end = ceil(time, unit)
                if self._done < end < last:
                    return end
        # Since the window was opened the log may have grown by more than a second. An end that is
        # yet to come would hide what is written before it.
        return last if self._ends[-1] is None and self._known[-1].created_at >= last else None

    def _places(self, ahead: list[TailedEntry], last: dt.datetime) -> Iterator[dt.datetime]:
        """Where the window may be parted, the best place first."""
        oldest, newest = (ahead[0].created_at, ahead[-1].created_at) if ahead else (last, last)
        lacks_older = bool(ahead) and self._known[0] is ahead[0]  # where it keeps the newest
        if lacks_older and not self._needs_witness and oldest - self._done > newest - oldest:
            yield self._done + (oldest - self._done) / 2
        if ahead:
            yield ahead[len(ahead) // 2].created_at
            yield oldest
        yield floor(self._low, SECOND)

    def _latest_start(self) -> dt.datetime:
        """The start that leaves out most of what was read before."""
        end, traits = self._ends[-1], self._traits.start
        # One test at a time: a line that is missing must tell which of the bounds hides it.
        on_trial = self._traits.end.needs(end) > self._traits.end.proven
        page = [] if on_trial else between(self._known, None, end)
        for unit in reversed(GRAINS[: traits.refuted]):
            start = floor(self._done, unit)
            if traits.may_try(page, start):
                return start
        return self._start

    def _next_time(self) -> dt.datetime:
        """The time after the last that was read, if the clock ticks as all lines so far show.

        A tick of a microsecond may be finer in truth: lines that were rounded to one
        time would be parted.
        """
        tick = GRAINS[self._traits.finest]
        return self._done if tick == MICROSECOND else floor(self._done, tick) + tick

    def _retreat(self, *, start_heeded: bool, end_heeded: bool) -> None:
        """Go back to bounds that are heeded: nothing shows that the page has all lines."""
        traits, end = self._traits, self._ends[-1]
        if not start_heeded:
            traits.start.refute(traits.start.needs(self._start))
            self._start = floor(self._done + MICROSECOND, traits.start.unit)
        if end is not None and not end_heeded:
            needs = traits.end.needs(end)
            if traits.end.shown_by(self._seen, end) >= needs:
                traits.end.refute(needs)  # a line that would have shown it was left out
            self._needs_witness = True
            if len(self._ends) > 1:
                self._ends.pop()
        while len(self._ends) > 1 and traits.end.needs(self._ends[-1]) >= traits.end.refuted:
            self._ends.pop()

    # Segments

    def _complete(self, page: list[TailedEntry], *, proven: bool = True) -> Segment:
        """Close the window: what lies in it is all there is."""
        end = self._ends[-1]
        segment = Segment(self._low, end, between(page, self._low, end), proven=proven)
        if end is None:
            self._over = True
        else:
            self._low = self._done = end
            self._open_window()
        return segment

    def _give_up(self) -> Segment | None:
        """Close a window that cannot be parted, once it is known whether its page was cut."""
        if self._traits.cap is None and len(self._known) < self.limit:
            self._has_lines_behind = False
            self._probe = Query(None, None, self.limit)
            return None
        return self._leap()

    def _judge(self, probe: Query, page: list[TailedEntry]) -> Segment | None:
        """See from another answer whether the server gives more lines than that page had."""
        self._probe = None
        length, end = len(self._known), self._ends[-1]
        if len(page) > length:
            return self._complete(self._known)
        if probe.start is not None:
            self._has_lines_behind = bool(lacking(self._known, page))
            if self._has_lines_behind:  # unless they came in the meantime, it did leave them out
                self._probe = Query(None, None, self.limit)
                return None
        elif not self._has_lines_behind and end is not None:
            self._probe = Query(end, None, self.limit)
            return None
        if self._has_lines_behind or lacking(self._known, page):
            self._traits.cap = length
        elif length != self._usual:
            return self._complete(self._known, proven=False)
        return self._leap()

    def _leap(self) -> Segment | None:
        """Go on behind a window that cannot be read whole, at the next bound, if it is heeded."""
        end = self._ends[-1]
        if end is None:
            end = max(self._done, self._known[-1].created_at)
        if self._attempts > _MOST_ATTEMPTS:
            end = ceil(end, SECOND)
        self._done = end
        behind = end if self._is_crowded else end + MICROSECOND
        return self._try_landing(ceil(behind, GRAINS[self._traits.start.refuted - 1]))

    def _try_landing(self, start: dt.datetime) -> Segment | None:
        if self._goal is not None and start >= self._goal:
            return self._skip_to(self._goal)
        self._leaps = True
        self._start = start
        while len(self._ends) > 1 and (end := self._ends[-1]) is not None and end <= start:
            self._ends.pop()
        return None

    def _land(self) -> Segment | None:
        """See from the answer how finely the start of the window was heeded."""
        traits = self._traits.start
        unit = GRAINS[min(traits.proven, traits.refuted - 1)]
        start = ceil(self._start, GRAINS[traits.refuted - 1])
        if start > self._start:
            return self._try_landing(start)
        return self._skip_to(ceil(self._start, unit))

    def _skip_to(self, landing: dt.datetime) -> Segment:
        """Leave a gap, up to where bounds are heeded again."""
        self._leaps = False
        entries = between(self._seen, self._low, landing - MICROSECOND)
        segment = Segment(self._low, landing, entries, complete=False)
        self._low, self._done, self._start = landing, landing - MICROSECOND, landing
        if self._goal is not None and landing >= self._goal:
            self._over = True
        else:
            self._open_window()
        return segment
