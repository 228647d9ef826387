"""The number of lines that each service wrote in each of the last minutes; pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

__all__ = ["LinesPerMinute"]


class LinesPerMinute:
    """Counts per minute, computed from totals that are passed in from time to time.

    Parameters
    ----------
    minutes : int, default 30
        How many minutes are remembered.
    """

    def __init__(self, minutes: int = 30) -> None:
        self._minutes = minutes
        self._current: int | None = None
        self._totals: dict[int, int] = {}
        self._counts: dict[int, deque[int]] = {}

    def add(self, totals: Mapping[int, int], now: float) -> None:
        """Record the total number of lines of each service.

        Parameters
        ----------
        totals : mapping of int to int
            Totals by service. A missing service is forgotten; a new one starts at zero.
        now : float
            Seconds of a monotonic clock.
        """
        minute = int(now // 60)
        passed = 0 if self._current is None else minute - self._current
        self._current = minute
        for counts in self._counts.values():
            counts.extend([0] * min(passed, self._minutes))
        for service_id, total in totals.items():
            counts = self._counts.setdefault(service_id, deque([0], maxlen=self._minutes))
            counts[-1] += max(total - self._totals.get(service_id, total), 0)
        for service_id in self._counts.keys() - totals.keys():
            del self._counts[service_id]
        self._totals = dict(totals)

    def of(self, service_id: int) -> list[int]:
        """Return the counts of a service, the current minute last."""
        return list(self._counts.get(service_id, ()))
