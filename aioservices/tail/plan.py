"""What a poll asks for, as a plan of queries."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple, Protocol

from aioservices.api.models import TailedEntry

__all__ = ["Plan", "Query", "Segment"]


class Query(NamedTuple):
    """What to ask the server for; both bounds are inclusive, None is open."""

    start: dt.datetime | None
    end: dt.datetime | None
    limit: int


class Segment(NamedTuple):
    """A stretch of the log that was read.

    Attributes
    ----------
    start, end : datetime or None
        Its bounds, both inclusive; None is open.
    entries : list of TailedEntry
        Its lines, by time.
    complete : bool
        False if the server holds more lines than it can be made to give.
    proven : bool
        False if they are all there is unless the server has a cap that is not known yet.
    """

    start: dt.datetime | None
    end: dt.datetime | None
    entries: list[TailedEntry]
    complete: bool = True
    proven: bool = True


class Plan(Protocol):
    """Queries that depend on the answers: a way to read a stretch of the log, from old to new."""

    limit: int

    @property
    def query(self) -> Query | None:
        """What to ask next; None when the stretch was read."""
        ...

    def feed(self, page: list[TailedEntry], *, full: bool) -> Segment | None:
        """Take in the sorted answer to `query`, which may have been cut if it is full.

        Segments join: each starts where the one before ended.
        """
        ...
