"""Times as bounds of a query."""

from __future__ import annotations

import datetime as dt

__all__ = [
    "GRAINS",
    "MICROSECOND",
    "MILLISECOND",
    "SECOND",
    "ceil",
    "earlier",
    "floor",
    "grain",
    "inclusive",
]

SECOND = dt.timedelta(seconds=1)
MILLISECOND = dt.timedelta(milliseconds=1)
MICROSECOND = dt.timedelta(microseconds=1)
# What a bound may be a multiple of, from the one that every server honours.
GRAINS = (SECOND, MILLISECOND, MICROSECOND)


def floor(time: dt.datetime, unit: dt.timedelta) -> dt.datetime:
    """The last multiple of one of the `GRAINS` that is not after a time."""
    if unit == SECOND:
        return time.replace(microsecond=0)
    if unit == MILLISECOND:
        return time.replace(microsecond=time.microsecond // 1000 * 1000)
    return time


def ceil(time: dt.datetime, unit: dt.timedelta) -> dt.datetime:
    """The first multiple of one of the `GRAINS` that is not before a time."""
    below = floor(time, unit)
    return below if below == time else below + unit


def grain(time: dt.datetime | None) -> int:
    """The index of the coarsest of the `GRAINS` that a time is a multiple of; an open one is 0."""
    if time is None or not time.microsecond:
        return 0
    return 2 if time.microsecond % 1000 else 1


def earlier(time: dt.datetime, span: dt.timedelta) -> dt.datetime:
    """A time less a span, however long."""
    try:
        return time - span
    except OverflowError:
        return dt.datetime.min.replace(tzinfo=dt.UTC) + dt.timedelta(days=2)


def inclusive(end: dt.datetime) -> dt.datetime:
    """The bound that lets in all lines of a time.

    Where the server knows finer times than we do, a line that was rounded down
    to this one lies above it.
    """
    return end + MICROSECOND
