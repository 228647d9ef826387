"""Reading one log, poll after poll: where each poll begins, and what of it is new.

Pure: pages and the server's time are handed in.

A poll is one `RangeScan`. Most polls of a busy log look back a little, now and then one looks back
to the watermark, below which nothing new can come. Only such a poll can move the watermark: to the
server's time, when a page was asked for, less the overlap.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from typing import NamedTuple

from aioservices.api.models import TailedEntry, assign_log

from .cursor import Batch
from .dedup import DeliveredLines
from .malformed import PageLines
from .ranges import Gap, PageRequest, Replan, ScannedRange, Sketch, is_at_most
from .scan import RangeScan, ServerProfile
from .schedule import Lookback
from .status import LogGap
from .times import EARLIEST, LATEST, MICROSECOND, MILLISECOND, SECOND, add, ceil, floor
from .untimed import UntimedLines

__all__ = ["LogReader", "PollSummary"]

# A log with fewer lines than this inside the overlap is cheap to look over whole each time.
_FEW_LINES = 200
# Pages after which a poll that does not move the watermark is ended, to go on in the next one.
_MOST_REQUESTS = 200


class PollSummary(NamedTuple):
    """What a poll brought.

    Attributes
    ----------
    lines : int
        New ones.
    late : int
        How many of them are older than the newest that was known before.
    filled : float
        The part of a page that the new lines fill.
    is_behind : bool
        Whether the poll was ended before it had reached the present.
    evictions : int
        How often more lines had to be remembered than can be.
    """

    lines: int
    late: int
    filled: float
    is_behind: bool
    evictions: int


class LogReader:
    """Reads one deployment's log.

    Parameters
    ----------
    service_id, deployment_id : int
    delivered : DeliveredLines
        What was delivered before; its watermark is where reading starts.
    profile : ServerProfile
    overlap : float
        Seconds after its time at which a line may still turn up.
    limit : int
        Lines that a page may have.
    end_at : datetime, optional
        Lines after this time are not of interest.
    """

    __slots__ = (
        "_asked_at",
        "_cleared",
        "_density",
        "_deployment_id",
        "_elapsed",
        "_end_at",
        "_evictions",
        "_gaps",
        "_is_dated",
        "_is_dear",
        "_is_whole",
        "_late",
        "_limit",
        "_lines",
        "_lookback",
        "_newest",
        "_newest_before",
        "_now",
        "_overlap",
        "_profile",
        "_read_until",
        "_scan",
        "_service_id",
        "_settled_below",
        "_size",
        "_untimed",
        "delivered",
    )

    def __init__(
        self,
        service_id: int,
        deployment_id: int,
        delivered: DeliveredLines,
        *,
        profile: ServerProfile,
        overlap: float,
        limit: int,
        end_at: dt.datetime | None = None,
    ) -> None:
        self.delivered = delivered
        self._service_id = service_id
        self._deployment_id = deployment_id
        self._profile = profile
        self._overlap = dt.timedelta(seconds=overlap)
        self._limit = limit
        self._end_at = end_at
        self._lookback = Lookback(overlap)
        self._newest = delivered.newest
        self._read_until: dt.datetime | None = None  # None: the next poll looks back all the way
        self._is_dear = False  # whether to look over all of it takes more than one request
        self._density: float | None = None
        self._cleared: Sketch | None = None
        self._gaps: list[Gap] = []
        self._untimed = UntimedLines(delivered, end_at=end_at)
        self._scan: RangeScan | None = None
        # Of the poll that is under way, or was last:
        self._size = limit
        self._now = EARLIEST
        self._asked_at: dt.datetime | None = None  # when its last page was asked for
        self._elapsed = dt.timedelta(0)  # until its last page came
        self._is_dated = True  # whether it is known when each of its pages was asked for
        self._is_whole = True
        self._settled_below = LATEST  # every range so far was read when nothing could come there
        self._lines = self._late = self._evictions = 0
        self._newest_before = self._newest

    # A poll

    def begin(self, now: dt.datetime, *, page_size: int | None = None, whole: bool = False) -> None:
        """Begin a poll.

        Parameters
        ----------
        now : datetime
            The server's time, about.
        page_size : int, optional
            Lines to ask for at once. Default: the limit.
        whole : bool
            Whether to look back all the way, however busy the log is, and to prove all that is
            found complete.
        """
        start = self.delivered.watermark
        self._size = page_size or self._limit
        self._now, self._asked_at, self._is_dated = now, None, True
        self._is_whole = True
        self._settled_below = LATEST
        is_busy = len(self.delivered) > _FEW_LINES or self._is_dear
        if is_busy and not whole and self._read_until is not None:
            back = self._lookback.next(now)
            if back is not None:
                recent = add(self._read_until, -back)
                if start is None or recent > start:
                    start, self._is_whole = recent, False
        else:
            self._lookback.reset(now)
        self._lines = self._late = self._evictions = 0
        self._newest_before = self._newest
        start = self._untimed.begin(start, now)
        self._scan = RangeScan(
            start,
            self._end_at,
            now=now,
            profile=self._profile,
            limit=self._limit,
            page_size=page_size,
            overlap=self._overlap,
            density=self._density,
            expected=self._times_since(start),
            seen_until=self._read_until,
            gaps=self._gaps,
            settled=None if whole else add(now, -2 * self._overlap),
            cleared=self._cleared,
        )

    def _times_since(self, start: dt.datetime | None) -> list[dt.datetime]:
        """Return the times of the lines that a poll will read again, if they are many."""
        if start is None:
            return []
        return self.delivered.times_since(start, least=self._profile.page_size(self._size) // 2)

    def next_request(self, *, ahead: int = 0) -> PageRequest | None:
        """Return the next page to ask for; see `RangeScan.next_request`."""
        return self._scan.next_request(ahead=ahead) if self._scan is not None else None

    @property
    def is_complete(self) -> bool:
        """Whether the poll is over: nothing is to be asked, and nothing awaited."""
        return self._scan is None or self._scan.is_complete

    def feed(
        self,
        request: PageRequest,
        page: PageLines,
        *,
        asked_at: dt.datetime | None = None,
        elapsed: float,
    ) -> list[Batch]:
        """Take in an answer.

        Parameters
        ----------
        asked_at : datetime or None
            The server's time when it was asked, or a little earlier. Without it the newest line
            tells the time, unless it lies ahead of our own.
        elapsed : float
            Seconds since the poll began.

        Returns
        -------
        list of Batch
            What is new, in the order in which it is to be handed on.
        """
        scan = self._scan
        if scan is None:
            return []
        if asked_at is not None:
            self._asked_at = asked_at if self._asked_at is None else max(asked_at, self._asked_at)
        self._elapsed = dt.timedelta(seconds=elapsed)
        self._is_dated = self._is_dated and asked_at is not None
        scanned = scan.feed(request, page, asked_at=asked_at)
        batches = [batch for each in scanned if (batch := self._take(each)) is not None]
        if not self._is_whole and scan.requests >= _MOST_REQUESTS and not scan.is_complete:
            self._record_end(scan)  # the log grows faster than its pages come
            self._scan = None
        return batches

    def resize_pages(self, size: int) -> None:
        """Ask for so many lines at once from now on."""
        self._size = size
        if self._scan is not None:
            self._scan.resize_pages(size)

    def replan(self, request: PageRequest, how: Replan) -> None:
        """Plan a request again that has failed, with pages of the present size."""
        if self._scan is not None:
            self._scan.replan(request, how)

    def finish(self) -> PollSummary:
        """End a poll."""
        scan = self._scan
        is_behind = scan is None or not scan.is_complete
        if scan is not None and not is_behind:
            self._record_end(scan)
            self._untimed.finish(self.delivered.watermark, is_whole=self._is_whole)
        self._scan = None
        self.delivered.forget()
        watermark = self.delivered.watermark
        if watermark is not None:
            # A poll begins a little before the watermark, at a whole second.
            self._gaps = [gap for gap in self._gaps if gap.end > add(watermark, -2 * SECOND)]
        return PollSummary(
            self._lines,
            self._late,
            self._lines / self._profile.page_size(self._size),
            is_behind,
            self._evictions,
        )

    def look_back_whole(self) -> None:
        """Have the next poll look back all the way, as after an outage."""
        self._read_until = None

    # The ends of a log

    def opened(self, created_at: dt.datetime | None) -> Batch:
        """Return the batch that says that this log, of a deployment created then, is being read."""
        return self._batch([], created_at=created_at)

    def ended(self) -> Batch:
        """Return the batch that says that this log was read to its end."""
        return self._batch([], is_final=True)

    # Ranges

    def _take(self, scanned: ScannedRange) -> Batch | None:
        """Make a batch of what is new in a range."""
        delivered = self.delivered
        entries = delivered.filter_new(scanned.lines)
        if untimed := self._untimed.take(scanned, delivered.watermark):
            entries = sorted(entries + untimed, key=_created_at)
        if entries:
            self._lines += len(entries)
            if self._newest_before is not None:
                self._late += bisect_left(entries, self._newest_before, key=_created_at)
        if scanned.lines.times:
            last = scanned.lines.times[-1]
            self._newest = last if self._newest is None else max(self._newest, last)
        is_new_gap = not scanned.is_complete and self._is_new_gap(scanned)
        delivered.advance_watermark(self._final_below(scanned))
        counted = delivered.record(entries)
        gaps: list[LogGap] = []
        if is_new_gap:
            gaps.append(self._gap(*_whole_seconds(scanned)))
        evicted = delivered.evict()
        if evicted is not None:
            self._evictions += 1
            gaps.append(self._gap(*evicted))
        if not entries and not gaps:
            return None
        return self._batch(entries, counted=counted, gaps=tuple(gaps))

    def _batch(
        self,
        entries: list[TailedEntry],
        *,
        counted: int = 0,
        gaps: tuple[LogGap, ...] = (),
        created_at: dt.datetime | None = None,
        is_final: bool = False,
    ) -> Batch:
        delivered = self.delivered
        delivered.hand_out()
        # Only now, so that of the lines that a poll reads again none is touched.
        assign_log(entries, self._service_id, self._deployment_id)
        return Batch(
            deployment_id=self._deployment_id,
            entries=entries,
            gaps=gaps,
            watermark=delivered.watermark,
            created_at=created_at,
            is_final=is_final,
            delivered=delivered,
            recorded=delivered.recorded,
            counted=counted,
        )

    def _gap(self, start: dt.datetime | None, end: dt.datetime | None) -> LogGap:
        return LogGap(self._service_id, self._deployment_id, start, end)

    def _clock(self, scanned: ScannedRange) -> dt.datetime | None:
        """Return the server's time when a range was read, or an earlier one."""
        if self._is_dated or self._newest is None:
            return scanned.asked_at
        # The newest line has been written by now. So this is when the poll began, at the earliest,
        # and all of its ranges were read later. That line may show a time that was rounded up.
        began_at = min(add(self._newest, -self._elapsed), self._now)
        return add(began_at, -MILLISECOND)

    def _final_below(self, scanned: ScannedRange) -> dt.datetime | None:
        """Return the time below which every line has been read, and no other can turn up."""
        clock, end = self._clock(scanned), scanned.end
        if clock is None:
            return None
        settled = add(clock, -self._overlap)
        if self._is_dated and (end is None or end > settled):
            # While the newer ranges of this poll are read, a line may still turn up here.
            self._settled_below = min(self._settled_below, settled)
        if not self._is_whole or not scanned.is_proven or self._newest is None:
            return None
        # The next line is newer than the last, also if the server's clock is ahead of those that
        # write.
        below = min(settled, self._settled_below, add(self._newest, MICROSECOND))
        return self._untimed.bound(below if end is None else min(end, below))

    def _is_new_gap(self, scanned: ScannedRange) -> bool:
        """Remember a gap; False if it was known, or if nothing new can be missing there."""
        start, end = _whole_seconds(scanned)
        resumes_at = scanned.end
        if end is None or resumes_at is None:
            return True
        start = start or EARLIEST
        for place, gap in enumerate(self._gaps):
            if gap.start <= start and end <= gap.end:
                self._gaps[place] = gap._replace(resumes_at=max(gap.resumes_at, resumes_at))
                return False
        self._gaps.append(Gap(start, end, resumes_at))
        return not is_at_most(end, self.delivered.watermark)

    def _record_end(self, scan: RangeScan) -> None:
        """Remember how far a poll has read, and what it has seen."""
        until = self._asked_at or (self._newest and min(self._newest, self._now))
        if scan.position is not None:
            until = min(until or scan.position, scan.position)
        self._read_until = until
        self._density = scan.density
        self._cleared = scan.cleared
        if self._is_whole:
            self._is_dear = scan.requests > 1


def _created_at(entry: TailedEntry) -> dt.datetime:
    return entry.created_at


def _whole_seconds(scanned: ScannedRange) -> tuple[dt.datetime | None, dt.datetime | None]:
    start, end = scanned.start, scanned.end
    return start and floor(start, SECOND), end and ceil(end, SECOND)
