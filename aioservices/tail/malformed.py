"""Pages of a log that are not as promised, taken as well as can be.

Pure. One line that a program wrote as invalid text, or that the server shows in an odd way, must
not keep all others from being read.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json

import msgspec

from aioservices.api.models import TailedEntry

from .times import MICROSECOND, add
from .untimed import UntimedEntry

__all__ = ["decode_lenient", "decode_lossy"]

_TEXTS = ("message", "stream", "source")


def decode_lossy(page: bytes) -> list[TailedEntry] | None:
    """Decode a page of which nothing but some text is invalid.

    Parameters
    ----------
    page : bytes
        Its JSON.

    Returns
    -------
    list of TailedEntry or None
        With U+FFFD in place of what cannot be decoded. None if more is wrong than that.
    """
    try:
        return msgspec.convert(_parsed(page), list[TailedEntry])
    except (ValueError, RecursionError):
        return None


def decode_lenient(
    page: bytes, *, near: dt.datetime | None = None, newest_first: bool = False
) -> list[TailedEntry] | None:
    """Decode a page whose entries are malformed.

    Parameters
    ----------
    page : bytes
        Its JSON.
    near : datetime, optional
        A time for lines none of which has one.
    newest_first : bool
        Whether lines come from new to old, where their times do not tell.

    Returns
    -------
    list of TailedEntry or None
        As many as the page has, so that its length still tells whether it was cut. A text that is
        not a string is shown as JSON. A line without a time is an `UntimedEntry`, a microsecond
        after the line before it, or before the first that has a time. The result is None if this
        is not a page of a log, or if no time is known.
    """
    try:
        lines = msgspec.convert(_parsed(page), list[dict[str, object]])
    except (ValueError, RecursionError):
        return None
    times = [_time(line.get("createdAt")) for line in lines]
    told = [time for time in times if time is not None] or ([] if near is None else [near])
    if not told or not lines:
        return None
    if told[0] != told[-1]:
        newest_first = told[-1] < told[0]
    if newest_first:  # what was written before a line comes after it
        lines.reverse()
        times.reverse()
        told.reverse()
    before = next((place for place, time in enumerate(times) if time is not None), 0)
    at = add(told[0], -(before + 1) * MICROSECOND)
    is_anchored = False
    entries: list[TailedEntry] = []
    for line, time in zip(lines, times, strict=True):
        message, stream, source = (_text(line.get(name)) for name in _TEXTS)
        if time is not None:
            at, is_anchored = time, True
            entry = TailedEntry(created_at=at, message=message, stream=stream, source=source)
        else:
            at = add(at, MICROSECOND)
            entry = UntimedEntry(
                created_at=at,
                message=message,
                stream=stream,
                source=source,
                is_anchored=is_anchored,
            )
        entries.append(entry)
    return entries[::-1] if newest_first else entries


def _parsed(page: bytes) -> object:
    parsed = json.loads(page.decode("utf-8-sig", errors="replace"), strict=False)
    # JSON can escape halves of a character, which no text can hold.
    text = json.dumps(parsed, ensure_ascii=False)
    return json.loads(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))


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
