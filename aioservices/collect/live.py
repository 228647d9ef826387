"""One line that says how the collecting goes, for a terminal and for the service manager; pure."""

from __future__ import annotations

from collections import deque

from aioservices.fleet.collecting import CollectorStatus

__all__ = ["Rates"]

_SPAN = 10.0  # seconds over which a rate is averaged


class Rates:
    """Turns statuses into a line, and remembers the last ones to compute rates from them."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def line(self, status: CollectorStatus, now: float) -> str:
        """Say how it goes.

        Parameters
        ----------
        status : CollectorStatus
        now : float
            Seconds of a clock that only goes forward.

        Returns
        -------
        str
            As in ``120 lines/s, 40 services, lag 1 s, otlp 3 behind``.
        """
        self._seen.append((now, status.lines))
        while len(self._seen) > 2 and self._seen[1][0] <= now - _SPAN:
            self._seen.popleft()
        (since, before), (until, lines) = self._seen[0], self._seen[-1]
        rate = (lines - before) / (until - since) if until > since else 0.0
        parts = [f"{rate:,.0f} lines/s", f"{status.leases:,} services"]
        if status.reasons:  # first, as the end of a line may be cut off
            reason, *others = status.reasons
            more = f" (and {len(others)} more)" if others else ""
            parts.insert(0, f"NOT READY: {reason}{more}")
        lags = [s.lag_seconds for s in status.services if s.lag_seconds is not None]
        if lags:
            parts.append(f"lag {max(lags):,.0f} s")
        if status.waiting:
            parts.append(f"{status.waiting:,} lines wait for the store")
        parts += [
            f"{forwarder.name.partition(':')[0]} {forwarder.behind:,} behind"
            for forwarder in status.forwarders
            if forwarder.behind
        ]
        if status.gaps:
            parts.append(f"{status.gaps:,} gaps")
        return ", ".join(parts)
