"""How values are passed to and from PostgreSQL."""

from __future__ import annotations

import datetime as dt

from aioservices.stores.record import from_micros

__all__ = ["MICROS", "time_of", "without_nul"]

MICROS = "(extract(epoch FROM {0}) * 1000000)::bigint"
"""An SQL expression for a time as microseconds since 1970, computed in integers.

What psycopg makes of a time depends on the time zone of the session, and fails for the year 1.
"""


def time_of(micros: int | None) -> dt.datetime | None:
    """Convert the result of `MICROS`."""
    return None if micros is None else from_micros(micros)


def without_nul(text: str | None) -> str | None:
    """Replace NUL, which no text in PostgreSQL can contain."""
    return None if text is None else text.replace("\0", "\u2400")
