"""What a walk asks for, what it finds, and what it learns of the server."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

from aioservices.models import LogEntry

from .bounds import GRAINS

__all__ = ["ENLARGEMENT", "Query", "Segment", "ServerTraits"]

# How much larger the limit is with which a crowded instant is asked for once more.
ENLARGEMENT = 10
# Pages shorter than this are not suspected of being cut by a silent cap.
_SMALLEST_CAP = 10


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
    entries : list of LogEntry
        Its lines, by time.
    complete : bool
        False if the server holds more lines than it can be made to give.
    """

    start: dt.datetime | None
    end: dt.datetime | None
    entries: list[LogEntry]
    complete: bool = True


class ServerTraits:
    """What was learnt of a server, for all who read logs from it."""

    def __init__(self) -> None:
        self.record = 0  # length of the longest page
        self.cap: int | None = None  # the server's own limit, where it proved to be below ours
        self.honoured = 0  # index in GRAINS of the finest bounds that proved to be honoured
        self.refuted = len(GRAINS)  # ... of the coarsest that proved not to be
        self.ignores_end = False
        self.keeps_oldest = False  # of interest only where end_at is ignored

    def is_full(self, length: int, limit: int) -> bool:
        """Whether a page may have been cut; learns from its length."""
        suspect = length >= max(self.record, _SMALLEST_CAP)
        self.record = max(self.record, length)
        if self.cap is not None and length > self.cap:
            self.cap = None
        if self.cap is not None:
            return length >= min(limit, self.cap)
        return length >= limit or suspect
