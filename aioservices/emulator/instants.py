"""Instants as whole nanoseconds since the epoch."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal

__all__ = ["LIMIT", "NANOSECONDS", "SECOND", "Unit", "duration", "from_datetime", "parse", "text"]

Unit = Literal["s", "ms", "us", "ns"]

SECOND = 1_000_000_000
LIMIT = 9_200_000_000 * SECOND
"""Logs keep instants in 64 bits: lines are written between the years 1678 and 2261."""
NANOSECONDS: dict[Unit, int] = {"s": SECOND, "ms": 1_000_000, "us": 1_000, "ns": 1}

_DIGITS: dict[Unit, int] = {"s": 0, "ms": 3, "us": 6, "ns": 9}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ISO_8601 = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9})\d*)?)?(Z|[+-]\d\d:?\d\d)?"
)


def parse(stamp: str) -> int:
    """Read an ISO 8601 timestamp, exact to the nanosecond; without a zone it is UTC."""
    match = _ISO_8601.fullmatch(stamp)
    if match is None:
        raise ValueError(f"{stamp!r} is not an ISO 8601 timestamp")
    date, time, fraction, zone = match.groups()
    whole = datetime.fromisoformat(f"{date}T{time or '00:00'}{zone or 'Z'}")
    return from_datetime(whole) + int((fraction or "").ljust(9, "0"))


def from_datetime(moment: datetime) -> int:
    """Convert an aware datetime exactly, which a float could not."""
    if moment.tzinfo is None:
        raise ValueError("the time has no timezone: pass an aware datetime")
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1_000


def duration(seconds: float) -> int:
    """Convert seconds to nanoseconds."""
    return round(seconds * SECOND)


def text(instant: int, unit: Unit = "ms", utc_offset: int | None = None) -> str:
    """Format a timestamp as the API does; `utc_offset` is in minutes, None gives `Z`."""
    seconds, rest = divmod(instant, SECOND)
    date_and_time, zone = _second(seconds, utc_offset)
    digits = _DIGITS[unit]
    return f"{date_and_time}.{rest:09d}"[: 20 + digits if digits else 19] + zone


# Lines of a log are written by the thousand in a second.
@lru_cache(maxsize=256)
def _second(seconds: int, utc_offset: int | None) -> tuple[str, str]:
    local = _EPOCH + timedelta(seconds=seconds, minutes=utc_offset or 0)
    date_and_time = local.isoformat()[:19]
    if utc_offset is None:
        return date_and_time, "Z"
    hours, minutes = divmod(abs(utc_offset), 60)
    return date_and_time, f"{'-' if utc_offset < 0 else '+'}{hours:02d}:{minutes:02d}"
