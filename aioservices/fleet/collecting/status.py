"""The status of a collector, for its metrics, its page and its health checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import msgspec

from aioservices.http.ratelimit import RateLimit
from aioservices.stores.forward.worker import ForwarderStatus
from aioservices.tail import TailStatus

__all__ = [
    "CollectorStatus",
    "CommitTimes",
    "ForwarderStatus",
    "ServiceStatus",
    "SessionStatus",
]

_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class CommitTimes(msgspec.Struct, frozen=True, kw_only=True):
    """The durations of commits.

    Attributes
    ----------
    counts : tuple of int
        The number of commits up to each bound; the last one counts all.
    sum : float
        Their total duration in seconds.
    """

    counts: tuple[int, ...] = (0,) * (len(_BOUNDS) + 1)
    sum: float = 0.0

    @property
    def buckets(self) -> tuple[tuple[str, int], ...]:
        """Pairs of a bound in seconds and the number of commits up to it, for Prometheus."""
        bounds = [*map(str, _BOUNDS), "+Inf"]
        return tuple(zip(bounds, self.counts, strict=True))

    def add(self, seconds: float) -> CommitTimes:
        """Count a commit."""
        bounds = (*_BOUNDS, float("inf"))
        counts = [n + (seconds <= at) for n, at in zip(self.counts, bounds, strict=True)]
        return CommitTimes(counts=tuple(counts), sum=self.sum + seconds)


class ServiceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The status of reading the log of one service.

    Attributes
    ----------
    service_id : int
    service_name : str or None
    state : str
        ``reading``, ``waiting`` (for capacity, a valid key, or the next attempt) or ``ending``.
    tail : TailStatus or None
        None while the log is not read.
    lines : int
        Lines stored since this collector has the service.
    lag_seconds : float or None
        Seconds since the log was last read successfully; None if there is no log.
    gaps : int
    error : str or None
        Why the log cannot be read now.
    """

    service_id: int
    service_name: str | None
    state: str
    tail: TailStatus | None
    lines: int
    lag_seconds: float | None
    gaps: int
    error: str | None


class SessionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The status of one API key.

    Attributes
    ----------
    valid : bool
        False while the server rejects it.
    services : int
        Services whose logs are read with it.
    rate_limit : RateLimit or None
    daemons : int
        How many collectors use it, including this one.
    """

    valid: bool
    services: int
    rate_limit: RateLimit | None
    daemons: int


class CollectorStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The status of a collector.

    Attributes
    ----------
    ready : bool
        Every key is valid, the store commits, and no forwarder needs attention.
    reasons : tuple of str
        Why it is not ready.
    services : tuple of ServiceStatus
    forwarders : tuple of ForwarderStatus
    sessions : tuple of SessionStatus
    waiting : int
        Lines in memory that are not stored yet.
    lines, bytes : int
        Stored lines, and the UTF-8 bytes of their messages.
    late_lines, gaps : int
    fenced : int
        Batches that were not stored because another collector had the tail.
    leases : int
        Services that this collector holds.
    commits : mapping of str to int
        Transactions by outcome, ``kept`` or ``failed``.
    commit_seconds : CommitTimes
    removed : int
        Lines that retention removed.
    """

    ready: bool = False
    reasons: tuple[str, ...] = ("it has not started",)
    services: tuple[ServiceStatus, ...] = ()
    forwarders: tuple[ForwarderStatus, ...] = ()
    sessions: tuple[SessionStatus, ...] = ()
    waiting: int = 0
    lines: int = 0
    bytes: int = 0
    late_lines: int = 0
    gaps: int = 0
    fenced: int = 0
    leases: int = 0
    commits: Mapping[str, int] = msgspec.field(default_factory=lambda: {"kept": 0, "failed": 0})
    commit_seconds: CommitTimes = CommitTimes()
    removed: int = 0

    @classmethod
    def empty(cls) -> Self:
        """Make the status of a collector that has not started."""
        return cls()
