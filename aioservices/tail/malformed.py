"""Pages of a log that are not as promised, taken as well as can be.

Pure. One line that a program wrote as invalid text, or that the server shows in an odd way, must
not keep all others from being read.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json

import msgspec

from aioservices.api.models import LogEntry, TailedEntry

from .untimed import PageLines, split_page

__all__ = ["decode_lenient", "decode_lossy"]

_TEXTS = ("message", "stream", "source")
_TIME = "createdAt"


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


def decode_lenient(page: bytes, *, newest_first: bool | None = None) -> PageLines | None:
    """Decode a page whose entries are malformed.

    Parameters
    ----------
    page : bytes
        Its JSON.
    newest_first : bool, optional
        Whether lines come from new to old, where their times do not tell. None: not known.

    Returns
    -------
    PageLines or None
        As many lines as the page has, so that its length still tells whether it was cut. A text
        that is not a string, and an entry that is not an object, is shown as JSON. None if this
        is not a page of a log.
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
