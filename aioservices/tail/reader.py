"""Reading one log, poll after poll: where each poll begins, and what of it is new.

Pure: pages and the server's time are handed in.
"""

from __future__ import annotations

import datetime as dt
import math
from bisect import bisect_left
from typing import NamedTuple

from aioservices.api.models import TailedEntry

from .bounds import MICROSECOND, SECOND, earlier, floor
from .cap import CapSearch
from .lines import created_at
from .plan import Segment
from .schedule import Ladder
from .traits import ServerTraits
from .walk import Walk
from .window import Window

__all__ = ["LogReader", "Stretch"]

# A log with fewer lines than this inside the overlap is cheap to look over whole each time.
_FEW_LINES = 200


class Stretch(NamedTuple):
    """What a part of a poll brought.

    Attributes
    ----------
    entries : list of TailedEntry
        The new lines, by time.
    floor : datetime or None
        Below it nothing more can come.
    start, end : datetime or None
        Of what was read.
    gap : bool
        Whether the server holds lines there that cannot be had, which was not known before.
    """

    entries: list[TailedEntry]
    floor: dt.datetime | None
    start: dt.datetime | None = None
    end: dt.datetime | None = None
    gap: bool = False


class LogReader:
    """Reads one deployment's log.

    Parameters
    ----------
    window : Window
        What was delivered before; its floor is where reading starts.
    overlap : float
        Seconds after its time at which a line may still turn up.
    limit : int
        Lines that a page may have.
    traits : ServerTraits
    end_at : datetime, optional
        Lines after this time are not of interest.
    """

    def __init__(
        self,
        window: Window,
        *,
        overlap: float,
        limit: int,
        traits: ServerTraits,
        end_at: dt.datetime | None = None,
    ) -> None:
        self.window = window
        self.late = 0
        self.news = 0  # of the poll that is under way, or was last
        self.looked_whole = False
        self._read = 0  # lines of the poll, new or not
        self._overlap = dt.timedelta(seconds=overlap)
        self._ladder = Ladder(overlap)
        self._limit = limit
        self._traits = traits
        self._cap = CapSearch(traits)
        self._end_at = end_at
        self._newest: dt.datetime | None = window.newest
        self._newest_before = self._newest
        self._suspects = False  # whether to look over all of it takes more than one request
        self._last_poll: dt.datetime | None = None
        self._clock: dt.datetime | None = None
        self._horizon = dt.datetime.max.replace(tzinfo=dt.UTC)
        self._step: dt.timedelta | None = None
        self._crowded: list[tuple[dt.datetime, dt.datetime]] = []

    def begin(self, horizon: dt.datetime, *, whole: bool = False) -> Walk:
        """Begin a poll.

        Parameters
        ----------
        horizon : datetime
            About now.
        whole : bool
            Whether to look back all the way, however busy the log is, and to prove all that
            is found complete.

        Returns
        -------
        Walk
            Its queries are to be made, its segments handed to `take`.
        """
        start = self.window.floor
        is_dear = len(self.window) > _FEW_LINES or self._suspects
        if not whole and self._last_poll is not None and is_dear:
            back = self._ladder.next()
            if not math.isinf(back):
                recent = floor(earlier(self._last_poll, dt.timedelta(seconds=back)), SECOND)
                start = recent if start is None else max(start, recent)
        self.looked_whole = start == self.window.floor
        self.news = self._read = 0
        self._newest_before = self._newest
        self._clock = None
        self._horizon = horizon
        self._cap.begin(None if whole else earlier(horizon, 2 * self._overlap))
        horizon = max(horizon, self._newest or horizon)
        return Walk(
            start,
            self._end_at,
            horizon=horizon,
            limit=self._limit,
            traits=self._traits,
            step=self._step,
            crowded=self._crowded,
            cap=self._cap,
        )

    def take(self, segment: Segment, clock: dt.datetime | None) -> Stretch:
        """Take in what a walk has read.

        Parameters
        ----------
        segment : Segment
        clock : datetime or None
            The server's time, or an earlier one, when the poll began. Without
            it the newest line tells the time, unless it lies ahead of our own.

        Returns
        -------
        Stretch
        """
        self._read += len(segment.entries)
        entries = self.window.admit(segment.entries)
        if entries:
            self.news += len(entries)
            if self._newest_before is not None:
                self.late += bisect_left(entries, self._newest_before, key=created_at)
            last = entries[-1].created_at
            self._newest = last if self._newest is None else max(self._newest, last)
        if self._clock is None:
            told = self._newest and min(self._newest, self._horizon)
            self._clock = told if clock is None else clock
        bottom = self._final_below(segment)
        self.window.raise_floor(bottom)
        bottom = self.window.floor
        first = 0 if bottom is None else bisect_left(entries, bottom, key=created_at)
        self.window.count(entries[first:])
        return Stretch(entries, bottom, segment.start, segment.end, self._is_new_gap(segment))

    def finish(self, walk: Walk) -> None:
        """End a poll whose walk is over."""
        # A poll that would have fitted on one page is tried at once the next time.
        is_short = self._read <= self._traits.room(self._limit) // 2
        self._step = None if is_short else walk.step
        self._cap.end()
        self._suspects = walk.suspects or (self._suspects and not self.looked_whole)
        self._last_poll = self._clock
        if self.window.floor is not None:
            self._crowded = [span for span in self._crowded if span[1] >= self.window.floor]

    def look_back_whole(self) -> None:
        """Have the next poll look back all the way, as after an outage."""
        self._last_poll = None

    def settle(self) -> None:
        """Forget the lines of a log that was read to its end."""
        if self._newest is not None:
            self.window.raise_floor(self._newest + MICROSECOND)

    def _final_below(self, segment: Segment) -> dt.datetime | None:
        """Below which time every line has been read, and no other can turn up."""
        if not self.looked_whole or not segment.proven:
            return None
        if self._clock is None or self._newest is None:
            return None
        # The next line is newer than the last, also if the server's clock is ahead of those that
        # write.
        settled = min(earlier(self._clock, self._overlap), self._newest + MICROSECOND)
        return settled if segment.end is None else min(segment.end, settled)

    def _is_new_gap(self, segment: Segment) -> bool:
        if segment.complete:
            return False
        start, end = segment.start, segment.end
        if start is None or end is None:
            return True
        if any(low <= start and end <= high for low, high in self._crowded):
            return False
        self._crowded.append((start, end))
        return True
