"""Whether a server gives fewer lines than it is asked for.

Pure. A page as long as the longest ever may have been cut by a cap that nobody
mentioned. It was if another page has lines that it lacks, and if it lacks them
again when it is asked for once more: else they have come in the meantime. Its
stretch is read again in parts only when much hangs on it: most such pages are
those of a log that grows.
"""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

from aioservices.api.models import TailedEntry

from .bounds import MICROSECOND, grain
from .lines import between
from .plan import Query
from .traits import ServerTraits

__all__ = ["CapSearch"]

# A page that is so many times as long as the longest before it did not just grow.
_GROWTH = 1.25


class CapSearch:
    """Doubts the pages of one log, poll after poll.

    Parameters
    ----------
    traits : ServerTraits
        What is found out is noted there.

    Attributes
    ----------
    trial : Query or None
        A query to be repeated.
    """

    def __init__(self, traits: ServerTraits) -> None:
        self.trial: Query | None = None
        self._traits = traits
        self._length = 0  # of the page on trial
        self._last: _Sketch | None = None  # the last page that was as long as the longest
        self._acquitted: _Sketch | None = None
        self.begin(None)

    def begin(self, settled: dt.datetime | None) -> None:
        """Begin a poll.

        Parameters
        ----------
        settled : datetime or None
            A page with older lines must be proven complete; None: every page must.
        """
        self.trial = None
        self._settled = settled
        self._examined: _Sketch | None = None  # the first page of the poll that was doubted
        self._suspects: list[tuple[Query, list[TailedEntry]]] = []

    def doubts(self, query: Query, page: list[TailedEntry], *, growth: float) -> bool:
        """Decide whether a sorted page as long as the longest is to be read again in parts.

        Parameters
        ----------
        query : Query
        page : list of TailedEntry
        growth : float
            How many times as long as the longest before it is.
        """
        sketch = _Sketch(len(page), page[0].created_at, page[-1].created_at)
        before, self._last = self._last, sketch
        is_old = self._settled is None or sketch.oldest < self._settled
        is_repeated = before is not None and before.length == sketch.length
        if self._examined is None and (
            is_old or growth > _GROWTH or (is_repeated and sketch != self._acquitted)
        ):
            self._examined = sketch
        if self._examined is None:
            return False
        end = query.end and query.end - MICROSECOND
        if not grain(query.start) and not grain(end):  # else it may lack lines for other reasons
            self._suspects.append((query, page))
        return True

    def end(self) -> None:
        """End a poll: what was doubted was found to be complete, or else a cap was found."""
        if self._examined is not None:
            self._acquitted = self._examined

    def compare(self, query: Query, page: list[TailedEntry]) -> None:
        """See whether a page has lines that others lack."""
        if page and self._acquitted and page[-1].created_at > self._acquitted.newest:
            self._acquitted = None  # was it short of those?
        suspects: list[tuple[Query, list[TailedEntry]]] = []
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

    def judge(self, page: list[TailedEntry]) -> None:
        """Take in the answer to the trial."""
        self.trial = None
        if len(page) <= self._length:
            self._traits.cap = self._length


class _Sketch(NamedTuple):
    """What tells a page from another one."""

    length: int
    oldest: dt.datetime
    newest: dt.datetime


def _later(one: dt.datetime | None, other: dt.datetime | None) -> dt.datetime | None:
    return max(filter(None, (one, other)), default=None)


def _earlier(one: dt.datetime | None, other: dt.datetime | None) -> dt.datetime | None:
    return min(filter(None, (one, other)), default=None)
