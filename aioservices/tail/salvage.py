"""Pages of a log that are not as promised, taken as well as can be.

Pure. One line that a program wrote as no valid text, or that the server tells
in an odd way, must not keep all others from being read.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json

import msgspec

from aioservices.api.models import TailedEntry

__all__ = ["legible", "salvaged"]

_TEXTS = ("message", "stream", "source")


def legible(page: bytes) -> list[TailedEntry] | None:
    """Read a page of which nothing but some text is invalid.

    Parameters
    ----------
    page : bytes
        Its JSON.

    Returns
    -------
    list of TailedEntry or None
        With U+FFFD in place of what cannot be read. None if more is wrong than that.
    """
    try:
        return msgspec.convert(_parsed(page), list[TailedEntry])
    except (ValueError, RecursionError):
        return None


def salvaged(page: bytes) -> list[TailedEntry] | None:
    """Make lines of a page.

    Parameters
    ----------
    page : bytes
        Its JSON.

    Returns
    -------
    list of TailedEntry or None
        As many as the page has, so that its length still tells whether it was cut. A text that
        is none is shown as JSON. A line without a time has that of the one before it, or of the
        one after it. None if that makes no page of a log.
    """
    try:
        lines = msgspec.convert(_parsed(page), list[dict[str, object]])
    except (ValueError, RecursionError):
        return None
    times = [_time(line.get("createdAt")) for line in lines]
    known = next(filter(None, times), None)
    if known is None:
        return None
    entries: list[TailedEntry] = []
    for line, time in zip(lines, times, strict=True):
        known = time or known
        message, stream, source = (_text(line.get(name)) for name in _TEXTS)
        entries.append(TailedEntry(created_at=known, message=message, stream=stream, source=source))
    return entries


def _parsed(page: bytes) -> object:
    told = json.loads(page.decode("utf-8-sig", errors="replace"), strict=False)
    # What JSON can escape, and no text can hold: halves of a character.
    text = json.dumps(told, ensure_ascii=False)
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
