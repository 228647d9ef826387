"""Pages of a log that are not as promised, taken as well as can be.

Pure. One line that a program wrote as invalid text, or that the server shows in an odd way, must
not keep all others from being read.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from collections.abc import Sequence
from operator import ge, le
from typing import NamedTuple

import msgspec

from aioservices.api.models import LogEntry, TailedEntry

__all__ = ["PageLines", "UntimedRun", "decode_lenient", "decode_lossy", "split_page"]

_TEXTS = ("message", "stream", "source")
_TIME = "createdAt"


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
        length = len(self.entries)
        for run in self.untimed:  # mostly none
            length += len(run.lines)
        return length


def split_page(lines: Sequence[LogEntry], *, newest_first: bool | None = None) -> PageLines:
    """Part the lines of a page that have a time, instances of `TailedEntry`, from the others.

    Parameters
    ----------
    lines : sequence of LogEntry
        As they came.
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


def decode_lossy(page: bytes) -> list[TailedEntry] | None:
    """Decode a page of which nothing but some text is invalid; None if more is wrong than that.

    What cannot be decoded of a text is U+FFFD.
    """
    try:
        return msgspec.convert(_parsed(page), list[TailedEntry])
    except (ValueError, RecursionError):
        return None


def decode_lenient(page: bytes, *, newest_first: bool | None = None) -> PageLines | None:
    """Decode a page whose entries are malformed; None if it is not a page of a log.

    It keeps its length, which tells whether it was cut. A text that is not a string, and an entry
    that is not an object, is shown as JSON.
    """
    try:
        lines = msgspec.convert(_parsed(page), list[object])
    except (ValueError, RecursionError):
        return None
    if not any(isinstance(line, dict) and ("message" in line or _TIME in line) for line in lines):
        return None
    return split_page([_entry(line) for line in lines], newest_first=newest_first)


def _parsed(page: bytes) -> object:
    parsed = json.loads(page.decode("utf-8-sig", errors="replace"), strict=False)
    # JSON can escape halves of a character, which no text can hold.
    text = json.dumps(parsed, ensure_ascii=False)
    return json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))


def _entry(line: object) -> LogEntry:
    """Return a `TailedEntry` if the line has a time."""
    try:
        told = msgspec.convert(line, dict[str, object])
    except msgspec.ValidationError:
        return LogEntry(message=json.dumps(line))
    message, stream, source = (_text(told.get(name)) for name in _TEXTS)
    time = _time(told.get(_TIME))
    if time is None:
        return LogEntry(message=message, stream=stream, source=source)
    return TailedEntry(created_at=time, message=message, stream=stream, source=source)


def _text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _time(value: object) -> dt.datetime | None:
    with contextlib.suppress(msgspec.ValidationError, ValueError):
        # In the form that was promised, or in another one that can be understood.
        try:
            time = msgspec.convert(value, dt.datetime)
        except msgspec.ValidationError:
            time = dt.datetime.fromisoformat(str(value))
        return time if time.tzinfo else time.replace(tzinfo=dt.UTC)
    return None
