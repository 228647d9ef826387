"""Whether a server gives fewer lines than it is asked for.

Pure. A page as long as the longest ever may have been cut by a cap that nobody
mentioned. It was if another page has lines that it lacks, and if it lacks them
again when it is asked for once more: else they have come in the meantime.
"""

from __future__ import annotations

import datetime as dt

from aioservices.models import LogEntry

from .bounds import MICROSECOND, grain
from .lines import between
from .plan import Query
from .traits import ServerTraits

__all__ = ["CapSearch"]


class CapSearch:
    """Compares the pages of one walk.

    Parameters
    ----------
    traits : ServerTraits
        What is found out is noted there.
    """

    def __init__(self, traits: ServerTraits) -> None:
        self.trial: Query | None = None  # a query to be repeated
        self._traits = traits
        self._suspects: list[tuple[Query, list[LogEntry]]] = []
        self._length = 0  # of the page on trial

    def suspect(self, query: Query, page: list[LogEntry]) -> None:
        """Note a page that a cap may have cut, if it lacks lines for no other reason."""
        end = query.end and query.end - MICROSECOND
        if not grain(query.start) and not grain(end):
            self._suspects.append((query, page))

    def compare(self, query: Query, page: list[LogEntry]) -> None:
        """See whether a page has lines that others lack."""
        suspects: list[tuple[Query, list[LogEntry]]] = []
        for before, known in self._suspects:
            start = _later(before.start, query.start)
            end = _earlier(before.end, query.end)
            if len(page) > len(known) or (start and end and end <= start):
                continue  # no cap is that small, or it ends before this one
            if len(between(page, start, end)) > len(between(known, start, end)):
                self.trial, self._length = before, len(known)
            else:
                suspects.append((before, known))
        self._suspects = suspects

    def judge(self, page: list[LogEntry]) -> None:
        """Take in the answer to the trial."""
        self.trial = None
        if len(page) <= self._length:
            self._traits.cap = self._length


def _later(one: dt.datetime | None, other: dt.datetime | None) -> dt.datetime | None:
    return max(filter(None, (one, other)), default=None)


def _earlier(one: dt.datetime | None, other: dt.datetime | None) -> dt.datetime | None:
    return min(filter(None, (one, other)), default=None)
