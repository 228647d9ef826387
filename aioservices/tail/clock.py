"""The server's time, as the header `Date` of its answers tells it.

`Date` is cut to whole seconds and is as old as the answer took, so it is a lower bound; between
two answers the monotonic clock carries it on. Three servers need care. A `Date` that stands still
(a cache, a frozen clock) says nothing new: time goes on from when it was first seen. So it does
after an answer without a `Date`. A `Date` earlier than one seen before comes from a cache, or from
one of several servers whose clock is behind: it is ignored, unless several of these in a row
themselves move on, as they do after a clock was set back.
"""

from __future__ import annotations

import datetime as dt
import math
import time
from collections.abc import Callable, Mapping

from multidict import istr

from aioservices.http.response import http_date

from .times import MICROSECOND, SECOND, add

__all__ = ["ServerClock"]

_DATE = istr("Date")

# How many earlier dates in a row, each later than the one before, show a clock that was set back.
_SET_BACK = 3


class ServerClock:
    """The server's time; that of this machine until the server has sent its own.

    Attributes
    ----------
    known : bool
        Whether the server has sent its time.
    """

    __slots__ = ("_earlier", "_header", "_heard_at", "_monotonic", "_time", "known")

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.known = False
        self._monotonic = monotonic
        self._time = dt.datetime.now(dt.UTC)  # at ...
        self._heard_at = monotonic()
        self._header: str | None = None  # that was read last
        self._earlier: list[dt.datetime] = []  # dates that came after the one that was believed

    def now(self) -> dt.datetime:
        """The time, or a little earlier."""
        return self.at(self._monotonic())

    def at(self, moment: float) -> dt.datetime:
        """The time, or a little earlier, at a moment of the monotonic clock."""
        return add(self._time, math.floor((moment - self._heard_at) * 1e6) * MICROSECOND)

    def latest(self) -> dt.datetime:
        """The time, or a little later: what the server tells is cut to whole seconds."""
        return add(self.now(), SECOND) if self.known else self.now()

    def observe(self, headers: Mapping[str, str]) -> None:
        """Learn from the headers of an answer that has just come."""
        header = headers.get(_DATE)
        if header is None or header == self._header:
            return
        self._header = header
        date = http_date(headers)
        if date is not None and self._is_credible(date):
            self.known = True
            self._time = date
            self._heard_at = self._monotonic()
            self._earlier.clear()

    def _is_credible(self, date: dt.datetime) -> bool:
        if not self.known or date > self._time:
            return True
        if self._earlier and date <= self._earlier[-1]:
            self._earlier.clear()
        self._earlier.append(date)
        return len(self._earlier) >= _SET_BACK
