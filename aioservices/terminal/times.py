"""Durations and times as people write and read them; pure.

Every time that is shown is in UTC and in ISO 8601, so that it can be compared with any other one,
and copied to where a time is asked for.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import NamedTuple

from aioservices.validation import LONGEST_SECONDS

__all__ = ["Instant", "format_duration", "format_instant", "parse_duration", "parse_instant"]

_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LONGEST_TEXT = 40
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(min|[smhdw])")


def parse_duration(text: str) -> float:
    """Read a duration such as ``90``, ``90s``, ``10m``, ``1h30m`` or ``2d``.

    Parameters
    ----------
    text : str

    Returns
    -------
    float
        Seconds.

    Raises
    ------
    ValueError
        If it is not a duration, or is too long.

    Examples
    --------
    >>> parse_duration("1h30m")
    5400.0
    """
    shown = text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."
    text = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        seconds = float(text)
    elif not text or _PART.sub("", text).strip():
        raise ValueError(f"{shown!r} is not a duration: write it as 90s, 10m, 1h30m or 2d")
    else:
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    if seconds > LONGEST_SECONDS:
        raise ValueError(
            f"{shown!r} is too long for a duration: the longest is {LONGEST_SECONDS:.0f}s"
        )
    return float(seconds)


def parse_instant(text: str, *, now: dt.datetime) -> dt.datetime:
    """Read a time: a duration before now, or a date with or without a time of day.

    Parameters
    ----------
    text : str
        Such as ``10m``, or ISO 8601: ``2026-11-23``, ``2026-11-23T12:34Z``; without a
        zone it is in that of this machine.
    now : datetime
        Aware.

    Returns
    -------
    datetime
        Aware.

    Raises
    ------
    ValueError
        If it is neither.
    """
    try:
        return now - dt.timedelta(seconds=parse_duration(text))
    except OverflowError:
        raise ValueError(f"{text!r} is before the calendar begins") from None
    except ValueError:
        pass
    try:
        instant = dt.datetime.fromisoformat(text.strip())
        return instant if instant.tzinfo else instant.astimezone()
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is not a time: write it as 10m (ago), 2026-11-23 or 2026-11-23T12:34Z"
        ) from None


def format_instant(instant: dt.datetime, precision: str = "milliseconds") -> str:
    """Format a time in UTC and in ISO 8601.

    Parameters
    ----------
    instant : datetime
        Aware.
    precision : {'minutes', 'seconds', 'milliseconds', 'auto'}
        The last unit that is shown; ``auto`` shows microseconds unless there are none.

    Examples
    --------
    >>> format_instant(dt.datetime(2026, 11, 23, 12, 34, tzinfo=dt.UTC), "seconds")
    '2026-11-23T12:34:00Z'
    """
    try:
        shown = instant.astimezone(dt.UTC)
    except OverflowError:  # at an end of the calendar, in another zone
        return instant.isoformat(timespec=precision)
    return shown.replace(tzinfo=None).isoformat(timespec=precision) + "Z"


class Instant(NamedTuple):
    """A time as somebody wrote it, which may be relative to now."""

    text: str

    def at(self, now: dt.datetime) -> dt.datetime:
        """Resolve it against the current time; see `parse_instant`."""
        return parse_instant(self.text, now=now)


def format_duration(seconds: float) -> str:
    """Format a duration in at most two units.

    Examples
    --------
    >>> format_duration(125.4), format_duration(7.25), format_duration(90_000)
    ('2 min 5 s', '7 s', '1 d 1 h')
    """
    left = max(0, round(seconds))
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number} {unit}")
        elif parts:
            break  # "1 d 3 s" is more precise than useful
    return " ".join(parts[:2]) or "0 s"
