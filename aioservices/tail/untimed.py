"""Lines whose time cannot be read: where they belong, and which of them are new.

Theory of operation
-------------------
Such a line is known to lie between the lines before and behind it in its page, and no more. Lines
without a time that follow each other in the log are a *run*. The scan never sees them: it reads
the lines that have times, and is told how many lines a page had in truth.

Which of them are new is found by counting. A poll that begins at some time shows every run whole
that ends behind that time, if it begins at the line before the run. So a poll never begins within
a run of which lines were delivered, nor does the watermark stand there. Of the copies of a line in
those runs, as many are new as the poll shows more than were delivered before. Lines that turn up
late among the others move the ends of a run, but they do not change how many copies there are:
therefore only the ends are replaced by those that the last whole poll showed.

Within a poll, the ranges of a scan end at lines with times where that is possible, so that a run
is on one page. Where it is not, because a page has no such line, the end of one page is compared
with the beginning of the next: what both have is counted once.

Such a line is given the time a microsecond after the line before it. What is written into cursors
is a digest that no other line has, so that another process knows it again, whatever its time is.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import ge, le
from typing import NamedTuple

from aioservices.api.models import LogEntry, TailedEntry

from .dedup import DeliveredLines, UntimedEntry, untimed_digest
from .scan import PageRequest, ScannedRange
from .times import EARLIEST, MICROSECOND, SECOND, add

__all__ = ["PageLines", "UntimedLines", "UntimedRun", "split_page"]


class UntimedRun(NamedTuple):
    """Lines without a time that follow each other in a page.

    Attributes
    ----------
    after, before : datetime or None
        The times of the lines around them; None if there is none in the page.
    lines : list of LogEntry
        From old to new.
    is_placed : bool
        False if nothing is known of where they belong, as in a page that is in no order.
    """

    after: dt.datetime | None
    before: dt.datetime | None
    lines: list[LogEntry]
    is_placed: bool = True


class PageLines(NamedTuple):
    """The lines of a page.

    Attributes
    ----------
    entries : list of TailedEntry
        Those that have a time, as they came.
    untimed : sequence of UntimedRun
        The others, from old to new.
    """

    entries: list[TailedEntry]
    untimed: Sequence[UntimedRun] = ()

    @property
    def length(self) -> int:
        """How many lines the page has."""
        return len(self.entries) + sum(len(run.lines) for run in self.untimed)

    @property
    def ends_untimed(self) -> bool:
        """Whether the newest lines have no time."""
        return bool(self.untimed) and self.untimed[-1].is_placed and not self.untimed[-1].before


def split_page(lines: Sequence[LogEntry], *, newest_first: bool | None = None) -> PageLines:
    """Part the lines of a page that have a time from those that have none.

    Parameters
    ----------
    lines : sequence of LogEntry
        As they came; those that have a time are instances of `TailedEntry`.
    newest_first : bool, optional
        Whether they come from new to old, where their times do not tell. None: not known.
    """
    entries = [line for line in lines if isinstance(line, TailedEntry)]
    times = [entry.created_at for entry in entries]
    rises, falls = all(map(le, times, times[1:])), all(map(ge, times, times[1:]))
    is_known = newest_first is not None or not entries or times[0] != times[-1]
    if not (rises or falls) or not is_known:
        others = [line for line in lines if not isinstance(line, TailedEntry)]
        return PageLines(entries, [UntimedRun(None, None, others, is_placed=False)])
    if falls and (newest_first or not rises):
        lines = lines[::-1]
    runs: list[UntimedRun] = []
    after: dt.datetime | None = None
    run: list[LogEntry] = []
    for line in lines:
        if not isinstance(line, TailedEntry):
            run.append(line)
            continue
        if run:
            runs.append(UntimedRun(after, line.created_at, run))
            run = []
        after = line.created_at
    if run:
        runs.append(UntimedRun(after, None, run))
    return PageLines(entries, runs)


@dataclass(slots=True, eq=False)
class _Copy:
    """A line without a time, and between which times it lies; None is not known."""

    digest: bytes
    after: dt.datetime | None
    before: dt.datetime | None
    is_placed: bool = True

    def can_be(self, shown: _Copy) -> bool:
        """Return whether a line that is shown can be this one, which was delivered.

        Lines that turned up late may have come between it and those that were around it.
        """
        if not (self.is_placed and shown.is_placed):
            return True
        is_later = self.after is None or (
            shown.before is None
            or shown.before > self.after
            or (shown.after is not None and shown.after >= self.after)
        )
        return is_later and (
            self.before is None or (shown.before is not None and shown.before <= self.before)
        )


def _is_from(
    after: dt.datetime | None, before: dt.datetime | None, start: dt.datetime | None
) -> bool:
    """Return whether lines can be at least as new as a time."""
    return (
        start is None or before is None or before > start or (after is not None and after >= start)
    )


def _is_around(lines: UntimedRun | _Copy, time: dt.datetime | None) -> bool:
    """Return whether lines are known to be beside a time, older as well as newer than it."""
    if time is None:
        return lines.is_placed
    is_later = lines.before is None or lines.before > time
    return lines.is_placed and is_later and (lines.after is None or lines.after < time)


@dataclass(slots=True, eq=False)
class _Poll:
    """What a poll has shown.

    Attributes
    ----------
    due : dict of bytes to list of _Copy
        By digest what was delivered before and was not shown yet.
    restored : set of bytes
        Digests of which `due` has what another process delivered.
    pages : dict of PageRequest to sequence of UntimedRun
    counts : Counter of bytes
        Copies shown, by digest.
    shown, emitted : list of _Copy
        All, and those that are new.
    begun : tuple of UntimedRun and datetime, optional
        A run that may go on in the next range, and from when on it was read.
    """

    due: dict[bytes, list[_Copy]] = field(default_factory=dict)
    restored: set[bytes] = field(default_factory=set)
    pages: dict[PageRequest, Sequence[UntimedRun]] = field(default_factory=dict)
    counts: Counter[bytes] = field(default_factory=Counter)
    shown: list[_Copy] = field(default_factory=list)
    emitted: list[_Copy] = field(default_factory=list)
    begun: tuple[UntimedRun, dt.datetime | None] | None = None


class UntimedLines:
    """The lines of one log without a time that were delivered and can come again.

    Parameters
    ----------
    memory : DeliveredLines
        Of the same log; it knows what another process has delivered.
    end_at : datetime, optional
        Lines after this time are not of interest.
    """

    __slots__ = (
        "_anchor",
        "_copies",
        "_delivered",
        "_end_at",
        "_is_resumed",
        "_memory",
        "_now",
        "_poll",
        "_wanted_from",
    )

    def __init__(self, memory: DeliveredLines, *, end_at: dt.datetime | None = None) -> None:
        self._memory = memory
        self._end_at = end_at
        self._is_resumed = True  # until a whole poll has shown what another process delivered
        self._delivered: list[_Copy] = []
        self._copies: dict[tuple[dt.datetime, bytes], int] = {}  # that were given a time
        # Of the poll that is under way; most logs have no such lines, and need no more than this:
        self._now = EARLIEST
        self._wanted_from: dt.datetime | None = None
        self._anchor: dt.datetime | None = None  # the newest line of the ranges so far
        self._poll: _Poll | None = None

    def begin(self, start: dt.datetime | None, now: dt.datetime) -> dt.datetime | None:
        """Begin a poll.

        Parameters
        ----------
        start : datetime or None
            From when on lines are wanted.
        now : datetime
            The server's time, about.

        Returns
        -------
        datetime or None
            From when on they must be read, so that no run is seen in part.
        """
        if self._poll is not None:  # it was not finished
            self._delivered += self._poll.emitted
        self._now, self._wanted_from, self._anchor = now, start, None
        self._poll = None
        if not self._delivered:
            return start
        poll = self._poll = _Poll()
        for copy in self._delivered:
            poll.due.setdefault(copy.digest, []).append(copy)
            if start is not None and _is_around(copy, start):
                start = copy.after
        return start

    def add(self, request: PageRequest, runs: Sequence[UntimedRun]) -> None:
        """Take in what a page has."""
        if runs or self._poll is not None:
            self._poll = self._poll or _Poll()
            self._poll.pages[request] = runs

    def take(self, scanned: ScannedRange, watermark: dt.datetime | None) -> list[TailedEntry]:
        """Return the new lines of a range; ranges come from old to new.

        Parameters
        ----------
        scanned : ScannedRange
        watermark : datetime or None
            No line is given an earlier time.
        """
        new: list[TailedEntry] = []
        if self._poll is not None:
            for run, low in self._runs_of(self._poll, scanned):
                new += self._take_run(self._poll, run, low, scanned, watermark)
        if scanned.lines.times:
            self._anchor = scanned.lines.times[-1]
        return new

    def bound(self, watermark: dt.datetime | None) -> dt.datetime | None:
        """Return the latest watermark that does not stand within a run; None: there is none."""
        poll = self._poll
        if poll is None:
            return watermark
        runs: list[_Copy | UntimedRun] = [*self._delivered, *poll.shown]
        if poll.begun is not None:
            run, _ = poll.begun
            runs.append(run._replace(after=run.after or self._anchor))
        for lines in runs:
            if watermark is not None and _is_around(lines, watermark):
                watermark = lines.after and add(lines.after, MICROSECOND)
        return watermark

    def finish(self, watermark: dt.datetime | None, *, is_whole: bool) -> None:
        """End a poll that has shown everything from its start on.

        Parameters
        ----------
        watermark : datetime or None
            Below it nothing can come again.
        is_whole : bool
            Whether the poll began at the watermark.
        """
        self._is_resumed = self._is_resumed and not is_whole
        poll, self._poll = self._poll, None
        if poll is None:
            return
        # A poll begins at a whole second, so it shows some of what is final.
        visible_from = None if watermark is None else add(watermark, -2 * SECOND)
        self._delivered = [
            copy
            for copy in chain(*poll.due.values(), poll.shown)
            if _is_from(copy.after, copy.before, visible_from)
        ]
        if watermark is not None:
            self._copies = {key: n for key, n in self._copies.items() if key[0] >= watermark}

    def _runs_of(
        self, poll: _Poll, scanned: ScannedRange
    ) -> Iterator[tuple[UntimedRun, dt.datetime | None]]:
        """Give the runs of a range, and from when on each was read."""
        low = scanned.start
        # No page shows a gap whole: what stands beside what is not known there.
        shown = () if scanned.request is None else poll.pages.get(scanned.request, ())
        runs = [run for run in shown if _is_from(run.after, run.before, low)]
        if poll.begun is not None:
            begun, begun_low = poll.begun
            poll.begun = None
            before = next(iter(scanned.lines.times), None)
            rest = next((run for run in runs if _is_around(run, low)), None)
            if rest is None:
                is_known = before is not None or scanned.request is not None
                yield begun._replace(before=before, is_placed=is_known), begun_low
            else:
                runs.remove(rest)
                lines = begun.lines + rest.lines[_overlap(begun.lines, rest.lines) :]
                yield UntimedRun(begun.after, rest.before, lines), begun_low
        for run in runs:
            yield run, low

    def _take_run(
        self,
        poll: _Poll,
        run: UntimedRun,
        low: dt.datetime | None,
        scanned: ScannedRange,
        watermark: dt.datetime | None,
    ) -> list[TailedEntry]:
        """Return the new lines of a run, if it belongs to a range."""
        end = scanned.end
        after, before = run.after, run.before
        if not run.is_placed:
            after, before = None, self._now
        elif after is None and self._anchor is not None:
            if before is not None and before <= self._anchor:
                return []  # an earlier range has shown them
            after = self._anchor
        if run.is_placed and after is not None:
            if end is not None and after >= end:
                return []  # the next range shows the whole run
            if self._end_at is not None and after > self._end_at:
                return []
        at = self._time_of(run, scanned, after, watermark)
        is_wanted = _is_from(after, before, self._wanted_from)
        if before is None and end is not None:
            poll.begun = run, low
            return []
        new: list[TailedEntry] = []
        counts: Counter[bytes] = Counter()
        for line in run.lines:
            copy = _Copy(untimed_digest(line), after, before, run.is_placed)
            counts[copy.digest] += 1
            if not run.is_placed and counts[copy.digest] <= poll.counts[copy.digest]:
                continue  # where pages overlap is not known, so the one that has most counts
            poll.counts[copy.digest] += 1
            is_new = self._is_new(poll, copy)
            if copy.after is None and copy.is_placed:
                copy.after = low and add(low, -MICROSECOND)  # who reads from there sees it
            if is_wanted or not is_new:
                poll.shown.append(copy)
            if is_wanted and is_new:
                poll.emitted.append(copy)
                new.append(self._entry(line, copy.digest, at))
        return new

    def _entry(self, line: LogEntry, digest: bytes, at: dt.datetime) -> TailedEntry:
        copy = self._copies.get((at, digest), self._memory.restored_copies(at, digest))
        self._copies[at, digest] = copy + 1
        return UntimedEntry(
            created_at=at,
            message=line.message,
            stream=line.stream,
            source=line.source,
            copy=copy,
        )

    def _is_new(self, poll: _Poll, copy: _Copy) -> bool:
        """Tell whether a line that is shown was not delivered before."""
        due = poll.due.setdefault(copy.digest, [])
        if self._is_resumed and copy.digest not in poll.restored:
            poll.restored.add(copy.digest)
            for at, following in self._memory.restored_times(copy.digest):
                earlier = _Copy(copy.digest, add(at, -MICROSECOND), following)
                if _is_from(earlier.after, earlier.before, self._wanted_from):
                    earlier.before = None  # that may have turned up late
                    due.append(earlier)
        candidates = [earlier for earlier in due if earlier.can_be(copy)]
        if not candidates:
            return True
        # Best one behind the same line: of lines of one time it cannot be said which is older.
        earlier = next((it for it in candidates if it.after == copy.after), candidates[0])
        due.remove(earlier)
        if earlier.is_placed == copy.is_placed:  # what is known of its place stays known
            copy.before = min(filter(None, (earlier.before, copy.before)), default=None)
            copy.after = copy.after or earlier.after
        return False

    def _time_of(
        self,
        run: UntimedRun,
        scanned: ScannedRange,
        after: dt.datetime | None,
        watermark: dt.datetime | None,
    ) -> dt.datetime:
        """Return the time that the lines of a run are given."""
        if after is not None:
            at = add(after, MICROSECOND)
        else:
            at = add(run.before, -MICROSECOND) if run.before else scanned.asked_at or self._now
            at = max(at, scanned.start or at)
        return max(at, watermark or at)


def _overlap(earlier: list[LogEntry], later: list[LogEntry]) -> int:
    """Return how many lines at the end of some are those at the beginning of others."""
    for count in range(min(len(earlier), len(later)), 0, -1):
        if earlier[-count:] == later[:count]:
            return count
    return 0
