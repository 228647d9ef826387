"""Times as bounds of a request: rounded to units, moved without overflow."""

from __future__ import annotations

import datetime as dt

__all__ = [
    "EARLIEST",
    "LATEST",
    "MICROSECOND",
    "MILLISECOND",
    "SECOND",
    "TIME_UNITS",
    "add",
    "ceil",
    "floor",
    "next_second",
    "to_utc",
]

SECOND = dt.timedelta(seconds=1)
MILLISECOND = dt.timedelta(milliseconds=1)
MICROSECOND = dt.timedelta(microseconds=1)
# What times may be rounded to, and where that changes if it is to the nearest multiple.
TIME_UNITS = (SECOND, SECOND / 2, MILLISECOND, MILLISECOND / 2, MICROSECOND)

# The first and the last moment that a `datetime` can hold: what lies beyond is one of them.
EARLIEST = dt.datetime.min.replace(tzinfo=dt.UTC)
LATEST = dt.datetime.max.replace(tzinfo=dt.UTC)

_ZERO = dt.timedelta(0)


def add(time: dt.datetime, span: dt.timedelta) -> dt.datetime:
    """Return a time plus a span; what would overflow is the earliest or the latest time."""
    try:
        return time + span
    except OverflowError:
        return EARLIEST if span < _ZERO else LATEST


def floor(time: dt.datetime, unit: dt.timedelta) -> dt.datetime:
    """Return the last multiple of one of the `TIME_UNITS` that is not after a time."""
    if unit == SECOND:  # `replace` takes three times as long as a subtraction
        return time - time.microsecond * MICROSECOND
    if unit == MICROSECOND:
        return time
    return time - time.microsecond % unit.microseconds * MICROSECOND


def ceil(time: dt.datetime, unit: dt.timedelta) -> dt.datetime:
    """Return the first multiple of one of the `TIME_UNITS` that is not before a time."""
    below = floor(time, unit)
    return below if below == time else add(below, unit)


def next_second(time: dt.datetime) -> dt.datetime:
    """Return the first whole second after a time."""
    return add(floor(time, SECOND), SECOND)


def to_utc(time: dt.datetime) -> dt.datetime:
    """Return a time in UTC, where that is not beyond what a `datetime` can hold."""
    if time.tzinfo is dt.UTC:
        return time
    try:
        return time.astimezone(dt.UTC)
    except OverflowError:
        return EARLIEST if time < LATEST - dt.timedelta(days=2) else LATEST
