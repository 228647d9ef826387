"""The status of the collector in one line, for a terminal and the service manager; pure."""

from __future__ import annotations

from collections import deque

from aioservices.fleet.collecting import CollectorStatus
from aioservices.terminal.numbers import quantity

__all__ = ["StatusLine"]

_RATE_WINDOW = 10.0  # seconds over which a rate is averaged


class StatusLine:
    """Formats the status of a collector, with rates computed from earlier statuses.

    Parameters
    ----------
    began : float
        Seconds of a monotonic clock when the collector had stored nothing yet.
    """

    def __init__(self, began: float) -> None:
        self._seen = deque([(began, 0)])

    def render(self, status: CollectorStatus, now: float) -> str:
        """Format a status.

        Parameters
        ----------
        status : CollectorStatus
        now : float
            Seconds of a monotonic clock.

        Returns
        -------
        str
            Such as ``120 lines/s, 40 services, lag 1 s, otlp 3 behind``.
        """
        self._seen.append((now, status.lines))
        while len(self._seen) > 2 and self._seen[1][0] <= now - _RATE_WINDOW:
            self._seen.popleft()
        (since, before), (until, lines) = self._seen[0], self._seen[-1]
        rate = (lines - before) / (until - since) if until > since else 0.0
        parts = [f"{rate:,.0f} lines/s", quantity(status.leases, "service")]
        if status.reasons:  # first, because the end of the line may be cut off
            reason, *others = status.reasons
            more = f" (and {len(others)} more)" if others else ""
            parts.insert(0, f"NOT READY: {reason}{more}")
        lags = [s.lag_seconds for s in status.services if s.lag_seconds is not None]
        if lags:
            parts.append(f"lag {max(lags):,.0f} s")
        if status.waiting:
            parts.append(f"{quantity(status.waiting, 'line')} waiting for the store")
        parts += [
            f"{forwarder.name.partition(':')[0]} {forwarder.behind:,} behind"
            for forwarder in status.forwarders
            if forwarder.behind
        ]
        if status.gaps:
            parts.append(quantity(status.gaps, "gap"))
        return ", ".join(parts)
