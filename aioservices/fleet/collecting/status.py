"""How a collector is doing: all that its metrics, its page and its readiness need."""

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
    """How long commits took.

    Attributes
    ----------
    counts : tuple of int
        How many commits took no longer than each bound; the last one counts all.
    sum : float
        Seconds that all of them took.
    """

    counts: tuple[int, ...] = (0,) * (len(_BOUNDS) + 1)
    sum: float = 0.0

    @property
    def buckets(self) -> tuple[tuple[str, int], ...]:
        """Pairs of a bound in seconds and how many took no longer, as Prometheus wants them."""
        bounds = [*map(str, _BOUNDS), "+Inf"]
        return tuple(zip(bounds, self.counts, strict=True))

    def add(self, seconds: float) -> CommitTimes:
        """Count one more."""
        bounds = (*_BOUNDS, float("inf"))
        counts = [n + (seconds <= at) for n, at in zip(self.counts, bounds, strict=True)]
        return CommitTimes(counts=tuple(counts), sum=self.sum + seconds)


class ServiceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How the log of one service is read.

    Attributes
    ----------
    service_id : int
    service_name : str or None
    state : str
        ``reading``, ``waiting`` (for room, a key, or the next attempt) or ``ending``.
    tail : TailStatus or None
        None while it is not read.
    lines : int
        Lines kept since the collector has it.
    lag_seconds : float or None
        Seconds since its log was last read successfully; None if there is no log to read.
    gaps : int
    error : str or None
        Why it cannot be read at present.
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
    """How one API key is doing.

    Attributes
    ----------
    valid : bool
        False while the server refuses it.
    services : int
        Services that are read with it.
    rate_limit : RateLimit or None
    daemons : int
        How many collectors use it, this one included.
    """

    valid: bool
    services: int
    rate_limit: RateLimit | None
    daemons: int


class CollectorStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a collector is doing.

    Attributes
    ----------
    ready : bool
        Every key is valid, the store commits, and no forwarder needs attention.
    reasons : tuple of str
        Why it is not.
    services : tuple of ServiceStatus
    forwarders : tuple of ForwarderStatus
    sessions : tuple of SessionStatus
    waiting : int
        Lines in memory that are not kept yet.
    lines, bytes : int
        Lines kept, and the UTF-8 bytes of their messages.
    late_lines, gaps : int
    fenced : int
        Batches that were not kept because somebody else had the tail.
    leases : int
        Services that this collector has.
    commits : mapping of str to int
        Transactions by outcome, ``kept`` or ``failed``.
    commit_seconds : CommitTimes
    removed : int
        Lines that retention removed.
    """

    ready: bool = False
    reasons: tuple[str, ...] = ("it has not begun",)
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
        """Make the status of a collector that has not begun."""
        return cls()
