"""The server's time, as its answers tell it."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Mapping

from aioservices.http.response import http_date

from .bounds import SECOND

__all__ = ["ServerClock"]


class ServerClock:
    """Tells the server's time; our own only as long as the server has not said anything.

    Attributes
    ----------
    known : bool
        Whether the server has told the time.
    """

    def __init__(self) -> None:
        self.known = False
        self._told = dt.datetime.now(dt.UTC)
        self._told_at = time.monotonic()

    def now(self) -> dt.datetime:
        """The time, or a little earlier."""
        return self._told + dt.timedelta(seconds=time.monotonic() - self._told_at)

    def latest(self) -> dt.datetime:
        """The time, or a little later: what the server tells is cut to whole seconds."""
        return self.now() + (SECOND if self.known else dt.timedelta(0))

    def hear(self, headers: Mapping[str, str], elapsed: float) -> dt.datetime | None:
        """Learn from an answer.

        Parameters
        ----------
        headers : mapping
            Of the answer.
        elapsed : float
            Seconds that it took.

        Returns
        -------
        datetime or None
            The server's time when it was asked, or a little earlier; None if it does not tell.
        """
        date = http_date(headers)
        if date is None:
            return None
        self.known = True
        self._told, self._told_at = date, time.monotonic()
        return date - dt.timedelta(seconds=elapsed)
