"""Lines whose time cannot be read: where they belong, and which of them are new.

Theory of operation
-------------------
Such a line is known to lie between the lines before and behind it in its page, and no more. Lines
without a time that follow each other in the log are a *run*. The scan counts them, and otherwise
reads the lines that have times; it ends no range between a line and the run that follows it. So a
run belongs to the range of the line before it. What cannot be read like that is a gap.

Which of them are new is found by counting. A poll that begins at some time shows every run whole
that ends behind that time, if it begins at the line before the run. So a poll never begins within
a run of which lines were delivered, nor does the watermark stand there. Of the copies of a line in
those runs, as many are new as the poll shows more than were delivered before. Lines that turn up
late among the others move the ends of a run closer together, but they do not change how many copies
there are. So a line that is shown is taken, from old to new, for that one of those delivered that
lay around its place and must come first; its ends are those that the last poll showed.

Such a line is given the time a microsecond after the line before it. What is written into cursors
is a digest that no other line has, so that another process knows it again, whatever its time is.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass, field
from itertools import chain

from aioservices.api.models import LogEntry, TailedEntry

from .dedup import DeliveredLines, UntimedEntry, untimed_digest
from .malformed import UntimedRun
from .ranges import ScannedRange
from .times import EARLIEST, LATEST, MICROSECOND, SECOND, add

__all__ = ["UntimedLines"]


@dataclass(slots=True, eq=False)
class _Copy:
    """A line without a time, and between which times it lies; None is not known."""

    digest: bytes
    after: dt.datetime | None
    before: dt.datetime | None
    is_placed: bool = True
    is_new: bool = False  # in the poll that shows it

    def can_be(self, shown: _Copy, start: dt.datetime | None) -> bool:
        """Whether a line that a poll from a start on shows can be this one, which was delivered.

        Lines that turned up late may have come between it and those that were around it.
        """
        if not self.is_placed:
            return True
        if not self.is_from(start):
            return False
        return not shown.is_placed or (
            _is_from(shown.after, shown.before, self.after)
            and (self.before is None or (shown.before is not None and shown.before <= self.before))
        )

    def is_around(self, time: dt.datetime) -> bool:
        """Whether it is known to be beside a time, be it older or newer than it."""
        return self.is_placed and self.is_from(time) and (self.after is None or self.after < time)

    def is_from(self, start: dt.datetime | None) -> bool:
        """Whether it can be as new as a time."""
        return start is None or self.before is None or self.before >= start


@dataclass(slots=True, eq=False)
class _Poll:
    """What a poll has shown, of lines that were delivered: by it, or before."""

    shown: list[_Copy] = field(default_factory=list)
    # By digest what was delivered before and was not shown yet, in the order in which it must come,
    due: dict[bytes, list[_Copy]] = field(default_factory=dict)
    restored: set[bytes] = field(default_factory=set)  # and by another process too of these
    unplaced: Counter[bytes] = field(default_factory=Counter)  # copies whose place is not known


class UntimedLines:
    """The lines of one log without a time that were delivered and can come again."""

    __slots__ = (
        "_copies",
        "_delivered",
        "_end_at",
        "_final_below",
        "_has_gap",
        "_is_resumed",
        "_memory",
        "_now",
        "_poll",
        "_wanted_from",
    )

    def __init__(self, memory: DeliveredLines, *, end_at: dt.datetime | None = None) -> None:
        self._memory = memory  # knows what another process has delivered
        self._end_at = end_at
        self._is_resumed = True  # until a whole poll has shown what another process delivered
        self._delivered: list[_Copy] = []
        self._copies: dict[tuple[dt.datetime, bytes], int] = {}  # that were given a time
        # Of the poll that is under way; most logs have no such lines, and need no more than this:
        self._now = EARLIEST
        self._has_gap = False
        self._wanted_from: dt.datetime | None = None
        self._final_below: dt.datetime | None = None
        self._poll: _Poll | None = None

    def begin(self, start: dt.datetime | None, now: dt.datetime) -> dt.datetime | None:
        """Begin a poll of lines from a start on, at about `now` by the server's clock.

        Returns
        -------
        datetime or None
            From when on they must be read, so that no run is seen in part.
        """
        if self._poll is not None:  # it was not finished
            self._delivered += [copy for copy in self._poll.shown if copy.is_new]
        self._now, self._has_gap, self._poll = now, False, None
        if self._delivered:
            start = _before_runs(self._delivered, start)
            poll = self._poll = _Poll()
            for copy in sorted(_from_new_to_old(self._delivered), key=_must_come_by):
                poll.due.setdefault(copy.digest, []).append(copy)
        self._final_below = self._memory.watermark
        self._wanted_from = max(filter(None, (start, self._final_below)), default=None)
        return start

    def take(self, scanned: ScannedRange, watermark: dt.datetime | None) -> list[TailedEntry]:
        """Return the new lines of a range; none is given a time before the watermark.

        Ranges come from old to new.
        """
        self._has_gap = self._has_gap or not scanned.is_complete
        new: list[TailedEntry] = []
        if scanned.untimed:
            poll = self._poll = self._poll or _Poll()
            for run in scanned.untimed:
                new += self._take_run(poll, run, scanned, watermark)
        return new

    def bound(self, watermark: dt.datetime | None) -> dt.datetime | None:
        """Return the latest watermark that does not stand within a run; None: there is none."""
        if self._poll is None:
            return watermark
        return _before_runs([*self._delivered, *self._poll.shown], watermark)

    def finish(self, watermark: dt.datetime | None, *, is_whole: bool) -> None:
        """End a poll that has shown everything from its start on: if it is whole, the watermark.

        Below the watermark nothing can come again.
        """
        self._is_resumed = self._is_resumed and (self._has_gap or not is_whole)
        poll, self._poll = self._poll, None
        if poll is None:
            return
        # A poll begins at a whole second, so it shows some of what is final.
        visible_from = None if watermark is None else add(watermark, -2 * SECOND)
        self._delivered = [
            copy for copy in chain(*poll.due.values(), poll.shown) if copy.is_from(visible_from)
        ]
        if watermark is not None:
            self._copies = {key: n for key, n in self._copies.items() if key[0] >= watermark}

    def _take_run(
        self, poll: _Poll, run: UntimedRun, scanned: ScannedRange, watermark: dt.datetime | None
    ) -> list[TailedEntry]:
        """Return the new lines of a run, if it belongs to a range."""
        low, end, after, before = scanned.start, scanned.end, run.after, run.before
        newest = min(end or self._now, self._now)
        is_placed = run.is_placed and (after is not None or before is not None)
        if not is_placed:
            after, before = None, newest
        elif not _is_from(after, before, low) or (end and after and after >= end):
            return []  # another range shows it
        elif after is not None and self._end_at is not None and after > self._end_at:
            return []
        elif after is None and low is not None:
            after = add(low, -MICROSECOND)  # who reads from there sees it
        if after is not None:
            at = add(after, MICROSECOND)
        else:
            at = max(add(before or newest, -MICROSECOND), low or EARLIEST)
        at = max(at, watermark or at)
        new: list[TailedEntry] = []
        counts: Counter[bytes] = Counter()
        for line in run.lines:
            copy = _Copy(untimed_digest(line), after, before, is_placed)
            if not is_placed:  # where pages overlap is not known: the one that has most counts
                counts[copy.digest] += 1
                if counts[copy.digest] <= poll.unplaced[copy.digest]:
                    continue
                poll.unplaced[copy.digest] += 1
            if not copy.is_from(self._wanted_from):
                continue
            copy.is_new = self._is_new(poll, copy)
            poll.shown.append(copy)
            if copy.is_new:
                new.append(self._entry(line, copy.digest, at))
        return new

    def _entry(self, line: LogEntry, digest: bytes, at: dt.datetime) -> TailedEntry:
        copy = self._copies.get((at, digest), self._memory.restored_copies(at, digest))
        self._copies[at, digest] = copy + 1
        return UntimedEntry(
            created_at=at, message=line.message, stream=line.stream, source=line.source, copy=copy
        )

    def _is_new(self, poll: _Poll, copy: _Copy) -> bool:
        """Tell whether a line that is shown was not delivered before."""
        due = poll.due.setdefault(copy.digest, [])
        if self._is_resumed and copy.digest not in poll.restored:
            poll.restored.add(copy.digest)
            for at, following in self._memory.restored_times(copy.digest):
                after = add(at, -MICROSECOND)
                is_final = self._final_below is not None and at < self._final_below
                if not is_final and _Copy(copy.digest, after, following).is_from(self._wanted_from):
                    due.append(_Copy(copy.digest, after, None))  # what followed may have been late
        # The one that must come first: of what is shown later most can then be one of the others.
        start = self._wanted_from
        earlier = next((earlier for earlier in due if earlier.can_be(copy, start)), None)
        if earlier is None:
            return True
        due.remove(earlier)
        if earlier.is_placed == copy.is_placed:  # what is known of its place stays known
            copy.before = min(filter(None, (earlier.before, copy.before)), default=None)
            copy.after = copy.after or earlier.after
        return False


def _must_come_by(copy: _Copy) -> dt.datetime:
    return (copy.is_placed and copy.before) or LATEST


def _from_new_to_old(copies: list[_Copy]) -> list[_Copy]:
    return sorted(copies, key=lambda copy: copy.after or EARLIEST, reverse=True)


def _before_runs(copies: list[_Copy], time: dt.datetime | None) -> dt.datetime | None:
    """Return the latest time up to another one that does not stand within a run."""
    for copy in _from_new_to_old(copies):  # one run may reach into another that came later
        if time is not None and copy.is_around(time):
            time = copy.after and add(copy.after, MICROSECOND)
    return time


def _is_from(
    after: dt.datetime | None, before: dt.datetime | None, start: dt.datetime | None
) -> bool:
    """Whether lines between two times can be at least as new as a third one."""
    return (
        start is None or before is None or before > start or (after is not None and after >= start)
    )
