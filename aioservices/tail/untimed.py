"""Lines whose time cannot be read: where they stand, and which of them were delivered.

Pure. Such a line gets a time by its place: a microsecond after the line before it. So it is never
older than a watermark, which is at most a microsecond past the newest line that was delivered. But
a line that turns up late between the two moves it, and so does a page that begins between them.
Hence lines without a time are known by their text too, in the order in which they stand.
"""

from __future__ import annotations

import datetime as dt

from aioservices.api.models import TailedEntry

from .lines import Lines, sort_lines
from .times import MICROSECOND, add

__all__ = [
    "UntimedEntry",
    "UntimedLines",
    "has_untimed",
    "with_anchor",
    "without_untimed",
]


class UntimedEntry(TailedEntry, frozen=True, kw_only=True, rename="camel", gc=False):
    """A line whose time cannot be read, and which has one by its place.

    Attributes
    ----------
    is_anchored
        Whether a line with a time stands before it in its page.
    """

    is_anchored: bool = True


def has_untimed(entries: list[TailedEntry]) -> bool:
    """Return whether some of the lines have no time of their own."""
    return UntimedEntry in set(map(type, entries))


def without_untimed(lines: Lines) -> Lines:
    """Return the lines that have a time of their own: only they prove anything."""
    if not has_untimed(lines.entries):
        return lines
    return sort_lines([entry for entry in lines.entries if not isinstance(entry, UntimedEntry)])


def with_anchor(lines: Lines, anchor: dt.datetime | None, low: dt.datetime | None) -> Lines:
    """Place the lines at the beginning of a page that have no line before them there.

    Parameters
    ----------
    lines : Lines
        Of the page.
    anchor : datetime or None
        The time of the last line that an earlier page had.
    low : datetime or None
        Where the range begins, of which the page is.
    """
    entries: list[TailedEntry] = []
    for entry in lines.entries:
        if isinstance(entry, UntimedEntry) and not entry.is_anchored:
            if anchor is not None:
                anchor = add(anchor, MICROSECOND)
            time = anchor or entry.created_at
            entries.append(_placed_at(entry, time if low is None else max(time, low)))
        else:
            entries.append(entry)
    return sort_lines(sorted(entries, key=lambda entry: entry.created_at))


class UntimedLines:
    """The lines of one log without a time that were delivered and can come again.

    Parameters
    ----------
    is_resumed : bool
        Whether another process has delivered lines of the log, of which only the times and
        digests are known.
    """

    def __init__(self, *, is_resumed: bool) -> None:
        self._is_resumed = is_resumed
        # By hash of the text, the time of each copy, in their order:
        self._delivered: dict[int, list[dt.datetime]] = {}
        self._met: dict[int, list[dt.datetime]] = {}  # in the poll that is under way
        self._start: dt.datetime | None = None

    def begin(self, start: dt.datetime | None) -> None:
        """Begin a poll that shows all lines from a time on."""
        for key, times in self._met.items():  # of a poll that was not finished
            self._delivered[key] = sorted([*self._delivered.get(key, []), *times])
        self._met = {}
        self._start = start

    def filter_new(self, lines: Lines, watermark: dt.datetime | None) -> Lines:
        """Leave out what was delivered, and make entries like all others of the rest.

        Parameters
        ----------
        lines : Lines
            Of a range; the ranges of a poll come from old to new.
        watermark : datetime or None
            Below it all other lines were delivered.
        """
        entries: list[TailedEntry] = []
        for entry in lines.entries:
            if not isinstance(entry, UntimedEntry):
                entries.append(entry)
            elif not self._is_delivered(entry):
                time = entry.created_at
                if watermark is not None and not self._is_resumed:
                    time = max(time, watermark)  # below it, it would be taken for delivered
                entries.append(_plain(entry, time))
        return sort_lines(sorted(entries, key=lambda entry: entry.created_at))

    def finish(self, *, is_whole: bool) -> None:
        """End a poll; a whole one has met all lines that can come again."""
        if is_whole:
            self._delivered, self._met = self._met, {}
            self._is_resumed = False

    def _is_delivered(self, entry: UntimedEntry) -> bool:
        key = hash((entry.stream, entry.source, entry.message))
        time = entry.created_at
        self._met.setdefault(key, []).append(time)
        delivered = self._delivered.get(key, [])
        for place, earlier in enumerate(delivered):
            # A copy that is older than the poll's start may not be shown any more.
            is_shown = self._start is None or earlier >= self._start or not entry.is_anchored
            if earlier == time or (earlier < time and is_shown):
                del delivered[place]
                return True
        # What stands before all lines that are shown was delivered with them.
        return self._is_resumed and not entry.is_anchored


def _placed_at(entry: UntimedEntry, time: dt.datetime) -> UntimedEntry:
    return UntimedEntry(
        created_at=time,
        message=entry.message,
        stream=entry.stream,
        source=entry.source,
        service_id=entry.service_id,
        deployment_id=entry.deployment_id,
        is_anchored=False,
    )


def _plain(entry: UntimedEntry, time: dt.datetime) -> TailedEntry:
    return TailedEntry(
        created_at=time,
        message=entry.message,
        stream=entry.stream,
        source=entry.source,
        service_id=entry.service_id,
        deployment_id=entry.deployment_id,
    )
