"""Pages of a log that are not as promised, taken as well as can be.

Pure. One line that a program wrote as invalid text, or that the server shows in an odd way, must
not keep all others from being read.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from typing import cast

import msgspec

from aioservices.api.models import TailedEntry

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


def decode_lenient(page: bytes) -> tuple[list[TailedEntry], int] | None:
    """Decode a page whose entries are malformed.

    Parameters
    ----------
    page : bytes
        Its JSON.

    Returns
    -------
    list of TailedEntry
        As many as the page has, so that its length still tells whether it was cut. A text that is
        not a string is shown as JSON. A line without a time has that of the one before it; ...
    int
        ... so many lines at the beginning, which have none before them, have that of the next one.
        The result is None if this is not a page of a log.
    """
    try:
        lines = msgspec.convert(_parsed(page), list[dict[str, object]])
    except (ValueError, RecursionError):
        return None
    times = [_time(line.get("createdAt")) for line in lines]
    first = next((place for place, time in enumerate(times) if time is not None), None)
    if first is None:
        return None
    known = cast("dt.datetime", times[first])
    entries: list[TailedEntry] = []
    for line, time in zip(lines, times, strict=True):
        known = time or known
        message, stream, source = (_text(line.get(name)) for name in _TEXTS)
        entries.append(TailedEntry(created_at=known, message=message, stream=stream, source=source))
    return entries, first


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
