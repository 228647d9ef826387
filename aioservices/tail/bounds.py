"""Times as bounds of a query, and lines between them."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_right
from operator import attrgetter

from aioservices.models import LogEntry

__all__ = [
    "GRAINS",
    "MICROSECOND",
    "MILLISECOND",
    "SECOND",
    "ceil",
    "created_at",
    "earlier",
    "floor",
    "has_line",
]

created_at = attrgetter("created_at")

SECOND = dt.timedelta(seconds=1)
MILLISECOND = dt.timedelta(milliseconds=1)
MICROSECOND = dt.timedelta(microseconds=1)
# What a bound may be a multiple of, from the one that every server honours.
GRAINS = (SECOND, MILLISECOND, MICROSECOND)


def has_line(page: list[LogEntry], after: dt.datetime, until: dt.datetime) -> bool:
    """Whether a sorted page has a line after one time and not after another."""
    index = bisect_right(page, after, key=created_at)
    return index < len(page) and page[index].created_at <= until


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


def earlier(time: dt.datetime, span: dt.timedelta) -> dt.datetime:
    """A time less a span, however long."""
    try:
        return time - span
    except OverflowError:
        return dt.datetime.min.replace(tzinfo=dt.UTC) + dt.timedelta(days=2)
