"""How a tail is doing."""

from __future__ import annotations

import datetime as dt
from collections import deque

import msgspec

__all__ = ["LogGap", "TailStatus"]

_GAPS = 100  # that are remembered


class LogGap(UserWarning):
    """Lines that exist and cannot be had: an instant holds more of them than any page.

    Attributes
    ----------
    service_id, deployment_id : int
    start, end : datetime or None
        Between which times lines may be missing; None is open.
    """

    def __init__(
        self,
        service_id: int,
        deployment_id: int,
        start: dt.datetime | None,
        end: dt.datetime | None,
    ) -> None:
        self.service_id = service_id
        self.deployment_id = deployment_id
        self.start = start
        self.end = end
        super().__init__(service_id, deployment_id, start, end)

    def __str__(self) -> str:
        begin = "the beginning" if self.start is None else self.start.isoformat()
        until = "now" if self.end is None else self.end.isoformat()
        return (
            f"the log of deployment {self.deployment_id} of service {self.service_id} holds more "
            f"lines from {begin} to {until} than the server gives: some may be missing"
        )


class TailStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a tail is doing: what tells a quiet log from a broken one.

    Attributes
    ----------
    deployments : tuple of int
        Whose logs are being read.
    polls : int
        Polls that were completed.
    lines : int
        New lines that they brought.
    late_lines : int
        Lines among them that turned up behind newer ones.
    last_poll : datetime or None
        When one succeeded last, by our clock.
    next_poll : datetime or None
        When the next one is due, by our clock; None while one is under way, or none is planned.
    lag : float or None
        Seconds since the last poll that succeeded.
    outages : int
        Times that the server could not be reached or did not serve.
    error : str or None
        What is wrong, during an outage.
    gap_count : int
        Times that lines were found that cannot be had.
    gaps : tuple of LogGap
        Where these are; the last hundred.
    sheds : int
        Times that more lines than can be counted lay inside the overlap: what turns up late
        among the older half of these is not seen.
    """

    deployments: tuple[int, ...]
    polls: int
    lines: int
    late_lines: int
    last_poll: dt.datetime | None
    next_poll: dt.datetime | None
    lag: float | None
    outages: int
    error: str | None
    gap_count: int
    gaps: tuple[LogGap, ...]
    sheds: int


class Health:
    """What `TailStatus` is a snapshot of."""

    def __init__(self) -> None:
        self.due: dict[int, float | None] = {}  # the next poll of each deployment's log
        self.polls = 0
        self.lines = 0
        self.late_lines = 0
        self.last_poll: float | None = None
        self.outages = 0
        self.failing_calls = 0
        self.error: str | None = None
        self.gap_count = 0
        self.gaps: deque[LogGap] = deque(maxlen=_GAPS)
        self.sheds = 0

    def note_gap(self, gap: LogGap) -> None:
        """Count a gap."""
        self.gap_count += 1
        self.gaps.append(gap)

    def snapshot(self, now: dt.datetime) -> TailStatus:
        """Tell how things are."""

        def time(stamp: float | None) -> dt.datetime | None:
            return None if stamp is None else dt.datetime.fromtimestamp(stamp, dt.UTC)

        due = [stamp for stamp in self.due.values() if stamp is not None]
        return TailStatus(
            deployments=tuple(sorted(self.due)),
            polls=self.polls,
            lines=self.lines,
            late_lines=self.late_lines,
            last_poll=time(self.last_poll),
            next_poll=time(min(due)) if due and len(due) == len(self.due) else None,
            lag=None if self.last_poll is None else max(0.0, now.timestamp() - self.last_poll),
            outages=self.outages,
            error=self.error,
            gap_count=self.gap_count,
            gaps=tuple(self.gaps),
            sheds=self.sheds,
        )
